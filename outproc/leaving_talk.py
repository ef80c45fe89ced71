"""Telling peers that this node leaves, and hearing that a peer does. One for each node, subscribed to `TOPIC`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from litz.departures import draining_error
from litz.errors import LitzError, PeerDrainingError
from litz.events import PeerDraining
from outproc.confirmations import all_of
from outproc.dest_transport import DestTransport
from outproc.leaving_words import FEATURE, FLUSHED, TOPIC, decode_leaves, encode_leaves
from outproc.local_node import LocalNode


class LeavingTalk:
    """See the module. A `PortSubscriber`."""

    def __init__(self, node: LocalNode, find: Callable[[str], DestTransport | None]) -> None:
        self._node = node
        self._find = find
        self._told: dict[str, None] = {}
        """Peers whose session has heard that this node leaves."""
        self._flushed: dict[str, None] = {}
        """Those of them that have said that nothing more comes."""
        self._flushing: dict[DestTransport, asyncio.Task[None]] = {}

    # -- this node leaves -----------------------------------------------------------------------------

    def tell(self, dest: str) -> None:
        """Tell `dest` that this node leaves, once in each session; when there is room, if there is none now."""
        leaving, transport = self._node.leaving, self._find(dest)
        if leaving is None or transport is None or dest in self._told or not self._understands(dest):
            return
        word = encode_leaves(leaving.reason, leaving.returning_in)
        if self._node.internal.post(transport, TOPIC, [word], bulk=False):
            self._told[dest] = None

    def awaits(self, dest: str) -> bool:
        """Whether something may still come that `dest` had accepted before it heard."""
        return self._understands(dest) and dest not in self._flushed

    def _understands(self, dest: str) -> bool:
        return FEATURE in self._node.internal.features.get(dest, frozenset())

    # -- a peer leaves --------------------------------------------------------------------------------

    def received(self, sender: str, data: memoryview) -> None:
        word, transport = decode_leaves(data), self._find(sender)
        if transport is None:
            return
        if word is None:
            self._flushed[sender] = None
            return
        reason, returning_in = word
        if transport in self._flushing:
            return
        transport.peer_leaves = reason or "no reason given"
        if self._node.leaving is None:
            why = (
                f"{sender} leaves ({transport.peer_leaves}) and takes no new work; nothing was accepted: send elsewhere"
            )
            transport.outbound.turn_away(PeerDrainingError(why, dest=sender))
        self._node.emit(PeerDraining(sender, transport.peer_leaves, returning_in))
        task = self._node.spawn(self._flush(transport), f"litz flush to {sender}")
        self._flushing[transport] = task

    async def _flush(self, transport: DestTransport) -> None:
        """Say so when all that was accepted here has arrived there. Ends with the session."""
        outbound = transport.outbound
        try:
            while outbound.holds_messages:
                outbound.arm()
                await all_of(outbound.unconfirmed_ends())
                await asyncio.sleep(0)
        except LitzError:
            return
        while not self._node.internal.post(transport, TOPIC, [bytes((FLUSHED,))], bulk=False):
            if transport.session.pair is None:
                return
            await self._node.internal.wires.changed(transport.dest)

    # -- news of sessions -----------------------------------------------------------------------------

    def session_began(self, dest: str) -> None:
        self.tell(dest)

    def session_ended(self, dest: str) -> None:
        self._told.pop(dest, None)
        self._flushed.pop(dest, None)
        transport = self._find(dest)
        if transport is None:
            return
        flushing = self._flushing.pop(transport, None)
        if flushing is not None:
            flushing.cancel()
            transport.peer_leaves = ""
            transport.outbound.turn_away(
                draining_error(self._node.local_id) if self._node.leaving is not None else None
            )

    def wires_changed(self, dest: str) -> None:
        """A session needs no wire to be told."""

    def writable(self, dest: str) -> None:
        self.tell(dest)
