"""What `snapshot()` of a manager tells about its outbox and its inbox."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from litz.snapshot import InboxSnapshot, OutboxDestSnapshot, OutboxSnapshot
from outproc.outbox.outbox_dest import OutboxDest
from outproc.outbox.producer import Producer
from outproc.outbox.store import Look


def outbox_snapshot(
    dests: Iterable[OutboxDest],
    has_session: Callable[[str], bool],
    *,
    live: int,
    look: Look,
    now: float,
    visit_in: float | None,
    failure: str,
) -> OutboxSnapshot:
    """`now`: seconds since the Unix epoch; `visit_in`: seconds until dests without a session are dialled again."""
    told = [_dest(dest, visit_in, in_session=has_session(dest.name)) for dest in dests if dest.waits]
    waiting = sum(dest.waiting for dest in told)
    return OutboxSnapshot(
        waiting=waiting,
        waiting_bytes=live,
        oldest_age=max(0.0, now - look.oldest) if waiting and look.oldest else None,
        dead=look.dead,
        dead_bytes=look.dead_used,
        last_error=failure,
        dests=tuple(told),
    )


def _dest(dest: OutboxDest, visit_in: float | None, *, in_session: bool) -> OutboxDestSnapshot:
    state = "no session"
    if in_session:
        state = "sending" if dest.outgoing is not None else "refused" if dest.refused else "asking"
    return OutboxDestSnapshot(
        dest=dest.name,
        waiting=dest.backlog,
        state=state,
        next_attempt=None if in_session else visit_in,
        last_error=dest.refused,
    )


def inbox_snapshot(producers: Iterable[Producer], failure: str) -> InboxSnapshot:
    """Of the producers that were heard."""
    heard = [producer.incoming for producer in producers]
    return InboxSnapshot(
        waiting=sum(incoming.waiting for incoming in heard),
        duplicates=sum(incoming.duplicates for incoming in heard),
        producers=len(heard),
        last_error=failure,
    )
