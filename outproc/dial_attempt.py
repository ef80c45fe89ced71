"""One dial: wait for its turn, connect, and shake hands. Nothing is left behind, whatever happens."""

from __future__ import annotations

import asyncio
from typing import Protocol

from litz.wire import Endpoint, Wire
from outproc.addressing import Resolution
from outproc.dial_gate import Turn
from outproc.link import Link, LinkOwner
from outproc.local_node import LocalNode


class Resolver(Protocol):
    """Where dests are, and how to dial."""

    async def resolve(self, dest: str, timeout: float) -> Resolution:
        """Every endpoint known of `dest` now, and what went wrong in asking, for at most `timeout` seconds. Must not
        raise."""

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        """Dial once."""

    def pace(self, endpoint: Endpoint) -> tuple[float, float] | None:
        """Base and cap of the backoff that the builder of such wires wants, in seconds; None: that of the options."""


class Dial:
    """One dial of `dest` by `endpoint`. `link` is the wire, once there is one: `owner` sets its `outcome`, and its end
    is the caller's affair."""

    def __init__(self, node: LocalNode, owner: LinkOwner, resolver: Resolver, dest: str, endpoint: Endpoint) -> None:
        self._node = node
        self._owner = owner
        self._resolver = resolver
        self._dest = dest
        self._endpoint = endpoint
        self.link: Link | None = None

    async def run(self, turn: Turn) -> None:
        """Return when the link has joined, or `dial_timeout` after its turn has come. Raises what made it fail: a
        builder may raise anything."""
        async with turn, asyncio.timeout(self._node.options.dial_timeout):
            wire = await self._build()
            if _is_cancelled():
                # Builders are not ours: this one did not heed it, and there is nobody who waits for its wire.
                wire.abort()
                raise asyncio.CancelledError
            link = self.link = self._link_of(wire)
            outcome = link.outcome = self._node.loop.create_future()
            link.start()
            await outcome

    async def _build(self) -> Wire:
        try:
            return await self._resolver.build(self._dest, self._endpoint)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            # A task of its own, perhaps. Taken for ours it would end the dial without a failure, and none would follow.
            raise ConnectionAbortedError("the builder cancelled its own dial") from error

    def _link_of(self, wire: Wire) -> Link:
        try:
            return Link(self._node, wire, self._owner, dest=self._dest, endpoint=self._endpoint)
        except BaseException:
            wire.abort()
            raise


def _is_cancelled() -> bool:
    """Whether this task was cancelled, or its deadline is over, and what it awaited has passed over that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
