"""Which wire carries what: what is well, the table, the route, what is measured with calm, then age."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litz.payload import DEFAULT_WIRE_PREFERENCE, PayloadType, WirePreference
from outproc.wire_choice import NEVER, BestWire, Candidate, Choice, Question, Route

RPC = PayloadType.RPC_RELIABLE
LOSSY = PayloadType.STREAM_LATENCY_FIRST
BULK = PayloadType.STREAM_RELIABLE

NOW = 100.0
NAMES = ("0", "1", "2", "3", "4")
"""Wires are told apart by identity, so each name is one object."""


def wire(
    name: str,
    kind: str = "websocket",
    since: float = 0.0,
    trip: float | None = 0.05,
    *,
    rate: float | None = None,
    route: Route = "direct",
    sick: bool = False,
) -> Candidate[str]:
    return Candidate(name, kind, since, trip, rate, route, sick)


def ask(
    wires: list[Candidate[str]],
    payload_type: PayloadType = RPC,
    *,
    table: WirePreference = DEFAULT_WIRE_PREFERENCE,
    current: str | None = None,
    since: float = NEVER,
    policy: BestWire | None = None,
) -> Choice[str] | None:
    return (policy or BestWire())(Question(wires, payload_type, table, NOW, current, since))


def choose(wires: list[Candidate[str]], payload_type: PayloadType = RPC, **how: object) -> str | None:
    choice = ask(wires, payload_type, **how)  # type: ignore[arg-type]  # what `ask` takes
    return choice.wire if choice is not None else None


def test_no_wire_no_choice() -> None:
    assert ask([]) is None


def test_the_table_comes_before_routes_and_measures() -> None:
    table = {RPC: ("memory", "*"), LOSSY: ("webrtc",), PayloadType.RPC_SIGNAL: ("*", "memory")}
    wires = [wire("w", trip=0.001), wire("m", "memory", since=9.0, trip=5.0, route="relay")]
    assert choose(wires, table=table) == "m"
    assert choose(wires, table=table, current="w") == "m"
    assert choose(wires[:1], table=table) == "w"
    assert choose(wires, PayloadType.RPC_SIGNAL, table=table) == "w"
    assert choose(wires[1:], PayloadType.RPC_SIGNAL, table=table) == "m"
    assert choose(wires, LOSSY, table=table) is None
    assert choose(wires, BULK, table=table) == "w"


def test_a_relay_is_left_for_a_direct_wire_however_slow_once_it_is_steady() -> None:
    relay, reflexive = wire("relay", trip=0.001, route="relay"), wire("punched", trip=2.0, route="reflexive")
    direct = wire("direct", trip=9.0)
    assert choose([relay, reflexive], current="relay") == "punched"
    assert choose([relay, reflexive, direct], current="punched", since=NOW) == "direct"
    assert choose([relay, direct], current="direct") == "direct"
    young = wire("young", since=NOW - 0.5)
    assert choose([relay, young], current="relay") == "relay"
    assert choose([relay, wire("unproved", trip=None)], current="relay") == "relay"
    assert choose([relay, young], current="gone") == "young"


def test_a_sick_wire_is_left_at_once_and_for_any_other() -> None:
    wires = [wire("sick", sick=True), wire("young", since=NOW, trip=None, route="relay")]
    assert choose(wires, current="sick", since=NOW) == "young"
    assert choose(wires) == "young"
    assert choose(wires, current="young") == "young"
    all_sick = [wire("a", sick=True), wire("b", sick=True, trip=0.001)]
    assert choose(all_sick, current="a", since=NOW) == "a"


def test_the_lower_round_trip_wins_when_it_is_clearly_lower() -> None:
    assert choose([wire("slow", trip=0.100), wire("fast", trip=0.050)], current="slow") == "fast"
    assert choose([wire("a", trip=0.100), wire("b", trip=0.090)], current="a") == "a"
    assert choose([wire("a", trip=0.0019), wire("b", trip=0.001)], current="a") == "a"
    assert choose([wire("a", trip=0.126), wire("b", trip=0.1)], current="a") == "a"
    assert choose([wire("a", trip=0.127), wire("b", trip=0.1)], current="a") == "b"


def test_what_is_measured_moves_nothing_soon_after_a_move() -> None:
    wires = [wire("slow", trip=0.9), wire("fast", trip=0.050)]
    assert choose(wires, current="slow", since=NOW - 4.9) == "slow"
    assert choose(wires, current="slow", since=NOW - 5.1) == "fast"


def test_bulk_goes_where_more_gets_through() -> None:
    near, wide = wire("near", trip=0.001, rate=1e6), wire("wide", trip=0.2, rate=2e6)
    unknown = wire("unknown", trip=0.0001)
    assert choose([near, wide], BULK) == "wide"
    assert choose([near, wide], BULK, current="near") == "wide"
    assert choose([near, wide], RPC, current="wide") == "near"
    assert choose([near, wide], BULK, current="wide") == "wide"
    assert choose([near, wire("wide", trip=0.2, rate=1.4e6)], BULK, current="near") == "near"
    assert choose([wire("slow", trip=0.5, rate=1e6), unknown], BULK, current="slow") == "unknown"
    assert choose([wire("quick", trip=0.001, rate=1e6), wide, unknown], BULK, current="wide") == "unknown"


def test_without_a_wire_to_stay_on_the_oldest_of_those_that_are_near() -> None:
    assert choose([wire("new", since=5.0, trip=0.1), wire("old", since=1.0, trip=0.11)]) == "old"
    assert choose([wire("first", trip=None), wire("second", trip=None)]) == "first"


def test_what_was_not_measured_is_no_reason_to_move() -> None:
    assert choose([wire("known", since=5.0, trip=0.1), wire("new", since=1.0, trip=None)]) == "known"
    assert choose([wire("mine", trip=None), wire("known", trip=0.1)], current="mine") == "mine"
    assert choose([wire("a", trip=None), wire("mine", trip=0.5)], current="mine") == "mine"


@pytest.mark.parametrize(
    ("wires", "payload_type", "reason"),
    [
        ([wire("w")], RPC, "the only wire that may carry it"),
        ([wire("w"), wire("x", sick=True)], RPC, "the others are sick"),
        ([wire("w"), wire("x", route="relay")], RPC, "direct, the others are not"),
        ([wire("w", trip=0.01), wire("x", trip=0.5)], RPC, "lowest round trip, 10 ms"),
        ([wire("w", rate=3e6), wire("x", rate=1e6)], BULK, "highest throughput, 3 MB/s"),
        ([wire("w"), wire("x")], RPC, "no other is clearly better"),
    ],
)
def test_the_reason_is_in_words(wires: list[Candidate[str]], payload_type: PayloadType, reason: str) -> None:
    choice = ask(wires, payload_type)
    assert choice is not None
    assert choice.wire == "w"
    assert choice.reason.startswith(reason)


def test_other_reasons() -> None:
    preferred = ask([wire("w"), wire("m", "memory", route="relay")], table={RPC: ("memory", "*")})
    assert preferred == Choice("m", "memory is preferred for RPC_RELIABLE")
    waiting = ask([wire("r", route="relay"), wire("w", since=NOW)], current="r")
    assert waiting == Choice("r", "until the websocket wire (direct) has been up for 1 s")


candidates = st.lists(
    st.builds(
        Candidate,
        st.integers(0, 10**6).map(str),
        st.sampled_from(["websocket", "memory"]),
        st.floats(0, 99),
        st.none() | st.floats(0, 2),
        st.none() | st.floats(1, 1e9),
        st.sampled_from(["direct", "reflexive", "relay"]),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda each: each.wire,
)
tables = st.sampled_from([DEFAULT_WIRE_PREFERENCE, {RPC: ("memory", "*"), BULK: ("*", "memory")}])


@given(candidates, st.sampled_from([RPC, BULK]), tables)
def test_with_the_same_measures_a_lane_comes_to_rest(
    wires: list[Candidate[str]], payload_type: PayloadType, table: WirePreference
) -> None:
    current = choose(wires, payload_type, table=table)
    assert (current is None) is (not wires)
    moves = 0
    while (chosen := choose(wires, payload_type, table=table, current=current)) != current:
        current = chosen
        moves += 1
        assert moves <= len(wires), "it goes round"


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.001, 2), st.none() | st.floats(1e3, 1e8)), min_size=2, max_size=5),
    st.sampled_from([RPC, BULK]),
    st.integers(0, 1 << 32),
    st.floats(0, 0.08),
)
def test_noise_moves_a_lane_no_more_often_than_there_are_wires(
    truth: list[tuple[float, float | None]], payload_type: PayloadType, seed: int, noise: float
) -> None:
    """Whatever the measures, each may be wrong by 8 % anew at each look; and no minimum stay helps here."""
    rng = Random(seed)

    def measured() -> list[Candidate[str]]:
        return [
            wire(
                NAMES[number],
                trip=trip * rng.uniform(1 - noise, 1 + noise),
                rate=None if rate is None else rate * rng.uniform(1 - noise, 1 + noise),
            )
            for number, (trip, rate) in enumerate(truth)
        ]

    current = choose(measured(), payload_type)
    moves = 0
    for _ in range(200):
        chosen = choose(measured(), payload_type, current=current)
        moves += chosen != current
        current = chosen
    assert moves <= len(truth)


def test_in_the_worst_case_the_minimum_stay_bounds_the_moves() -> None:
    """Measures without any bound to their noise: at most one move in `stay` seconds."""
    rng = Random(1)
    policy = BestWire()
    current, since, moves = NAMES[0], NEVER, 0
    for step in range(1000):
        now = 50 + step * 0.1
        wires = [wire(NAMES[number], trip=10 ** rng.uniform(-4, 1)) for number in range(3)]
        choice = policy(Question(wires, RPC, DEFAULT_WIRE_PREFERENCE, now, current, since))
        assert choice is not None
        if choice.wire != current:
            current, since, moves = choice.wire, now, moves + 1
    assert 10 <= moves <= 1 + 100 / policy.stay
