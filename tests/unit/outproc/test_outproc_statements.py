"""What one handshake frame has room for, and what it says of the rest."""

from __future__ import annotations

from outproc.frames.records import Ack, Position
from outproc.handshake import MAX_LANES, Mismatch
from outproc.session.identity import Half, Incarnation
from outproc.session.tombstones import Finals
from outproc.statements import finals_of, named_of

OURS, THEIRS = Half(Incarnation(1, 1), 1), Half(Incarnation(2, 2), 1)
NOTHING = Position(0, 0)


def told(finals: Finals) -> Finals:
    """What the peer learns of them by MISMATCH."""
    final, partial = named_of(finals)
    said = Mismatch(join=1, mine=OURS, yours=THEIRS, final=final, partial=partial, reason="")
    heard = finals_of(Mismatch.model_validate_json(said.model_dump_json()))
    assert heard is not None
    return heard


def finals_of_lanes(count: int) -> Finals:
    return Finals.of(Ack(lane, Position(lane + 1, 0), 0, 0) for lane in range(count))


def test_of_as_many_lanes_as_fit_everything_is_told() -> None:
    finals = finals_of_lanes(MAX_LANES)
    assert told(finals) == finals
    assert told(finals).received(77, NOTHING) == NOTHING


def test_of_lanes_that_do_not_fit_nothing_is_claimed() -> None:
    heard = told(finals_of_lanes(MAX_LANES + 1))
    assert heard.received(MAX_LANES - 1, NOTHING) == Position(MAX_LANES, 0)
    assert heard.received(MAX_LANES, NOTHING) is None


def test_a_session_that_is_not_known_is_told_as_such() -> None:
    assert finals_of(Mismatch(join=1, mine=OURS, yours=THEIRS, final=None, partial=False, reason="")) is None
