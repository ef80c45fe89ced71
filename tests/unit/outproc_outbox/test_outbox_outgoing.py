"""The sending side of one dest: windows, marks, attempts, dead letters, and files restored from backups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from litz.errors import ProtocolError
from outproc.outbox.outgoing import CACHE_BYTES, CACHE_MESSAGES, Outgoing, heard, is_ours
from outproc.outbox.records import MAX_COUNT, MAX_PAYLOAD, Accept, Ack, Data, Part, decode_from_outbox
from outproc.outbox.store import Peer, Row, Run

BOOT, OTHER = b"b" * 16, b"o" * 16
ACCEPT = Accept(True, 1, b"r" * 16, 0, 0, 100, 1 << 20, 1 << 20, BOOT)


def outgoing(
    accept: Accept = ACCEPT, peer: Peer | None = None, *, another: bool = False, attempts: int = 16
) -> Outgoing:
    return Outgoing(accept, peer or Peer(boot=BOOT), another=another, max_attempts=attempts)


def rows(first: int, last: int, size: int = 4) -> list[Row]:
    return [Row(number, "", number.to_bytes(4, "big") * (size // 4), 0, False) for number in range(first, last + 1)]


def post(out: Outgoing) -> Data | Part | None:
    buffers = out.next()
    if buffers is None:
        return None
    said = decode_from_outbox(memoryview(b"".join(buffers)))
    assert isinstance(said, Data | Part)
    out.posted()
    return said


def sent(out: Outgoing) -> list[int]:
    numbers: list[int] = []
    while (said := post(out)) is not None:
        assert isinstance(said, Data)
        numbers += said.sequences
    return numbers


def wants(out: Outgoing) -> bool:
    return out.wants_read


def test_the_window_holds_messages_back_until_they_are_committed() -> None:
    out = outgoing(replace(ACCEPT, window_messages=3))
    out.add_read(rows(1, 10), complete=True)
    assert sent(out) == [1, 2, 3]
    assert out.acked(Ack(2, 3, 1 << 20))
    assert sent(out) == [4, 5]
    assert not out.acked(Ack(2, 3, 1 << 20))
    assert sent(out) == []


def test_the_window_in_bytes_lets_one_message_of_any_size_through() -> None:
    out = outgoing(replace(ACCEPT, window_bytes=10))
    out.add_read(rows(1, 2, size=40), complete=True)
    assert sent(out) == [1]
    out.acked(Ack(1, 100, 10))
    assert sent(out) == [2]


def test_an_ack_of_what_was_never_sent_is_refused() -> None:
    out = outgoing(replace(ACCEPT, window_messages=1))
    out.add_read(rows(1, 2), complete=True)
    assert sent(out) == [1]
    with pytest.raises(ProtocolError, match="2"):
        out.acked(Ack(2, 1, 1 << 20))


def test_what_the_peer_has_taken_already_is_not_sent_again_but_counts_in_its_window() -> None:
    out = outgoing(replace(ACCEPT, committed=2, received=4, window_messages=3))
    assert out.read_after == 2
    out.add_read(rows(3, 9), complete=True)
    assert sent(out) == [5]
    out.acked(Ack(4, 3, 1 << 20))
    assert sent(out) == [6, 7]


def test_what_is_committed_before_it_is_read_takes_no_room_in_the_window() -> None:
    """Its ack is the only one that comes: the next message is as large as the window (seed 1025)."""
    out = outgoing(replace(ACCEPT, received=1, window_bytes=10))
    assert out.acked(Ack(1, 100, 10))
    out.add_read(rows(1, 2, size=12), complete=True)
    assert sent(out) == [2]


def test_a_large_message_travels_in_pieces_and_nothing_comes_between_them() -> None:
    out = outgoing()
    large = Row(1, "key", b"x" * (2 * MAX_PAYLOAD + 5), 0, False)
    out.add_read([large, *rows(2, 3)], complete=True)
    pieces = []
    while isinstance(said := post(out), Part):
        pieces.append(said)
    assert [piece.offset for piece in pieces] == [0, MAX_PAYLOAD, 2 * MAX_PAYLOAD]
    assert b"".join(piece.body for piece in pieces) == large.data
    assert [piece.key for piece in pieces] == ["key", "", ""]
    assert isinstance(said, Data)
    assert list(said.sequences) == [2, 3]


def test_a_batch_is_cut_by_count_and_by_bytes() -> None:
    out = outgoing(replace(ACCEPT, window_messages=1 << 20, window_bytes=1 << 30))
    out.add_read(rows(1, MAX_COUNT + 1), complete=True)
    first = post(out)
    assert isinstance(first, Data)
    assert len(first.sequences) == MAX_COUNT
    assert sent(out) == [MAX_COUNT + 1]
    out.add_committed(rows(5000, 5003, size=MAX_PAYLOAD // 2))
    second = post(out)
    assert isinstance(second, Data)
    assert len(second.sequences) == 2


def test_only_what_another_process_of_the_peer_may_have_had_is_marked() -> None:
    peer, another = heard(Peer(tried=2, boot=OTHER), ACCEPT)
    assert another
    out = outgoing(peer=peer, another=another)
    out.add_read(rows(1, 4), complete=True)
    said = post(out)
    assert isinstance(said, Data)
    assert list(said.marks) == [1, 1, 0, 0]
    same, another = heard(replace(peer, tried=4), ACCEPT)
    assert not another
    out = outgoing(peer=same)
    out.add_read(rows(1, 4), complete=True)
    said = post(out)
    assert isinstance(said, Data)
    assert list(said.marks) == [1, 1, 0, 0], "the same process has had 3 and 4, and tells what it received"


def test_a_message_at_which_processes_die_is_counted_and_becomes_a_dead_letter() -> None:
    peer = Peer(tried=2, suspect=2, boot=BOOT)
    out = outgoing(peer=peer, another=True, attempts=3)
    out.add_read(rows(1, 3), complete=True)
    assert out.take_findings().attempts == {1: 1}
    out = outgoing(peer=peer, another=True, attempts=3)
    out.add_read([rows(1, 1)[0]._replace(attempts=2), *rows(2, 3)], complete=True)
    found = out.take_findings()
    assert (found.dead, found.attempts) == ([(1, "attempts")], {})
    assert sent(out) == [], "not before it is written down: with the ack of 2 it would be deleted"
    out.buried([1])
    assert sent(out) == [2, 3]
    assert out.take_findings().dead == []


def test_attempts_that_are_not_in_the_store_yet_count() -> None:
    """A receiver that dies again at once: the store is read before the last attempt is committed."""
    peer = Peer(tried=3, suspect=3, boot=BOOT)
    out = Outgoing(ACCEPT, peer, another=True, max_attempts=3, counted={1: 2})
    out.add_read([*rows(1, 3)], complete=True)
    assert out.take_findings().dead == [(1, "attempts")]


def test_a_message_that_was_never_sent_is_not_blamed() -> None:
    out = outgoing(peer=Peer(tried=0, suspect=0, boot=BOOT), another=True, attempts=1)
    out.add_read(rows(1, 2), complete=True)
    assert out.take_findings().dead == []
    assert sent(out) == [1, 2]


def test_the_first_process_that_is_heard_has_taken_over_from_nobody() -> None:
    peer, another = heard(Peer(tried=2), ACCEPT)
    assert (peer.suspect, another) == (2, False), "the sender may have died before it wrote down whom it heard"


def test_a_message_the_peer_cannot_take_becomes_a_dead_letter_and_the_others_go() -> None:
    out = outgoing(replace(ACCEPT, max_message=8))
    out.add_read([*rows(1, 1), *rows(2, 2, size=12), *rows(3, 3)], complete=True)
    assert sent(out) == [1]
    assert out.take_findings().dead == [(2, "too large")]
    assert sent(out) == []
    out.buried([2])
    assert sent(out) == [3]


def test_more_than_fits_into_memory_is_read_when_its_turn_comes() -> None:
    out = outgoing(replace(ACCEPT, window_messages=1 << 20, window_bytes=1 << 30))
    assert wants(out)
    out.add_read([], complete=True)
    assert not wants(out)
    out.add_committed(rows(1, CACHE_MESSAGES))
    out.add_committed(rows(CACHE_MESSAGES + 1, CACHE_MESSAGES + 2))
    assert not out.complete
    assert not wants(out), "there is enough here"
    out.add_committed(rows(CACHE_MESSAGES + 3, CACHE_MESSAGES + 3))
    assert sent(out) == list(range(1, CACHE_MESSAGES + 1))
    assert wants(out)
    assert out.read_after == CACHE_MESSAGES
    out.add_read(rows(CACHE_MESSAGES + 1, CACHE_MESSAGES + 3), complete=True)
    assert sent(out) == [CACHE_MESSAGES + 1, CACHE_MESSAGES + 2, CACHE_MESSAGES + 3]
    out.add_committed(rows(CACHE_MESSAGES + 4, CACHE_MESSAGES + 4, size=CACHE_BYTES + 4))
    assert wants(out)


RUNS = [Run(1, b"1" * 16, 1), Run(2, b"2" * 16, 51), Run(4, b"4" * 16, 80)]


@pytest.mark.parametrize(
    ("epoch", "token", "received", "ours"),
    [
        (2, b"2", 79, True),
        (2, b"2", 80, False),  # the run had no such message: it lost it
        (1, b"1", 50, True),
        (4, b"4", 90, True),
        (4, b"4", 91, False),
        (3, b"3", 60, False),  # a run that this file knows nothing of
        (2, b"x", 60, False),
    ],
)
def test_a_file_restored_from_a_backup_is_told_by_what_the_inbox_knows(
    epoch: int, token: bytes, received: int, ours: bool
) -> None:
    assert is_ours(replace(ACCEPT, epoch=epoch, run=token * 16, received=received), RUNS, 90) is ours


def test_an_inbox_that_knows_nothing_is_fine() -> None:
    assert is_ours(replace(ACCEPT, known=False), RUNS, 90)
