"""The sending end of a lane: credit, binding, acks, and what the end leaves open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litz.errors import ProtocolError
from litz.events import DropReason, Outcome
from outproc.frames.records import Ack, Batch, Fin, Position, Skip
from outproc.session.limits import Overflow, SessionLimits
from outproc.session.log import Body, EntryDetail, Parts
from outproc.session.send_lane import SendCredit, SendLane
from tests.unit.outproc_session.lanes import SMALL, records, sender


def ack(number: int, offset: int = 0, processed: int = 0, durable: int = 0) -> Ack:
    return Ack(0, Position(number, offset), processed, durable)


def fill_log(lane: SendLane, count: int = 8, size: int = 1) -> None:
    for _ in range(count):
        lane.append(b"x" * size)


# -- sending ----------------------------------------------------------------------------------------


def test_messages_gaps_and_the_end_go_out_in_order() -> None:
    lane = sender(overflow=Overflow.DROP_NEWEST)
    fill_log(lane, 4)
    lane.discard(1, DropReason.NEWEST)
    lane.discard(2, DropReason.NEWEST)
    lane.finish()
    assert records(lane) == [
        Batch(0, 1, 0, 0, 0, [b"x"]),
        Skip(DropReason.NEWEST.value, 0, 1, 1, 2),
        Batch(0, 1, 3, 0, 0, [b"x"]),
        Fin(0, 1, 4),
    ]
    assert not lane.has_unsent
    assert records(lane) == []


def test_a_gap_that_grew_after_it_was_sent_goes_on_where_it_stopped() -> None:
    lane = sender()
    fill_log(lane, 2)
    lane.discard(0, DropReason.OLDEST)
    out: list[bytes | bytearray | memoryview] = []
    lane.fill(out, 44)
    lane.discard(1, DropReason.OLDEST)
    assert records(lane) == [Skip(DropReason.OLDEST.value, 0, 1, 1, 1)]


@pytest.mark.parametrize("budget", [0, 20, 43])
def test_no_record_starts_where_there_is_no_room(budget: int) -> None:
    lane = sender()
    lane.append(b"x" * 60)
    assert records(lane, budget) == []
    assert lane.high_water == 0


def test_small_messages_are_not_cut_to_fill_a_frame() -> None:
    lane = sender()
    lane.append(b"a" * 20)
    lane.append(b"b" * 50)
    (batch,) = records(lane, 110 - 28)
    assert isinstance(batch, Batch)
    assert (batch.bodies, batch.remaining) == ([b"a" * 20], 0)
    assert lane.cursor == Position(1, 0)


@pytest.mark.parametrize("budget", range(1_000, 1_136, 8))
def test_small_messages_are_not_cut_behind_those_of_the_same_frame(budget: int) -> None:
    lane = sender(SessionLimits())
    for _ in range(100):
        lane.append(b"x" * 64)
    came = 0
    while lane.has_unsent:
        for record in records(lane, budget):
            assert isinstance(record, Batch)
            assert (record.number, record.offset, record.remaining) == (came, 0, 0)
            came += len(record.bodies)
    assert came == 100


def test_large_messages_fill_the_frame() -> None:
    lane = sender()
    lane.append(b"a" * 20)
    lane.append(b"b" * 50)
    (batch,) = records(lane, 82, cut_from=50)
    assert isinstance(batch, Batch)
    assert (list(map(len, batch.bodies)), batch.remaining) == ([20, 26], 24)
    assert lane.cursor == Position(1, 26)
    (rest,) = records(lane)
    assert rest == Batch(0, 1, 1, 26, 0, [b"b" * 24])


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=3), min_size=1, max_size=6),
    st.lists(st.integers(48, 200), min_size=1, max_size=4),
    st.sampled_from([1, 10, 16 << 10]),
    st.booleans(),
)
def test_any_cut_adds_up_to_the_same_bytes(
    messages: list[list[bytes]], budgets: list[int], cut_from: int, details: bool
) -> None:
    limits = replace(SMALL, log_messages=100, log_size=10_000, window_size=10_000, batch_messages=2)
    lane = sender(limits)
    bodies: list[Body] = [Parts(tuple(parts)) if len(parts) > 1 else parts[0] for parts in messages]
    for index, body in enumerate(bodies):
        lane.append(body, EntryDetail((1, index), None) if details and index % 2 else None)
    got: dict[int, bytes] = {}
    columns: dict[int, tuple[int, int]] = {}
    turn = 0
    while lane.has_unsent:
        budget = budgets[turn % len(budgets)] + 13 * details
        turn += 1
        assert turn < 500
        for record in records(lane, budget, cut_from=cut_from):
            assert isinstance(record, Batch)
            for index, piece in enumerate(record.bodies):
                number = record.number + index
                assert len(got.get(number, b"")) == (record.offset if index == 0 else 0)
                got[number] = got.get(number, b"") + piece
                columns[number] = record.correlations[index] if record.correlations else (0, 0)
    assert [got[n] for n in range(len(messages))] == [b"".join(parts) for parts in messages]
    assert columns == {n: (1, n) if details and n % 2 else (0, 0) for n in range(len(messages))}
    assert lane.charged_size == sum(map(len, bodies))
    assert lane.replayed == 0


def test_keys_travel_with_the_messages_that_have_them() -> None:
    lane = sender()
    lane.append(b"a", EntryDetail(key="k"))
    lane.append(b"b")
    lane.append(b"c", EntryDetail((2, 7), "longer"))
    (batch,) = records(lane)
    assert isinstance(batch, Batch)
    assert batch.keys == ["k", None, "longer"]
    assert batch.correlations == [(0, 0), (0, 0), (2, 7)]


def test_columns_are_cut_with_the_batch() -> None:
    lane = sender()
    for index in range(3):
        lane.append(b"x" * 20, EntryDetail((1, index), "key"))
    seen = []
    while lane.has_unsent:
        (batch,) = records(lane, 80)
        assert isinstance(batch, Batch)
        assert batch.correlations is not None and batch.keys is not None
        seen += list(zip(batch.correlations, batch.keys, strict=True))
    assert seen == [((1, 0), "key"), ((1, 1), "key"), ((1, 2), "key")]


def test_no_credit_no_frame() -> None:
    lane = SendLane(0, SMALL, Overflow.BLOCK, None)
    lane.bind("w", 1)
    fill_log(lane, 1)
    assert records(lane) == []
    assert lane.blocked


# -- credit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("messages", "size", "session", "sent"),
    [
        (2, 100, None, 2),
        (8, 25, None, 2),
        (8, 100, 35, 3),
        (0, 100, None, 0),
        (8, 0, None, 0),
        (8, 100, 0, 0),
        (4, 40, 40, 4),
    ],
)
def test_credit_of_lane_and_session_holds_back_what_is_new(
    messages: int, size: int, session: int | None, sent: int
) -> None:
    lane = SendLane(0, SMALL, Overflow.BLOCK, SendCredit(session) if session is not None else None)
    lane.allow(messages, size)
    lane.bind("w", 1)
    fill_log(lane, 4, 10)
    got = records(lane)
    assert sum(len(batch.bodies) for batch in got if isinstance(batch, Batch)) == sent
    assert lane.blocked == (sent < 4)
    if session is not None:
        assert lane.session_credit is not None and lane.session_credit.left == session - 10 * sent


def test_the_whole_message_is_charged_at_its_first_byte() -> None:
    session = SendCredit(100)
    lane = sender(session=session)
    lane.append(b"x" * 90)
    records(lane, 60)
    assert (lane.charged_size, lane.charged_messages, session.left) == (90, 1, 10)
    records(lane)
    assert (lane.charged_size, lane.charged_messages, session.left) == (90, 1, 10)


def test_replay_costs_no_credit_and_is_counted() -> None:
    lane = sender()
    fill_log(lane, 8, 10)
    first = records(lane)
    lane.bind("v", 2)
    again = records(lane)
    assert [record.bodies for record in first if isinstance(record, Batch)] == [
        record.bodies for record in again if isinstance(record, Batch)
    ]
    assert (lane.charged_messages, lane.charged_size, lane.replayed) == (8, 80, 8)


def test_credit_is_absolute_and_never_falls() -> None:
    lane = SendLane(0, SMALL, Overflow.BLOCK, None)
    assert lane.allow(5, 50)
    assert not lane.allow(4, 40)
    assert lane.allow(4, 60)
    assert (lane.credit_messages, lane.credit_size) == (5, 60)


# -- acks and binding -------------------------------------------------------------------------------


def test_acks_trim_the_log_and_old_ones_change_nothing() -> None:
    lane = sender()
    fill_log(lane, 4, 10)
    records(lane)
    assert lane.acknowledge(ack(3, processed=1))
    assert not lane.acknowledge(ack(2, processed=1))
    assert lane.acked == Position(3, 0)
    assert (lane.log.base, lane.log.size) == (3, 10)
    assert lane.acknowledge(ack(2, processed=2))
    assert lane.acknowledge(ack(2, processed=2, durable=1))
    assert (lane.acked, lane.processed, lane.durable) == (Position(3, 0), 2, 1)


@pytest.mark.parametrize(
    ("position", "text"),
    [((3, 0), "only 2"), ((2, 1), "only 2"), ((1, 10), "of an entry of 10"), ((1, 11), "of an entry of 10")],
)
def test_acks_of_what_was_never_sent_are_refused(position: tuple[int, int], text: str) -> None:
    lane = sender()
    fill_log(lane, 2, 10)
    records(lane)
    lane.append(b"unsent")
    with pytest.raises(ProtocolError, match=text):
        lane.acknowledge(ack(*position))


def test_a_partial_ack_resumes_inside_the_message() -> None:
    lane = sender()
    lane.append(b"abcdefghij" * 8)
    records(lane, 60)
    lane.acknowledge(ack(0, 20))
    lane.bind("v", 2)
    (batch,) = records(lane)
    assert isinstance(batch, Batch)
    assert (batch.epoch, batch.offset, batch.bodies) == (2, 20, [b"abcdefghij" * 6])


def test_bind_goes_back_to_the_highest_ack_and_needs_a_new_epoch() -> None:
    lane = sender()
    fill_log(lane, 4)
    records(lane)
    lane.acknowledge(ack(2))
    wires = [lane.wire]
    lane.unbind()
    wires.append(lane.wire)
    lane.bind("v", 2)
    assert [*wires, lane.wire] == ["w", None, "v"]
    assert lane.cursor == Position(2, 0)
    with pytest.raises(RuntimeError, match="not above 2"):
        lane.bind("w", 2)


def test_an_ack_moves_the_cursor_forward_after_a_bind() -> None:
    lane = sender()
    fill_log(lane, 4)
    records(lane)
    lane.bind("v", 2)
    lane.acknowledge(ack(3))
    assert lane.cursor == Position(3, 0)


@pytest.mark.parametrize(
    ("prepare", "asked"), [("nothing", False), ("blocked", True), ("wanted", True), ("messages", True), ("size", True)]
)
def test_an_ack_is_asked_for_when_somebody_waits_or_something_fills_up(prepare: str, asked: bool) -> None:
    lane = sender()
    if prepare == "blocked":
        lane.credit_messages = 1
        fill_log(lane, 2)
    elif prepare == "messages":
        fill_log(lane, 4)
    elif prepare == "size":
        lane.append(b"x" * 50)
    else:
        lane.append(b"x")
    if prepare == "wanted":
        lane.ack_wanted = 1
        assert not lane.ack_now  # nothing to ask about before it is sent
    records(lane)
    assert lane.ack_now is asked
    if prepare == "wanted":
        lane.acknowledge(ack(1))
        assert not lane.ack_now


def test_the_end_asks_for_its_ack() -> None:
    lane = sender()
    assert lane.finish() == 0
    records(lane)
    assert lane.ack_now


# -- the end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("final", "lost"),
    [
        (None, [(1, Outcome.UNKNOWN), (2, Outcome.UNKNOWN), (4, Outcome.NEVER_ACCEPTED)]),
        (Position(0, 0), [(1, Outcome.NEVER_ACCEPTED), (2, Outcome.NEVER_ACCEPTED), (4, Outcome.NEVER_ACCEPTED)]),
        (Position(2, 5), [(2, Outcome.NEVER_ACCEPTED), (4, Outcome.NEVER_ACCEPTED)]),
        (Position(3, 0), [(4, Outcome.NEVER_ACCEPTED)]),
        (Position(99, 0), [(4, Outcome.NEVER_ACCEPTED)]),
    ],
)
def test_the_end_leaves_exactly_what_was_not_confirmed(final: Position | None, lost: list[tuple[int, Outcome]]) -> None:
    lane = sender()
    fill_log(lane, 3, 10)
    records(lane)
    lane.acknowledge(ack(1))
    fill_log(lane, 2, 10)
    lane.discard(3, DropReason.OLDEST)
    assert lane.unconfirmed(final) == lost
