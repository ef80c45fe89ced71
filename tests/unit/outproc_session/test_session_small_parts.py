"""Limits, reassembly, tombstones and unsent control."""

from __future__ import annotations

import tracemalloc

import pytest

from litz.errors import ProtocolError
from outproc.frames.decode import decode_frame
from outproc.frames.encode import frame_header
from outproc.frames.layout import ACK_LAYOUT, CREDIT_LAYOUT, NUMBER_LAYOUT
from outproc.frames.records import Ack, Credit, Position, SessionCredit
from outproc.session.control import NOTHING, Control, Unsent
from outproc.session.identity import Half, Incarnation, Pair
from outproc.session.limits import SessionLimits
from outproc.session.reassembly import Reassembly
from outproc.session.receive_lane import ReceiveCredit
from outproc.session.tombstones import Finals, Tombstones
from tests.unit.outproc_session.lanes import receiver

# -- limits -----------------------------------------------------------------------------------------

COUNTS = (
    "log_messages",
    "log_size",
    "window_messages",
    "window_size",
    "session_window_size",
    "max_message",
    "max_wires",
    "batch_messages",
    "batch_size",
    "flush_size",
    "bulk_frame",
    "max_faults",
    "lossy_messages",
    "lossy_size",
)


@pytest.mark.parametrize("name", COUNTS)
def test_zero_never_means_unlimited(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1"):
        SessionLimits(**{name: 0})


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="could never arrive"):
        SessionLimits(max_message=11, window_size=10)
    with pytest.raises(ValueError, match="could never arrive"):
        SessionLimits(max_message=11, session_window_size=10)
    with pytest.raises(ValueError, match="batch_messages is at most"):
        SessionLimits(batch_messages=65_536)


def test_tiny_pieces_cost_about_their_size_and_not_an_object_each() -> None:
    """The peer is granted bytes of messages; in pieces of two bytes each they must not take twenty times as many."""
    message = Reassembly(100_000)
    tracemalloc.start()
    try:
        for number in range(49_999):
            assert message.add(number.to_bytes(2, "little")) is None
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 200_000
    whole = message.add(b"<>")
    assert whole is not None
    assert whole == b"".join(number.to_bytes(2, "little") for number in range(49_999)) + b"<>"


def test_reassembly() -> None:
    message = Reassembly(5)
    message.check(5)
    assert message.add(b"ab") is None
    with pytest.raises(ProtocolError, match="makes a message 6 bytes that has 5"):
        message.check(4)
    message.check(3)
    assert message.add(b"cde") == b"abcde"


# -- tombstones -------------------------------------------------------------------------------------


def pair(number: int) -> Pair:
    return Pair(Half(Incarnation(1, 1), number), Half(Incarnation(2, 2), number))


def finals(number: int) -> Finals:
    return Finals.of([Ack(0, Position(number, 0), 0, 0)])


def test_the_first_final_statement_stands() -> None:
    stones = Tombstones()
    stones.bury(pair(1), finals(1), 0.0)
    stones.bury(pair(1), finals(2), 1.0)
    assert stones.look_up(pair(1), 2.0) == finals(1)
    assert stones.look_up(pair(1).flipped(), 2.0) is None
    assert stones.look_up(pair(2), 2.0) is None


def test_tombstones_are_bounded_in_age_and_number() -> None:
    stones = Tombstones(keep=10.0, limit=2)
    for number in range(3):
        stones.bury(pair(number), finals(number), float(number))
    assert len(stones) == 2
    assert stones.look_up(pair(0), 3.0) is None
    assert stones.look_up(pair(1), 10.9) == finals(1)
    assert stones.look_up(pair(1), 11.0) is None
    assert stones.look_up(pair(2), 12.0) is None
    assert len(stones) == 0


# -- unsent control ---------------------------------------------------------------------------------


def test_the_deadline_is_never_put_off() -> None:
    unsent = Unsent()
    unsent.ack(0, 5.0)
    unsent.ack(0, 9.0)
    unsent.credit(0, 7.0, session=False)
    dues = [unsent.due]
    unsent.ack(2, 1.0)
    assert [*dues, unsent.due] == [5.0, 1.0]


def test_what_goes_out_is_no_longer_unsent() -> None:
    unsent = Unsent()
    unsent.everything([0, 1], 3.0)
    assert unsent.choose(10_000) == Control((0, 1), (0, 1), session_credit=True)
    unsent.sent(Control((0,), (1,), session_credit=False))
    states = [(bool(unsent), unsent.due)]
    unsent.sent(Control((1,), (0,), session_credit=True))
    assert [*states, (bool(unsent), unsent.due)] == [(True, 3.0), (False, None)]
    assert unsent.choose(10_000) is NOTHING


@pytest.mark.parametrize(
    ("room", "acks", "grants", "session"),
    [
        (0, 0, 0, False),
        (NUMBER_LAYOUT.size, 0, 0, True),
        (NUMBER_LAYOUT.size + CREDIT_LAYOUT.size, 0, 1, True),
        (NUMBER_LAYOUT.size + ACK_LAYOUT.size, 1, 0, True),
        (NUMBER_LAYOUT.size + 2 * ACK_LAYOUT.size + CREDIT_LAYOUT.size, 2, 1, True),
    ],
)
def test_as_much_as_fits_is_chosen(room: int, acks: int, grants: int, session: bool) -> None:
    unsent = Unsent()
    unsent.everything([0, 2], 0.0)
    control = unsent.choose(room)
    assert (len(control.acks), len(control.credits), control.session_credit) == (acks, grants, session)
    assert control.size <= room


def test_control_has_the_values_of_the_moment_and_the_size_it_says() -> None:
    lane = receiver()
    lane.expected = Position(3, 1)
    lane.consumed(2, 5, 2)
    credit = ReceiveCredit(100, consumed=7)
    control = Control((0,), (0,), session_credit=True)
    encoded = control.encode({0: lane}, credit, {})
    assert len(encoded) == control.size
    assert decode_frame(frame_header(0) + encoded)[2] == [
        Ack(0, Position(3, 1), 2, 0),
        Credit(0, 10, 205),
        SessionCredit(107),
    ]
    assert NOTHING.size == 0
