"""A manager that leaves: the final drain, and what its peers are told. `litz.manager.TransportManager.drain` has the
law. All in the loop of the node that is named, but for `Hub.leaves`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from inproc.hub import Goodbye, Link, post
from litz.departures import draining_error
from litz.errors import ConnectError, DrainingError, PeerDrainingError
from litz.events import LostReceipt, PeerDraining

if TYPE_CHECKING:
    from inproc.node import Node
    from inproc.transport import InprocTransport

LOOK_EVERY: Final = 0.02
"""Seconds between two looks at what is left."""


@dataclass(slots=True)
class Leaving:
    """A final drain: why, when the node means to be back, what was lost since, and the links whose other side has not
    said yet that nothing more comes."""

    reason: str
    returning_in: float | None
    error: DrainingError
    outcome: asyncio.Future[tuple[LostReceipt, ...]]
    lost: list[LostReceipt] = field(default_factory=list)
    awaited: dict[Link | None, None] = field(default_factory=dict)

    def closed(self) -> None:
        """All is over: those who wait get the list."""
        if not self.outcome.done():
            self.outcome.set_result(tuple(self.lost))

    def goodbye(self, reason: str, returning_in: float | None) -> tuple[str, Goodbye]:
        """What is said in the end, unless that was told otherwise."""
        return self.reason or reason, Goodbye(self.returning_in if returning_in is None else returning_in)


async def drain_finally(
    node: Node, timeout: float | None, reason: str, returning_in: float | None
) -> tuple[LostReceipt, ...]:
    """Begin the final drain, or share the one that was begun. `timeout` in seconds; None: the close deadline."""
    if node.leaving is None:
        node.leaving = Leaving(reason, returning_in, draining_error(node.local_id), node.loop.create_future())
        node.said = Goodbye(returning_in)
        until = node.loop.time() + max(0.0, node.options.close_timeout if timeout is None else timeout)
        for transport in list(node.transports.values()):
            leave(node, transport)
        task = node.loop.create_task(_run(node, node.leaving, until), name=f"litz final drain {node.local_id}")
        node.dials[task] = None  # `aclose` waits for it
        task.add_done_callback(lambda done: node.dials.pop(done, None))
    return await asyncio.shield(node.leaving.outcome)


async def _run(node: Node, leaving: Leaving, until: float) -> None:
    while not node.closed and (now := node.loop.time()) < until and _is_busy(node, leaving):  # noqa: ASYNC110 - hooks would cost each message
        await asyncio.sleep(min(LOOK_EVERY, until - now))
    for transport in list(node.transports.values()):
        if not node.closed and _holds_messages(transport):
            error = ConnectError(f"{transport.dest} was closed: {node.local_id} leaves", dest=transport.dest)
            node.close_dest(transport.dest, leaving.reason or "leaving", error)
    if not node.closed:
        leaving.closed()


def _is_busy(node: Node, leaving: Leaving) -> bool:
    held = any(_holds_messages(transport) for transport in node.transports.values())
    held = held or node.streams.standing > 0
    return held or bool(leaving.awaited) or node.requests.accepted > 0 or node.inbox.busy


def _holds_messages(transport: InprocTransport) -> bool:
    return any(not lane.lossy and lane.received < lane.next for lane in transport.out.values())


def leave(node: Node, transport: InprocTransport) -> None:
    """Take nothing new for this dest, and tell the other side, in its thread, if there is one. It answers when all that
    it had accepted before is here."""
    link, leaving = transport.link, node.leaving
    if leaving is None:
        return
    transport.turn_away(leaving.error)
    if link is None or link.ended or link.other(node) is node:
        return
    peer = link.other(node)
    if post(peer.loop, _peer_leaves, peer, link, leaving.reason, leaving.returning_in):
        leaving.awaited[link] = None


def _peer_leaves(node: Node, link: Link, reason: str, returning_in: float | None) -> None:
    peer = link.other(node)
    transport = node.transports.get(peer.local_id)
    if transport is None or transport.link is not link:
        return
    transport.peer_leaves = reason or "no reason given"
    if node.leaving is None:
        transport.turn_away(peer_draining(peer.local_id, transport.peer_leaves))
    node.events.emit(PeerDraining(peer.local_id, transport.peer_leaves, returning_in))
    # Behind all that was handed to that loop before.
    post(peer.loop, _peer_flushed, peer, link)


def _peer_flushed(node: Node, link: Link) -> None:
    if node.leaving is not None:
        node.leaving.awaited.pop(link, None)


def peer_draining(dest: str, reason: str) -> PeerDrainingError:
    """What new sends to a peer get once it has said that it leaves."""
    return PeerDrainingError(
        f"{dest} leaves ({reason}) and takes no new work; nothing was accepted: send elsewhere", dest=dest
    )


async def all_received(node: Node, dest: str | None) -> None:
    """The drain that is not final, without its timeout."""
    found = node.transports.values() if dest is None else [node.transports.get(dest)]
    futures = [
        lane.acked(lane.next, "received")
        for transport in found
        if transport is not None
        for lane in transport.out.values()
        if not lane.lossy and lane.received < lane.next
    ]
    try:
        for future in futures:
            await future
    finally:
        for future in futures:
            if not future.cancel() and not future.cancelled():
                future.exception()
