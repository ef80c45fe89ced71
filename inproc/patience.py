"""Who waits for a dest that is not on the hub yet, with a `Retry` of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from litz.errors import UnknownDestError
from litz.manager import WhenDown
from litz.retry import Patience, Retry

if TYPE_CHECKING:
    from inproc.node import Node
    from inproc.transport import InprocTransport

ROUND: Final = 0.1
"""Seconds between two looks whether the dest has come; each look in vain is one of the attempts."""


async def patiently(node: Node, dest: str, when_down: WhenDown | None) -> InprocTransport:
    """`Node.connect`, as often as `when_down` sits through its failure. Nothing is left of it while it waits."""
    if not isinstance(when_down, Retry):
        return await node.connect(dest)
    patience = Patience(when_down, node.loop.time())
    while True:
        try:
            return await node.connect(dest)
        except UnknownDestError:
            if not patience.sits_through(node.loop.time(), pointless=False):
                raise
        left = ROUND if patience.deadline is None else patience.deadline - node.loop.time()
        await asyncio.sleep(max(0.0, min(ROUND, left)))
