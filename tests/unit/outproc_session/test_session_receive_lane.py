"""The receiving end of a lane against a naive byte string: any cuts, overlaps and replays give the same messages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litz.errors import ProtocolError
from litz.events import DropReason
from outproc.frames.records import Ack, Batch, Fin, Position, Skip
from outproc.session.receive_lane import Delivery, Finished, ReceiveCredit, ReceiveLane, Skipped, Verdict
from tests.unit.outproc_session.lanes import SMALL, feed, receiver

ROOMY = replace(SMALL, window_messages=1_000, window_size=10_000, session_window_size=10_000)


def batch(number: int, *bodies: bytes, offset: int = 0, remaining: int = 0, epoch: int = 1) -> Batch:
    return Batch(0, epoch, number, offset, remaining, list(bodies))


def cut(messages: list[bytes], start: Position, size: int, whole: int) -> Batch:
    """A batch that starts at `start` and has about `size` bytes, or `whole` messages."""
    bodies: list[bytes] = []
    number, offset, remaining = start.number, start.offset, 0
    for message in messages[number : number + whole]:
        piece = message[offset:] if not bodies else message
        if bodies and size <= 0:
            break
        if 0 < size < len(piece):
            bodies.append(piece[:size])
            remaining = len(piece) - size
            break
        bodies.append(piece)
        size -= len(piece)
    return Batch(0, 1, number, offset, remaining, bodies, [(1, number + i) for i in range(len(bodies))])


MESSAGES = st.lists(st.binary(max_size=20), min_size=1, max_size=8)
MOVES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40), st.integers(1, 6)), min_size=1, max_size=40)


@settings(max_examples=500)
@given(MESSAGES, MOVES)
def test_any_cut_overlap_and_replay_delivers_every_message_once(
    messages: list[bytes], moves: list[tuple[int, int, int]]
) -> None:
    lane = receiver(ROOMY, ReceiveCredit(10_000, granted=10_000))
    got: list[bytes] = []
    sent = Position(0, 0)
    for back, size, whole in moves:
        # A sender starts anywhere at or below what is expected, and goes on from there.
        flat = [Position(n, o) for n, m in enumerate(messages) for o in range(max(1, len(m)))]
        below = [position for position in flat if position <= lane.expected]
        start = below[-1 - back % len(below)] if below else Position(0, 0)
        if lane.expected.number >= len(messages):
            start = Position(back % len(messages), 0)
        delivery = feed(lane, "w", cut(messages, start, size, whole))
        sent = max(sent, start)
        if isinstance(delivery, Delivery):
            assert delivery.number == len(got)
            assert delivery.size == sum(map(len, delivery.bodies))
            assert delivery.correlations == [(1, delivery.number + i) for i in range(len(delivery.bodies))]
            got += delivery.bodies
        else:
            assert delivery is None
        assert got == messages[: len(got)]
        assert lane.expected.number == len(got)
        assert lane.expected.offset == (lane.partial.got if lane.partial is not None else 0)
        begun = messages[: len(got) + (lane.partial is not None)]
        assert (lane.charged_messages, lane.charged_size) == (len(begun), sum(map(len, begun)))
        assert lane.session_credit is not None and lane.session_credit.charged == lane.charged_size


def test_the_binding_decides_what_is_taken() -> None:
    lane = receiver()
    assert lane.place("a", 2, 0, 0) is Verdict.TAKEN
    assert lane.place("a", 2, 0, 0) is Verdict.TAKEN
    assert lane.place("b", 2, 0, 0) is Verdict.OLD
    assert lane.place("a", 1, 0, 0) is Verdict.OLD
    assert lane.place("b", 3, 0, 0) is Verdict.TAKEN
    assert (lane.wire, lane.epoch) == ("b", 3)
    assert lane.place("a", 2, 0, 0) is Verdict.OLD


def test_a_jump_is_the_fault_of_its_wire_and_moves_nothing() -> None:
    lane = receiver()
    feed(lane, "a", batch(0, b"x"))
    assert lane.place("a", 1, 2, 0) is Verdict.FAULT
    assert lane.place("a", 1, 1, 1) is Verdict.FAULT
    assert lane.place("b", 9, 2, 0) is Verdict.FAULT
    assert (lane.wire, lane.epoch, lane.expected) == ("a", 1, Position(1, 0))


def test_a_message_continues_on_another_wire_with_other_cuts() -> None:
    lane = receiver()
    assert feed(lane, "a", batch(0, b"abc", remaining=5)) is None
    assert lane.expected == Position(0, 3)
    assert feed(lane, "b", batch(0, b"bcd", offset=1, remaining=4, epoch=2)) is None
    assert lane.expected == Position(0, 4)
    assert feed(lane, "b", batch(0, b"ab", offset=0, remaining=6, epoch=2)) is None
    delivery = feed(lane, "b", batch(0, b"efgh", b"next", offset=4, epoch=2))
    assert isinstance(delivery, Delivery)
    assert delivery.bodies == [b"abcdefgh", b"next"]


@pytest.mark.parametrize(
    "bad",
    [
        batch(0, b"cdef", offset=2),
        batch(0, b"cdefghijk", offset=2),
        batch(0, b"cde", offset=2, remaining=1),
        batch(0, b"ab", b"other"),
        batch(0, b"ab"),
        batch(0, b"abc", b"other"),
    ],
)
def test_pieces_that_do_not_fit_cost_the_wire_and_not_what_came_before(bad: Batch) -> None:
    lane = receiver()
    feed(lane, "w", batch(0, b"abc", remaining=5))
    with pytest.raises(ProtocolError, match="a piece makes"):
        feed(lane, "w", bad)
    delivery = feed(lane, "w", batch(0, b"defgh", offset=3))
    assert isinstance(delivery, Delivery) and delivery.bodies == [b"abcdefgh"]


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([batch(0, b"x" * 101)], "over the limit"),
        ([batch(0, b"x" * 10, remaining=91)], "over the limit"),
        ([batch(0, *[b"x"] * 9)], "than it was granted"),
        ([batch(0, b"x" * 90, b"y" * 90, b"z" * 21)], "than it was granted"),
        ([batch(0, b"a"), Fin(0, 1, 1), batch(2, b"late")], "after its end"),
        ([Fin(0, 1, 0), Skip(1, 0, 1, 1, 2)], "after its end"),
        ([batch(0, b"abc", remaining=1), Skip(1, 0, 1, 0, 2)], "partly transmitted"),
        ([batch(0, b"abc", remaining=1), Fin(0, 1, 0)], "inside a message"),
    ],
)
def test_what_a_peer_must_not_send(records: list[Batch | Skip | Fin], text: str) -> None:
    lane = receiver()
    for record in records[:-1]:
        feed(lane, "w", record)
    before = (lane.expected, lane.charged_size)
    with pytest.raises(ProtocolError, match=text):
        feed(lane, "w", records[-1])
    assert (lane.expected, lane.charged_size) == before


def test_a_batch_over_the_limit_in_all_but_not_in_one() -> None:
    delivery = feed(receiver(), "w", batch(0, b"x" * 80, b"y" * 80))
    assert isinstance(delivery, Delivery) and delivery.size == 160


def test_the_session_is_charged_a_whole_message_at_its_first_byte() -> None:
    credit = ReceiveCredit(100, granted=100)
    lane = receiver(session=credit)
    feed(lane, "w", batch(0, b"a", remaining=89))
    assert credit.charged == 90
    with pytest.raises(ProtocolError, match="session was granted"):
        feed(ReceiveLane(2, SMALL, credit), "w", batch(0, b"x" * 11))


def test_gaps_and_the_end_are_news_once() -> None:
    lane = receiver()
    feed(lane, "w", batch(0, b"a"))
    assert feed(lane, "w", Skip(2, 0, 1, 0, 3)) == Skipped(0, 1, 3, DropReason.NEWEST)
    assert feed(lane, "w", Skip(2, 0, 1, 1, 3)) is None
    assert feed(lane, "w", Skip(2, 0, 1, 2, 4)) == Skipped(0, 4, 4, DropReason.NEWEST)
    assert feed(lane, "w", Fin(0, 1, 5)) == Finished(0, 5)
    assert feed(lane, "w", Fin(0, 1, 5)) is None
    assert lane.finished and lane.expected == Position(6, 0)
    assert feed(lane, "w", batch(0, b"a")) is None
    assert lane.duplicates == 1


def test_keys_are_trimmed_with_the_front() -> None:
    lane = receiver()
    feed(lane, "w", batch(0, b"a"))
    delivery = feed(lane, "w", Batch(0, 1, 0, 0, 0, [b"a", b"b", b"c"], None, ["x", None, "z"]))
    assert isinstance(delivery, Delivery)
    assert (delivery.number, delivery.bodies, delivery.keys) == (1, [b"b", b"c"], [None, "z"])


def test_an_ack_states_all_levels_and_ends_what_was_unacked() -> None:
    lane = receiver()
    feed(lane, "w", batch(0, b"ab", b"c"))
    lane.consumed(1, 2, 1)
    assert (lane.unacked_messages, lane.unacked_size) == (2, 3)
    assert lane.ack() == Ack(0, Position(2, 0), 1, 0)
    assert (lane.unacked_messages, lane.unacked_size) == (0, 0)


def test_processed_is_never_above_what_came_and_never_falls() -> None:
    lane = receiver()
    feed(lane, "w", batch(0, b"a", b"b"))
    lane.consumed(2, 2, 99)
    assert lane.processed == 2
    lane.consumed(2, 2, 1)
    assert lane.processed == 2


@pytest.mark.parametrize(
    ("consumed", "urgent"), [((1, 10), False), ((4, 40), True), ((1, 100), True), ((3, 99), False)]
)
def test_half_a_window_unannounced_is_urgent(consumed: tuple[int, int], urgent: bool) -> None:
    lane = receiver()
    assert lane.consumed(*consumed, 0) is urgent
    grant = lane.grant()
    assert grant == (8 + consumed[0], 200 + consumed[1])
    assert lane.grant() == grant


def test_half_the_session_window_unannounced_is_urgent() -> None:
    credit = ReceiveCredit(20)
    assert credit.grant() == 20
    lane = receiver(session=credit)
    assert not lane.consumed(1, 9, 1)
    assert lane.consumed(2, 10, 2)
    assert credit.grant() == 30
    assert credit.grant() == 30


def test_origins_stay_with_their_messages_when_some_are_here_already() -> None:
    """Behind a rebind a batch comes again, with more: what is new of it keeps its own marks."""
    origins = [(1, 5), (0, 0), (1, 7)]
    lane = ReceiveLane(0, ROOMY, None)
    feed(lane, "w", Batch(0, 1, 0, 0, 0, [b"a"], origins=origins[:1]))
    again = feed(lane, "v", Batch(0, 2, 0, 0, 4, [b"a", b"b", b"c"], origins=origins))
    assert isinstance(again, Delivery)
    assert (again.bodies, again.origins) == ([b"b"], [(0, 0)])
    rest = feed(lane, "v", Batch(0, 2, 2, 1, 0, [b"cccc"], origins=origins[2:]))
    assert isinstance(rest, Delivery)
    assert (rest.bodies, rest.origins) == ([b"ccccc"], [(1, 7)])
