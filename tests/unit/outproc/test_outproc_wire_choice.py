"""Which wire carries what: the table first, then the round trip with calm, then age."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litz.payload import PayloadType
from outproc.wire_choice import Candidate, choose_wire

RPC = PayloadType.RPC_RELIABLE
LOSSY = PayloadType.STREAM_LATENCY_FIRST


def wire(
    name: str, kind: str = "websocket", since: float = 0.0, trip: float | None = None, *, flaw: str = ""
) -> Candidate[str]:
    return Candidate(name, kind, since, trip, ordered=flaw != "ordered", reliable=flaw != "reliable")


def test_no_wire_no_choice() -> None:
    assert choose_wire([], RPC) is None


def test_the_table_comes_first() -> None:
    table = {RPC: ("memory", "*"), LOSSY: ("webrtc",), PayloadType.RPC_SIGNAL: ("*", "memory")}
    wires = [wire("w", trip=0.001), wire("m", "memory", since=9.0, trip=5.0)]
    assert choose_wire(wires, RPC, table) == "m"
    assert choose_wire(wires, RPC, table, current="w") == "m"
    assert choose_wire(wires[:1], RPC, table) == "w"
    assert choose_wire(wires, PayloadType.RPC_SIGNAL, table) == "w"
    assert choose_wire(wires[1:], PayloadType.RPC_SIGNAL, table) == "m"
    assert choose_wire(wires, LOSSY, table) is None
    assert choose_wire(wires, PayloadType.STREAM_RELIABLE, table) == "w"


@pytest.mark.parametrize("flaw", ["ordered", "reliable"])
def test_reliable_lanes_keep_off_wires_that_are_not(flaw: str) -> None:
    wires = [wire("bad", trip=0.001, flaw=flaw), wire("good", trip=1.0)]
    assert choose_wire(wires, RPC) == "good"
    assert choose_wire(wires[:1], RPC) is None
    assert choose_wire(wires, LOSSY) == "bad"


def test_the_lower_round_trip_wins_when_it_is_much_lower() -> None:
    assert choose_wire([wire("slow", trip=0.100), wire("fast", since=1.0, trip=0.050)], RPC, current="slow") == "fast"


def test_a_little_lower_moves_nothing() -> None:
    assert choose_wire([wire("a", trip=0.100), wire("b", trip=0.090)], RPC, current="a") == "a"
    assert choose_wire([wire("a", trip=0.0019), wire("b", trip=0.001)], RPC, current="a") == "a"
    assert choose_wire([wire("a", trip=0.126), wire("b", trip=0.1)], RPC, current="a") == "a"
    assert choose_wire([wire("a", trip=0.127), wire("b", trip=0.1)], RPC, current="a") == "b"


def test_among_equals_the_oldest_and_then_the_first() -> None:
    assert choose_wire([wire("new", since=5.0, trip=0.1), wire("old", since=1.0, trip=0.11)], RPC) == "old"
    assert choose_wire([wire("first"), wire("second")], RPC) == "first"


def test_what_was_not_measured_is_no_reason_to_move() -> None:
    assert choose_wire([wire("known", since=5.0, trip=0.1), wire("new", since=1.0)], RPC) == "known"
    assert choose_wire([wire("mine", since=5.0), wire("known", trip=0.1)], RPC, current="mine") == "mine"
    assert choose_wire([wire("a", since=1.0), wire("mine", since=5.0)], RPC, current="mine") == "mine"


def test_a_current_wire_that_is_gone_is_no_choice() -> None:
    assert choose_wire([wire("a")], RPC, current="gone") == "a"


candidates = st.lists(
    st.builds(
        Candidate,
        st.integers(0, 10**6).map(str),
        st.sampled_from(["websocket", "memory"]),
        st.floats(0, 9),
        st.none() | st.floats(0, 2),
    ),
    max_size=5,
    unique_by=lambda each: each.wire,
)


@given(candidates)
def test_a_choice_is_stable(wires: list[Candidate[str]]) -> None:
    chosen = choose_wire(wires, RPC)
    assert (chosen is None) is (not wires)
    assert choose_wire(wires, RPC, current=chosen) == chosen
