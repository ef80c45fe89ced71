"""What a lane answers about one more message, and about many: quotas and overflow policies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from litz.events import DropReason
from outproc.frames.records import Ack, Batch, Position
from outproc.session.limits import Overflow
from outproc.session.log import EntryDetail
from outproc.session.send_lane import Admission, SendLane
from tests.unit.outproc_session.lanes import SMALL, records, sender


def ack(number: int, offset: int = 0, processed: int = 0, durable: int = 0) -> Ack:
    return Ack(0, Position(number, offset), processed, durable)


def fill_log(lane: SendLane, count: int = 8, size: int = 1) -> None:
    for _ in range(count):
        lane.append(b"x" * size)


# -- appending --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "held", "granted"),
    [
        ((2, 1_000, 1), (0, 0), 2),
        ((100, 1_000, 1), (0, 0), 8),
        ((100, 1_000, 1), (3, 1), 5),
        ((100, 1_000, 20), (0, 0), 5),
        ((100, 1_000, 20), (1, 70), 1),
        ((100, 40, 20), (0, 0), 2),
        ((100, 1_000, 101), (0, 0), 0),
        ((100, 1_000, 20), (1, 90), 0),
        ((100, 1_000, 1), (8, 1), 0),
    ],
)
def test_a_quota_is_what_the_log_has_room_for(asked: tuple[int, int, int], held: tuple[int, int], granted: int) -> None:
    lane = sender()
    fill_log(lane, *held)
    quota = lane.open_quota(*asked)
    assert (len(quota.numbers) if quota is not None else 0) == granted
    if quota is not None:
        for number in quota.numbers:
            assert number == lane.log.next_number
            quota.bodies.append(b"y" * asked[2])
        lane.close_quota()
        assert lane.log.size == held[0] * held[1] + granted * asked[2]
        assert lane.log.count == held[0] + granted


def test_closing_twice_counts_once() -> None:
    lane = sender()
    lane.close_quota()
    quota = lane.open_quota(8, 100, 10)
    assert quota is not None
    quota.bodies.append(b"abc")
    lane.close_quota()
    lane.close_quota()
    assert lane.log.size == 3


def test_a_finished_lane_opens_no_quota() -> None:
    lane = sender()
    lane.finish()
    assert lane.open_quota(10, 100, 1) is None


@pytest.mark.parametrize("by", ["messages", "size"])
def test_a_batch_is_full_when_one_more_message_or_its_bytes_make_it_and_a_flush_starts_anew(by: str) -> None:
    limits = replace(SMALL, batch_messages=4) if by == "messages" else replace(SMALL, flush_size=30)
    lane = sender(limits)
    lane.append(b"x" * 10)
    quota = lane.open_quota(2, 100, 10)
    assert quota is not None
    quota.bodies.append(b"x" * 10)
    lane.close_quota()
    full = [lane.batch_is_full]
    lane.append(b"x" * 10)
    full.append(lane.batch_is_full)
    lane.flushed()
    assert [*full, lane.batch_is_full] == [False, True, False]


def test_an_empty_log_takes_one_message_of_any_size() -> None:
    lane = sender(replace(SMALL, log_size=10))
    assert lane.admit(90) == (Admission.ACCEPT, [])
    lane.append(b"x" * 90)
    assert lane.admit(0)[0] is Admission.WAIT


@pytest.mark.parametrize(
    ("overflow", "decision", "dropped"),
    [
        (Overflow.BLOCK, Admission.WAIT, []),
        (Overflow.REJECT, Admission.REFUSE, []),
        (Overflow.FAIL, Admission.FAIL, []),
        (Overflow.DROP_NEWEST, Admission.DROP, []),
        (Overflow.KEEP_LATEST, Admission.REFUSE, []),
        (Overflow.DROP_OLDEST, Admission.ACCEPT, [(0, DropReason.OLDEST)]),
    ],
)
def test_a_full_log_does_what_its_policy_says(
    overflow: Overflow, decision: Admission, dropped: list[tuple[int, DropReason]]
) -> None:
    lane = sender(overflow=overflow)
    assert lane.admit(1) == (Admission.ACCEPT, [])
    fill_log(lane)
    assert lane.admit(1) == (decision, dropped)


def test_drop_oldest_spares_what_a_wire_has_seen() -> None:
    lane = sender(overflow=Overflow.DROP_OLDEST)
    fill_log(lane, 3, 10)
    records(lane)
    fill_log(lane, 5, 10)
    assert lane.admit(40) == (Admission.ACCEPT, [(3, DropReason.OLDEST), (4, DropReason.OLDEST)])
    assert list(lane.log.messages()) == [0, 1, 2, 5, 6, 7]


def test_drop_oldest_drops_nothing_for_a_message_that_then_finds_no_room() -> None:
    lane = sender(overflow=Overflow.DROP_OLDEST)
    lane.append(b"x" * 90)
    records(lane)
    lane.append(b"y" * 5)
    assert lane.admit(20) == (Admission.REFUSE, [])
    assert lane.log.count == 2


def test_drops_are_judged_by_the_high_water_mark_and_not_by_the_cursor() -> None:
    lane = sender(overflow=Overflow.DROP_OLDEST)
    fill_log(lane)
    records(lane)
    lane.bind("v", 2)
    assert lane.cursor == Position(0, 0)
    assert lane.admit(1) == (Admission.REFUSE, [])
    with pytest.raises(RuntimeError, match="has been transmitted"):
        lane.discard(0, DropReason.OLDEST)


def test_the_first_byte_counts_as_transmitted() -> None:
    lane = sender()
    lane.append(b"x" * 100)
    (part,) = records(lane, 60)
    assert isinstance(part, Batch) and part.remaining
    with pytest.raises(RuntimeError, match="has been transmitted"):
        lane.discard(0, DropReason.OLDEST)


def test_keep_latest_replaces_the_older_of_a_key_full_or_not() -> None:
    lane = sender(overflow=Overflow.KEEP_LATEST)
    lane.append(b"old", EntryDetail(key="k"))
    lane.append(b"other", EntryDetail(key="j"))
    assert lane.admit(3, "k") == (Admission.ACCEPT, [(0, DropReason.SUPERSEDED)])
    assert lane.admit(3, "new") == (Admission.ACCEPT, [])
    assert lane.admit(3) == (Admission.ACCEPT, [])
    lane.append(b"sent", EntryDetail(key="k"))
    records(lane)
    assert lane.admit(3, "k") == (Admission.ACCEPT, [])


def test_keep_latest_never_loses_the_latest_to_a_message_that_finds_no_room() -> None:
    lane = sender(overflow=Overflow.KEEP_LATEST)
    lane.append(b"x" * 80)
    lane.append(b"old", EntryDetail(key="k"))
    assert lane.admit(50, "k") == (Admission.REFUSE, [])
    assert lane.log.latest == {"k": 1}
