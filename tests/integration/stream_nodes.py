"""Two managers on a real wire with streams between them, and what must be left of these: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from outproc.streams.session_streams import SessionStreams
from tests.integration.outproc_nodes import LOOPBACK, Manager, node, until
from tests.integration.stream_users import User, carrier


@asynccontextmanager
async def two_nodes(
    *, of_bob: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[Manager, Manager]]:
    """alice, who knows bob; `of_bob`: what else bob is made of."""
    async with (
        node("bob", listen=LOOPBACK, options=options, **(of_bob or {})) as bob,
        node("alice", knows={"bob": bob.endpoints}, options=options) as alice,
    ):
        yield alice, bob


async def opened(manager: Manager, dest: str = "bob", service: str = "echo", **how: Any) -> User:
    """A stream, with its user here."""
    return User(await carrier(manager).open(dest, service, b"", pipe=False, timeout=60.0), **how)


def streams_of(manager: Manager, dest: str) -> SessionStreams:
    """Those of the session that stands."""
    streams = manager._running().streams.of(dest)
    assert streams is not None
    return streams


async def nothing_left(*managers: Manager) -> None:
    """Tables, lanes and budgets of all sessions come to nothing."""

    def left() -> list[object]:
        found: list[object] = []
        for manager in managers:
            running = manager._running()
            for streams in running.streams.all():
                lanes = streams.session.streams
                found += [*streams.table.entries.values(), *streams.sides, *lanes.sending, *lanes.receiving]
                found.append(lanes.budget.used)
            running.node.stream_budget.settle()
            found += [running.streams.room.used, running.node.stream_budget.used]
        return [each for each in found if each != 0]

    await until(lambda: not left(), "everything of streams is forgotten")
