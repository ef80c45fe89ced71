"""Looking again at who is connected: keys, certificates, tokens and `authorize` may say something else by now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from litz.errors import ForbiddenError, HandshakeError, LitzError
from litz.events import EndReason
from outproc.dest_transport import DestTransport
from outproc.link import Link
from outproc.local_node import LocalNode

AT_ONCE: Final = 32
"""Dests that are judged at the same time."""


async def reauthorize(node: LocalNode, transports: Sequence[DestTransport], dest: str | None = None) -> tuple[str, ...]:
    """Judge these dests again, and drop what would not be let in now. Returns the dests that lost anything, in the
    order given. `dest`: the only one that is judged, None: they are all.

    A wire whose proof holds no longer is dropped; the session waits for one with a better proof, and expires without. A
    dest that `authorize` refuses loses its session at once, loudly. A verdict that fails or is late costs the wires,
    which ask again as they are dialled anew. Who may not have a stream any more loses it, with or without a wire. Wires
    that are between their proof and the session do not get into it.
    """
    node.rights.forget_verdicts()
    for link in node.links:
        if not link.in_session:
            link.proof.outdate(dest)
    slots = asyncio.Semaphore(AT_ONCE)
    dropped: dict[str, None] = {}

    async def look(transport: DestTransport) -> None:
        async with slots:
            if await _judge(node, transport):
                dropped[transport.dest] = None

    async with asyncio.TaskGroup() as group:
        for transport in transports:
            if transport.links or node.streams.holds(transport):
                group.create_task(look(transport))
    return tuple(transport.dest for transport in transports if transport.dest in dropped)


async def _judge(node: LocalNode, transport: DestTransport) -> bool:
    lost = False
    for link in list(transport.links):
        failure = await link.proof.judge_again()
        if failure is not None:
            lost |= _drop(transport, link, failure)
    if not node.rights.asks:
        return lost
    try:
        if transport.links:
            async with asyncio.timeout(node.options.handshake_timeout):
                await node.rights.admit(transport.dest)
    except ForbiddenError as error:
        if not transport.closing:
            transport.end_session(EndReason.CLOSED_HERE, str(error), None, then_close=True)
            lost = True
    except Exception as error:  # it is the user's
        failure = HandshakeError(f"no verdict of authorize: {error!r}")
        for link in list(transport.links):
            lost |= _drop(transport, link, failure)
    return await node.streams.judge_again(transport) or lost


def _drop(transport: DestTransport, link: Link, failure: LitzError) -> bool:
    """Level-triggered: the wire may have gone while it was judged."""
    if not link.in_session or link not in transport.links:
        return False
    link.fail(failure)
    transport.leave(link)
    return True
