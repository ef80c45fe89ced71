"""Lets the dials of one node begin: the driver of `outproc.dial_line`."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from outproc.dial_line import DialLine, Ticket
from outproc.local_node import LocalNode


class DialGate:
    """One for each node. A dial is made within `async with gate.turn(dest, asked=...)`; the time of waiting is not that
    of the dial. Any number of tasks may wait, and be cancelled there."""

    def __init__(self, node: LocalNode) -> None:
        options = node.options
        self._node = node
        self._line = DialLine(node.environment.rng, most=options.max_dials, rate=options.redial_rate)
        self._waiting: dict[Ticket, asyncio.Future[None]] = {}
        self._timer = node.timers.timer(self._due)

    @property
    def waiting(self) -> int:
        """How many dials wait for their turn."""
        return len(self._line)

    def turn(self, dest: str, *, asked: bool) -> Turn:
        """The turn of one dial of `dest`; `asked`: somebody waits for it."""
        return Turn(self, Ticket(dest, asked=asked))

    def hurry(self, dest: str) -> None:
        """Somebody asks for `dest`: its dials do not wait as background dials any more."""
        self._line.hurry(dest)
        self._pump()

    async def enter(self, ticket: Ticket) -> None:
        """For `Turn`."""
        self._line.join(ticket)
        self._pump()
        if ticket.granted:
            return
        turn = self._waiting[ticket] = self._node.loop.create_future()
        try:
            await turn
        except BaseException:
            self._waiting.pop(ticket, None)
            self.leave(ticket)
            raise

    def leave(self, ticket: Ticket) -> None:
        """For `Turn`."""
        self._line.leave(ticket)
        self._pump()

    def _due(self, now: float) -> None:
        self._pump()

    def _pump(self) -> None:
        for ticket in self._line.grant(self._node.now()):
            turn = self._waiting.pop(ticket, None)
            if turn is not None and not turn.done():
                turn.set_result(None)
        self._timer.at(self._line.next_due())


class Turn:
    """An asynchronous context manager, for one dial."""

    __slots__ = ("_gate", "_ticket")

    def __init__(self, gate: DialGate, ticket: Ticket) -> None:
        self._gate = gate
        self._ticket = ticket

    async def __aenter__(self) -> Self:
        await self._gate.enter(self._ticket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._gate.leave(self._ticket)
