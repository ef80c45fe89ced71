"""The durable side of one manager: its outbox and its inbox, where it was given any."""

from __future__ import annotations

import asyncio
from typing import Any

from litz.errors import ConnectError
from litz.manager import Confirm, WhenDown
from litz.message import Receipt
from outproc.body import body_of
from outproc.durable_port import DurableInbox, DurableOutbox, DurablePort
from outproc.local_node import Environment
from outproc.session.log import Parts

OPEN_GRACE = 1.0
"""Seconds for closing what was opened when the rest could not be."""
CONFIRM = (None, "received", "processed", "durable")


class Durable:
    """Opens, attaches and closes both, and hands over what is to be sent."""

    def __init__(self, outbox: DurableOutbox | None, inbox: DurableInbox | None) -> None:
        for name, part in (("outbox", outbox), ("inbox", inbox)):
            if part is not None and not hasattr(part, "attach"):
                raise TypeError(f"{name}= takes {name.capitalize()}(path) of outproc.outbox, not {type(part).__name__}")
        self.outbox = outbox
        self.inbox = inbox
        self._port: DurablePort | None = None
        self._opened = False

    async def open(self, environment: Environment) -> None:
        """Open the stores, once. Raises what they raise; then nothing is left open."""
        if self._opened:
            return  # entered a second time, which the manager refuses
        self._opened = True
        try:
            if self.outbox is not None:
                await self.outbox.open(environment)
            if self.inbox is not None:
                await self.inbox.open(environment)
        except BaseException:
            await self.aclose(OPEN_GRACE)
            raise

    def attach(self, port: DurablePort) -> None:
        """Begin, with the manager that is running now."""
        self._port = port
        for part in (self.inbox, self.outbox):
            if part is not None:
                part.attach(port)

    async def send(
        self,
        dest: str,
        data: Any,
        *,
        confirm: Confirm | None,
        key: str | None,
        when_down: WhenDown | None,
    ) -> Receipt:
        """`TransportManager.send` of a durable message."""
        if self.outbox is None or self._port is None:
            raise ValueError("RPC_DURABLE needs an outbox: give the manager outbox=Outbox(path)")
        if confirm not in CONFIRM:
            raise ValueError(f"confirm is 'received', 'processed' or 'durable', not {confirm!r}")
        body = body_of(data, self._port.max_message)
        if when_down == "fail" and not self._port.kinds(dest):
            raise ConnectError(f"no wire to {dest} is up; connect first, or let the outbox keep it", dest=dest)
        whole = b"".join(body.buffers) if isinstance(body, Parts) else bytes(body)
        return await self.outbox.send(dest, whole, key, confirm)

    def unconfirmed(self, dest: str | None) -> list[asyncio.Future[None]]:
        """What `drain` waits for besides the lanes."""
        return self.outbox.unconfirmed(dest) if self.outbox is not None else []

    def stop_taking(self) -> None:
        """The manager closes."""
        if self.inbox is not None:
            self.inbox.stop_taking()

    async def aclose(self, timeout: float) -> None:
        """After everything else of the manager. Takes at most about `timeout` seconds."""
        closing = [part.aclose(timeout) for part in (self.outbox, self.inbox) if part is not None]
        await asyncio.gather(*closing)
