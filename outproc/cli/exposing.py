"""One exposed service of a node: each pipe that a peer opens to it becomes a connection to the target."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litz.errors import StreamRefusedError
from litz.pipes import PipeListener, listen_pipe_connections
from litz.pump import End, Pump
from litz.stream_port import Offer, Refusal, StreamCarrier
from outproc.cli.connections import BusyError, Connections
from outproc.cli.forward_words import Exposed, UnixPlace
from outproc.cli.outcome import text_of

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for the target to take a connection."""


class Exposing:
    """From `start` until `stop`. The peer is answered only when the target has taken the connection, so that it learns
    whether there is one. Why there is none is said here alone: where a target is, is no business of peers."""

    def __init__(self, carrier: StreamCarrier, exposed: Exposed, connections: Connections) -> None:
        self._carrier = carrier
        self._exposed = exposed
        self.connections = connections
        self._listener: PipeListener | None = None

    async def start(self) -> str:
        """Begin to take pipes; a line for people. Raises `ConsumerConflictError` if the service is exposed already."""
        self._listener = listen_pipe_connections(self._carrier, self._exposed.service, self._accept)
        return f"{self._exposed.service} is exposed: its connections go to {self._exposed.target}"

    def stop(self) -> None:
        """Take no more. Connections that stand live on. Idempotent."""
        if self._listener is not None:
            self._listener.close()

    async def stopped(self) -> None:
        """Until nothing that was begun is under way any more."""
        if self._listener is not None:
            await self._listener.aclose()

    def row(self) -> dict[str, Any]:
        """For `litz status`."""
        return {"service": self._exposed.service, "target": str(self._exposed.target), **self.connections.row()}

    async def _accept(self, offer: Offer) -> End:
        try:
            pump = self.connections.begin(offer.sender)
        except BusyError as busy:
            self.connections.refused(offer.sender, str(busy))
            raise StreamRefusedError(str(busy), why=Refusal.BUSY) from busy
        why, joined = "it is not exposed any more", False
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._dial(pump)
            joined = True
        except TimeoutError:
            why = f"{self._exposed.target} did not take the connection within {CONNECT_TIMEOUT:g} s"
        except OSError as error:
            why = f"{self._exposed.target} took no connection: {text_of(error)}"
        finally:
            if not joined:  # also when it was cancelled
                pump.abort(ConnectionAbortedError(why))
        if not joined:
            self.connections.refused(offer.sender, why)
            raise StreamRefusedError(
                f"the service {self._exposed.service!r} has no connection to its target; try again later, or ask who "
                "exposes it",
                why=Refusal.REJECTED,
            )
        self.connections.opened()
        return pump.there

    async def _dial(self, pump: Pump) -> None:
        loop, target = asyncio.get_running_loop(), self._exposed.target
        if isinstance(target, UnixPlace):
            await loop.create_unix_connection(lambda: pump.here, target.path)
        else:
            await loop.create_connection(lambda: pump.here, target.host, target.port)
