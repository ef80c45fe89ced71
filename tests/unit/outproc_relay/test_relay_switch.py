"""The circuits of a hub: connected, fair, bounded, and ended for both when they end for one.

Covers `outproc.wires.relay.switch`.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from litz.errors import ProtocolError
from outproc.wires.relay.messages import (
    BY_HUB,
    FRAME_COST,
    MAX_FRAME,
    OVERHEAD,
    Accept,
    Close,
    CloseCode,
    Data,
    Message,
    Open,
    Refuse,
    RefuseCode,
    Window,
    decode,
)
from outproc.wires.relay.switch import FIRST_WINDOW, MAX_REFUSALS, Switch, SwitchLimits

LIMITS = SwitchLimits(
    max_circuits=8, max_circuits_per_peer=4, max_circuits_per_pair=4, window=1 << 20, max_buffered=4 << 20
)
PLENTY = 1 << 40


def bulk(switch: Switch, peer: str, count: int = 1_000) -> list[Message]:
    """What the hub says to `peer` now, at most `count` messages."""
    said: list[Message] = []
    while len(said) < count and (message := switch.next_bulk(peer)) is not None:
        said.append(decode(memoryview(b"".join(message))))
        switch.bulk_posted(peer)
    return said


def windows(switch: Switch, peer: str) -> list[Window]:
    said: list[Window] = []
    while (message := switch.next_signal(peer)) is not None:
        window = decode(memoryview(message))
        assert isinstance(window, Window)
        said.append(window)
        switch.signal_posted(peer)
    return said


def connect(switch: Switch, caller: str, callee: str, number: int = 0, credit: int = PLENTY) -> int:
    """An open circuit. Returns its number at the callee."""
    switch.open(caller, Open(number, credit, callee), None)
    (offer,) = bulk(switch, callee)
    assert isinstance(offer, Open) and offer.name == caller and offer.circuit >= BY_HUB
    switch.receive(callee, Accept(offer.circuit, credit))
    (answer,) = bulk(switch, caller)
    assert answer == Accept(number, FIRST_WINDOW)
    return offer.circuit


def data(number: int, size: int = MAX_FRAME, fill: bytes = b"x") -> Data:
    return Data(number, memoryview(fill * size))


def test_frames_go_both_ways_and_the_end_comes_after_them() -> None:
    switch = Switch(LIMITS)
    far = connect(switch, "a", "b")
    switch.receive("a", data(0, 3, b"1"))
    switch.receive("a", data(0, 3, b"2"))
    switch.receive("a", Close(0, CloseCode.DONE, ""))
    switch.receive("b", data(far, 3, b"too late"))
    assert set(switch.take_due()) == {"a", "b"}
    assert bulk(switch, "b") == [data(far, 3, b"1"), data(far, 3, b"2"), Close(far, CloseCode.DONE, "")]
    assert bulk(switch, "a") == []
    assert (switch.circuits, switch.buffered, switch.unused) == (0, 0, 0)


def test_an_abort_is_told_at_once() -> None:
    switch = Switch(LIMITS)
    far = connect(switch, "a", "b")
    switch.receive("a", data(0))
    switch.receive("a", Close(0, CloseCode.ABORTED, ""))
    assert bulk(switch, "b") == [Close(far, CloseCode.ABORTED, "")]
    assert switch.buffered == 0


def test_the_end_of_a_session_ends_its_circuits_for_the_others_with_the_reason() -> None:
    switch = Switch(LIMITS)
    far = connect(switch, "a", "b")
    connect(switch, "c", "a")
    switch.receive("a", data(0, 5))
    switch.session_ended("a")
    assert bulk(switch, "b")[0] == data(far, 5)
    (closed,) = bulk(switch, "c")
    assert isinstance(closed, Close) and closed.code is CloseCode.FAR_ENDED and "a" in closed.text
    assert bulk(switch, "a") == []
    assert (switch.circuits, switch.buffered, switch.unused) == (0, 0, 0)
    # In its next session it counts anew.
    connect(switch, "a", "b", 0)


def test_a_refusal_of_the_callee_reaches_the_caller() -> None:
    switch = Switch(LIMITS)
    switch.open("a", Open(0, PLENTY, "b"), None)
    (offer,) = bulk(switch, "b")
    switch.receive("b", Refuse(offer.circuit, RefuseCode.BUSY, "later"))
    assert bulk(switch, "a") == [Refuse(0, RefuseCode.BUSY, "later")]
    assert (switch.circuits, switch.unused) == (0, 0)


def test_limits_refuse_per_peer_and_in_all_and_free_again() -> None:
    switch = Switch(LIMITS)
    for number in range(4):
        connect(switch, "a", f"to-{number}", number)
    switch.open("a", Open(4, PLENTY, "b"), None)
    (refused,) = bulk(switch, "a")
    assert isinstance(refused, Refuse) and refused.code is RefuseCode.BUSY
    for number in range(4):
        connect(switch, "c", f"of-{number}", number)
    switch.open("e", Open(0, PLENTY, "f"), None)
    (refused,) = bulk(switch, "e")
    assert isinstance(refused, Refuse) and refused.code is RefuseCode.BUSY
    switch.receive("a", Close(0, CloseCode.DONE, ""))
    connect(switch, "e", "f", 1)


def test_refusals_are_bounded() -> None:
    switch = Switch(LIMITS)
    for number in range(MAX_REFUSALS + 50):
        switch.open("a", Open(number, PLENTY, "nobody"), (RefuseCode.UNREACHABLE, "no"))
    assert len(bulk(switch, "a")) == MAX_REFUSALS


@pytest.mark.parametrize(
    "bad",
    [
        lambda switch: switch.open("a", Open(0, 1, "b"), None),  # used already
        lambda switch: switch.open("a", Open(BY_HUB, 1, "b"), None),  # not its to choose
        lambda switch: switch.receive("a", Accept(0, 1)),
        lambda switch: switch.receive("a", Refuse(0, RefuseCode.BUSY, "")),
        lambda switch: switch.receive("a", Open(0, 1, "b")),
        lambda switch: [switch.receive("a", data(0)) for _ in range(3)],
    ],
)
def test_whoever_breaks_the_rules_is_told_apart(bad: object) -> None:
    switch = Switch(LIMITS)
    connect(switch, "a", "b")
    with pytest.raises(ProtocolError):
        bad(switch)  # type: ignore[operator]  # a lambda of the table


def test_data_before_the_answer_is_a_violation() -> None:
    switch = Switch(LIMITS)
    switch.open("a", Open(0, PLENTY, "b"), None)
    with pytest.raises(ProtocolError):
        switch.receive("a", data(0, 1))


def test_what_is_about_a_circuit_that_is_over_is_ignored() -> None:
    switch = Switch(LIMITS)
    late: list[Message] = [data(9, 1), Window(9, 1), Accept(9, 1), Close(9, CloseCode.DONE, "")]
    for message in late:
        switch.receive("a", message)
    assert bulk(switch, "a") == []


def test_a_slow_pair_holds_one_window_and_slows_no_other() -> None:
    """b reads nothing of a; c reads all of d, over the same hub, and the peer b as well."""
    switch = Switch(LIMITS)
    connect(switch, "a", "b", credit=0)
    other = connect(switch, "d", "b")
    switch.receive("a", data(0))
    sent = passed = 0
    limit = FIRST_WINDOW
    for _ in range(100):
        while sent + FRAME_COST <= limit:
            switch.receive("d", data(0))
            sent += FRAME_COST
        passed += sum(isinstance(message, Data) and message.circuit == other for message in bulk(switch, "b"))
        limit = max([limit, *(window.credit for window in windows(switch, "d"))])
    assert passed >= 100
    assert switch.buffered == FRAME_COST
    assert windows(switch, "a") == []


def test_circuits_to_one_peer_take_turns_whatever_the_size_of_their_frames() -> None:
    switch = Switch(LIMITS)
    large, small = connect(switch, "a", "z"), connect(switch, "b", "z")
    for _ in range(2):
        switch.receive("a", data(0))
    price = 1_000 + OVERHEAD
    for _ in range(FIRST_WINDOW // price):
        switch.receive("b", data(0, 1_000))
    order = [message.circuit for message in bulk(switch, "z")]
    first_of_small, second_of_large = order.index(small), [n for n, c in enumerate(order) if c == large][1]
    assert first_of_small <= 1
    assert FRAME_COST // price <= second_of_large <= FRAME_COST // price + 3


def test_a_busy_circuit_gets_a_larger_window_and_an_idle_one_keeps_the_first() -> None:
    switch = Switch(LIMITS)
    connect(switch, "a", "b")
    connect(switch, "c", "d")
    taken, limit = 0, FIRST_WINDOW
    for _ in range(40):
        while taken + FRAME_COST <= limit:
            switch.receive("a", data(0))
            taken += FRAME_COST
        bulk(switch, "b")
        limit = max([limit, *(window.credit for window in windows(switch, "a"))])
    assert limit - taken + FRAME_COST > LIMITS.window // 2
    assert windows(switch, "c") == []


def test_a_full_hub_holds_no_more_than_it_may_and_every_circuit_goes_on() -> None:
    limits = SwitchLimits(
        max_circuits=100, max_circuits_per_peer=100, max_circuits_per_pair=100, window=1 << 20, max_buffered=1 << 20
    )
    switch = Switch(limits)
    rng = Random(5)
    limit: dict[int, int] = {}
    taken: dict[int, int] = dict.fromkeys(range(20), 0)
    passed: dict[int, int] = {}
    for number in range(20):
        passed[connect(switch, "a", "b", number)] = 0
        limit[number] = FIRST_WINDOW
    for _ in range(3_000):
        number = rng.randrange(20)
        while taken[number] + FRAME_COST <= limit[number]:
            switch.receive("a", data(number))
            taken[number] += FRAME_COST
        assert switch.buffered <= limits.max_buffered + 20 * FIRST_WINDOW
        for message in bulk(switch, "b", rng.randint(0, 3)):
            passed[message.circuit] += 1
        for window in windows(switch, "a"):
            limit[window.circuit] = max(limit[window.circuit], window.credit)
    assert min(passed.values()) > 20, passed
    switch.session_ended("a")
    bulk(switch, "b")
    assert (switch.buffered, switch.unused, switch.circuits) == (0, 0, 0)


def test_a_pair_with_many_circuits_has_one_turn_and_leaves_room_for_others() -> None:
    limits = replace(LIMITS, max_circuits=100, max_circuits_per_peer=8, max_circuits_per_pair=6)
    switch = Switch(limits)
    many = [connect(switch, "greedy", "b", number) for number in range(6)]
    switch.open("greedy", Open(6, PLENTY, "b"), None)
    assert bulk(switch, "greedy") == [Refuse(6, RefuseCode.BUSY, "these two have as many circuits as they may")]
    one = connect(switch, "modest", "b", 0)
    for number in range(6):
        switch.receive("greedy", data(number))
        switch.receive("greedy", data(number))
    switch.receive("modest", data(0))
    switch.receive("modest", data(0))
    order = [message.circuit for message in bulk(switch, "b", 14)]
    assert [order.index(one), order[4:].count(one)] == [1, 0], "every second turn while it had something"
    assert sorted(order) == sorted([*many, *many, one, one])


def test_a_cut_is_told_to_both() -> None:
    switch = Switch(LIMITS)
    far = connect(switch, "a", "b")
    switch.receive("a", data(0))
    switch.cut("b", CloseCode.CUT, "through another relay")
    assert bulk(switch, "a") == [Close(0, CloseCode.CUT, "through another relay")]
    assert bulk(switch, "b") == [Close(far, CloseCode.CUT, "through another relay")]
    assert (switch.buffered, switch.unused, switch.circuits) == (0, 0, 0)
