"""The final drain of a node: it tells that it leaves, takes nothing new, brings what it has to an end, and lists what
it could not. `litz.manager.TransportManager.drain` has the law."""

from __future__ import annotations

import asyncio
from typing import Final

from litz.departures import draining_error
from litz.events import LostReceipt
from litz.snapshot import DestState
from outproc.dest_table import DestTable
from outproc.dest_transport import DestTransport
from outproc.leaving_talk import LeavingTalk
from outproc.leaving_words import Leaving
from outproc.local_node import LocalNode
from outproc.requesting import Requests

LOOK_EVERY: Final = 0.02
"""Seconds between two looks at what is left; longer where looking takes long. Looking, once in a node's life, costs
less than hooks in everything that may be left, which would cost each message."""

LOOK_SHARE: Final = 10
"""So many times what a look took is waited for until the next."""

PATIENCE: Final = 1.0
"""Seconds in which peers whose wires broke may come back, although nothing waits for them here."""


class LameDuck:
    """The final drain of one node, begun at most once. Whoever wants its result waits for the same one."""

    def __init__(self, node: LocalNode, dests: DestTable, requests: Requests, talk: LeavingTalk) -> None:
        self._node = node
        self._dests = dests
        self._requests = requests
        self._talk = talk
        self._outcome: asyncio.Future[tuple[LostReceipt, ...]] | None = None

    async def drain(self, timeout: float | None, reason: str, returning_in: float | None) -> tuple[LostReceipt, ...]:
        """Begin, or share what was begun; `timeout` in seconds, None: the close deadline. Cancelling harms nobody."""
        if self._outcome is None:
            self._outcome = self._begin(timeout, reason, returning_in)
        return await asyncio.shield(self._outcome)

    def closed(self) -> None:
        """The node is closed: every session has ended, and those who wait get the list."""
        leaving = self._node.leaving
        if self._outcome is not None and leaving is not None and not self._outcome.done():
            self._outcome.set_result(tuple(leaving.lost))

    def _begin(
        self, timeout: float | None, reason: str, returning_in: float | None
    ) -> asyncio.Future[tuple[LostReceipt, ...]]:
        node = self._node
        whole = max(0.0, node.options.close_timeout if timeout is None else timeout)
        now = node.now()
        node.leaving = Leaving(reason, returning_in, now + whole)
        error = draining_error(node.local_id)
        for transport in self._dests.transports():
            transport.outbound.turn_away(error)
            self._talk.tell(transport.dest)
        node.spawn(self._run(node.leaving, now, whole), "litz final drain")
        return node.loop.create_future()

    async def _run(self, leaving: Leaving, began: float, whole: float) -> None:
        node = self._node
        # The goodbyes to those whose messages are not confirmed by then have a part of the time for their answers.
        flush_until = leaving.until - min(node.options.close_timeout / 2, whole / 4)
        patient_until = began + min(PATIENCE, whole / 4)
        while (now := node.now()) < flush_until and self._is_busy(patient=now < patient_until):
            took = node.now() - now
            await asyncio.sleep(min(max(LOOK_EVERY, LOOK_SHARE * took), max(0.0, flush_until - now)))
        closings = [
            node.spawn(self._close(transport, leaving), f"litz close {transport.dest}")
            for transport in self._dests.transports()
            if transport.outbound.holds_messages or node.streams.holds(transport)
        ]
        if closings:
            await asyncio.wait(closings)
        self.closed()

    async def _close(self, transport: DestTransport, leaving: Leaving) -> None:
        patience = max(0.0, leaving.until - self._node.now())
        if transport.closing:  # by its user, who had another patience
            try:
                async with asyncio.timeout(patience):
                    await transport.gone_for_good.wait()
            except TimeoutError:
                transport.farewell.answered(None)
        await transport.close(leaving.reason or "leaving", leaving.returning_in, patience)

    def _is_busy(self, *, patient: bool) -> bool:
        """Whether there is anything left that may come to its end."""
        if self._requests.waiting or self._node.inbox.busy:
            return True
        for transport in self._dests.transports():
            if transport.outbound.holds_messages or self._node.streams.holds(transport):
                return True
            up = transport.state is DestState.CONNECTED or (patient and transport.state is DestState.DETACHED)
            if up and self._talk.awaits(transport.dest):
                return True
        return False
