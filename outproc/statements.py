"""Between what the session states and what the handshake's frames say."""

from __future__ import annotations

from collections.abc import Iterable

from outproc.frames.records import Ack, Credit, Position
from outproc.handshake import MAX_LANES, LaneCredit, LanePosition, LogSize, Mismatch, Terms
from outproc.session.session import Statement
from outproc.session.tombstones import Finals


def terms_of(statement: Statement) -> Terms:
    """The statement as a JOIN or OK carries it."""
    return Terms(
        positions=positions_of(statement.positions),
        log=LogSize(messages=statement.log_messages, bytes=statement.log_size),
        credit=tuple(
            LaneCredit(lane=credit.lane, messages=credit.messages, bytes=credit.size) for credit in statement.credits
        ),
        session_credit=statement.session_credit,
    )


def positions_of(acks: Iterable[Ack]) -> tuple[LanePosition, ...]:
    """Positions as the handshake's frames carry them."""
    return tuple(
        LanePosition(
            lane=ack.lane,
            number=ack.received.number,
            offset=ack.received.offset,
            processed=ack.processed,
            durable=ack.durable,
        )
        for ack in acks
    )


def statement_of(terms: Terms) -> Statement:
    """What the peer's JOIN or OK stated."""
    return Statement(
        positions=acks_of(terms.positions),
        credits=tuple(Credit(entry.lane, entry.messages, entry.bytes) for entry in terms.credit),
        session_credit=terms.session_credit,
        log_messages=terms.log.messages,
        log_size=terms.log.bytes,
    )


def acks_of(positions: Iterable[LanePosition]) -> tuple[Ack, ...]:
    """Positions as a peer's handshake stated them."""
    return tuple(
        Ack(entry.lane, Position(entry.number, entry.offset), entry.processed, entry.durable) for entry in positions
    )


def named_of(finals: Finals) -> tuple[tuple[LanePosition, ...], bool]:
    """The final positions that a MISMATCH has room for, and whether they are not those of all lanes."""
    named = positions_of(finals.lanes.values())
    return named[:MAX_LANES], finals.partial or len(named) > MAX_LANES


def finals_of(said: Mismatch) -> Finals | None:
    """The final positions that a MISMATCH stated; None: it knows nothing of that pair."""
    return Finals.of(acks_of(said.final), partial=said.partial) if said.final is not None else None
