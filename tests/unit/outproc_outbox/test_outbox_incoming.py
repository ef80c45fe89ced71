"""The receiving side of one outbox: what is new, what is not, and what may be said to be done."""

from __future__ import annotations

import tracemalloc

import pytest

from litz.errors import ProtocolError
from outproc.outbox.incoming import Incoming, Taken
from outproc.outbox.records import Accept, Data, Open, Part, Refuse, RefuseCode
from outproc.outbox.store import Position

RUN, NEXT, BOOT = b"r" * 16, b"n" * 16, b"b" * 16
OPEN = Open(2, b"p" * 16, RUN)


def incoming(position: Position | None = None, applied: tuple[int, ...] = (), *, messages: int = 8) -> Incoming:
    made = Incoming(position, applied, messages=messages, size=1000, max_message=100)
    assert isinstance(made.open(OPEN, BOOT), Accept)
    return made


def data(*sequences: int, size: int = 1) -> Data:
    return Data(sequences, [0] * len(sequences), None, [b"x" * size] * len(sequences))


def numbers(taken: list[Taken]) -> list[int]:
    return [row.sequence for row in taken]


def test_each_message_is_taken_once_over_sessions_and_restarts() -> None:
    first = incoming()
    assert numbers(first.take(data(3, 5))) == [3, 5]
    first.closed()
    answer = first.open(OPEN, BOOT)
    assert isinstance(answer, Accept)
    assert (answer.known, answer.committed, answer.received) == (True, 0, 5)
    assert numbers(first.take(data(3, 5, 9))) == [9]
    first.processed(5)
    position = first.position()
    assert position == Position(2, RUN, 5)
    first.committed_to(5)
    restarted = incoming(position)
    assert numbers(restarted.take(data(3, 5, 9, 11))) == [9, 11]
    assert restarted.duplicates == 2


def test_a_lower_epoch_is_refused_and_a_higher_one_counts_once_it_sends() -> None:
    made = incoming(Position(2, RUN, 10))
    refused = made.open(Open(1, b"p" * 16, NEXT), BOOT)
    assert refused == Refuse(RefuseCode.FENCED, 2, RUN)
    with pytest.raises(ProtocolError, match="before OPEN"):
        made.take(data(11))
    answer = made.open(Open(3, b"p" * 16, NEXT), BOOT)
    assert isinstance(answer, Accept)
    assert (answer.epoch, answer.run) == (2, RUN)
    assert isinstance(made.open(OPEN, BOOT), Accept), "nobody has sent anything in epoch 3"
    made.open(Open(3, b"p" * 16, NEXT), BOOT)
    made.take(data(11))
    assert isinstance(made.open(OPEN, BOOT), Refuse)


def incoming_in_epoch_two() -> Incoming:
    return incoming(Position(2, RUN, 10))


def test_effects_committed_ahead_are_not_handled_again_and_end_with_the_position() -> None:
    made = incoming(Position(2, RUN, 10), (12, 14))
    assert numbers(made.take(data(11, 12, 13, 14))) == [11, 13]
    made.processed(13)
    assert made.position() == Position(2, RUN, 13)
    made.committed_to(13)
    assert made.applied == {14}
    made.processed(None)
    assert made.position() == Position(2, RUN, 14)
    made.committed_to(14)
    assert made.applied == set()
    assert made.position() is None


def test_what_is_next_is_known_although_handlers_overtake_each_other() -> None:
    made = incoming_in_epoch_two()
    made.take(data(20, 30, 40))
    assert made.is_next(20)
    assert not made.is_next(30)
    made.processed(20)
    assert made.is_next(30)
    made.committed_to(30)
    assert made.is_next(40)
    made.processed(40)
    assert not made.is_next(40)


def test_more_than_the_window_costs_the_peer_its_wire() -> None:
    made = incoming(messages=2)
    made.take(data(1, 2))
    with pytest.raises(ProtocolError, match="window"):
        made.take(data(3, 4, 5))
    assert (made.received, made.waiting) == (2, 2), "nothing of it was taken"
    with pytest.raises(ProtocolError, match="before OPEN"):
        made.take(data(6))
    made.open(OPEN, BOOT)
    made.take(data(3, 4))
    made = incoming()
    with pytest.raises(ProtocolError, match="over the limit"):
        made.take(data(1, size=101))
    made.open(OPEN, BOOT)
    made.take(data(*range(1, 8), size=100))
    made.committed_to(7)
    assert made.waiting == 0
    made.take(data(8, size=100))


def test_a_message_in_the_smallest_pieces_costs_about_its_size() -> None:
    size = 100_000
    made = Incoming(None, (), messages=8, size=1000, max_message=size)
    made.open(OPEN, BOOT)
    tracemalloc.start()
    try:
        for offset in range(0, size - 2, 2):
            made.take_part(Part(7, 0, "", size, offset, b"%02d" % (offset % 100)))
        assert tracemalloc.get_traced_memory()[0] < 5 * size
    finally:
        tracemalloc.stop()


def test_pieces_make_one_message_and_what_does_not_fit_is_refused() -> None:
    made = incoming()
    assert made.take_part(Part(7, 1, "k", 6, 0, b"abc")) is None
    assert made.take_part(Part(7, 1, "", 6, 3, b"def")) == Taken(7, "k", True, b"abcdef")
    assert made.take_part(Part(7, 1, "k", 3, 0, b"abc")) is None, "it is here"
    made.take_part(Part(8, 0, "", 6, 0, b"abc"))
    with pytest.raises(ProtocolError, match="inside another"):
        made.take(data(9))
    for bad in (Part(8, 0, "", 6, 4, b"ef"), Part(9, 0, "", 6, 3, b"def"), Part(8, 0, "", 7, 3, b"def")):
        made.open(OPEN, BOOT)
        made.take_part(Part(8, 0, "", 6, 0, b"abc"))
        with pytest.raises(ProtocolError, match="do not fit"):
            made.take_part(bad)
    made.open(OPEN, BOOT)
    with pytest.raises(ProtocolError, match="beginning"):
        made.take_part(Part(10, 0, "", 6, 3, b"def"))
    made.open(OPEN, BOOT)
    with pytest.raises(ProtocolError, match="over the limit"):
        made.take_part(Part(10, 0, "", 101, 0, b"def"))


def test_a_cut_inside_a_message_begins_it_anew() -> None:
    made = incoming()
    made.take_part(Part(7, 0, "", 6, 0, b"abc"))
    made.closed()
    with pytest.raises(ProtocolError, match="before OPEN"):
        made.take_part(Part(7, 0, "", 6, 3, b"def"))
    made.open(OPEN, BOOT)
    made.take_part(Part(7, 0, "", 6, 0, b"abc"))
    assert made.take_part(Part(7, 0, "", 6, 3, b"def")) is not None


def test_without_any_message_there_is_nothing_to_commit() -> None:
    made = incoming()
    made.processed(None)
    assert made.position() is None
    with pytest.raises(RuntimeError):
        made.position_at(3)
