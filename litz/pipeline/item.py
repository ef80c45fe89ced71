"""The messages of a pipeline: what handlers are given, and what is on its way out."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from litz.supervised import Case, GivenUp

if TYPE_CHECKING:
    from litz.pipeline.flow import Flow


class Item:
    """One message that came in. `handler(item)` may return a reply; `reply` sends more of them, before it."""

    __slots__ = ("_flow", "case", "data", "ended_it", "given_up", "handled", "key", "number", "size")

    def __init__(self, flow: Flow, data: Any, number: int, size: int) -> None:
        self._flow = flow
        self.data = data
        self.number = number
        """Its place among the messages of its stream, from 0."""
        self.size = size
        self.key: Hashable = None
        """What the order made of it (`PerKey.by`)."""
        self.case = Case()
        self.given_up: GivenUp | None = None
        """For the pipeline: why it is parked."""
        self.handled = False
        """For the pipeline: its handler has returned."""
        self.ended_it = False
        """For the pipeline: it was neither handled nor given away, and the stream ended by that."""

    @property
    def flow(self) -> Flow:
        """The pipeline of its stream."""
        return self._flow

    @property
    def sender(self) -> str:
        """The id of the node that sent it."""
        return self._flow.dest

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1. Above 1 the handler may have done part of its work before."""
        return self.case.attempts

    async def reply(self, data: Any, *, key: Hashable = None) -> None:
        """Send `data` to the peer; also while the stream drains, until this side's end of sending. Raises what
        `Flow.send` raises."""
        await self._flow.reply(data, key)

    def __repr__(self) -> str:
        return f"<message {self.number} of {self._flow.service} from {self.sender}, {self.size} bytes>"


class Outgoing:
    """One message on its way out. `outgoing(message)` makes of it what is sent."""

    __slots__ = ("case", "data", "key", "number", "size", "told")

    def __init__(self, data: Any, key: Hashable, number: int, size: int) -> None:
        self.data = data
        self.key = key
        """What the sender gave."""
        self.number = number
        """In the order of acceptance, from 0."""
        self.size = size
        self.case = Case()
        self.told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """For the pipeline: whoever sends it waits here."""

    def __repr__(self) -> str:
        return f"<outgoing message {self.number}, {self.size} bytes>"
