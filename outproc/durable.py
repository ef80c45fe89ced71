"""The durable side of one manager: its outbox and its inbox, where it was given any."""

from __future__ import annotations

import asyncio
from typing import Any

from litz.errors import ConnectError
from litz.manager import Confirm, WhenDown
from litz.message import Receipt
from litz.payload import PayloadType
from outproc.body import body_of
from outproc.durable_port import DurableInbox, DurableOutbox, DurablePort
from outproc.local_node import Environment
from outproc.options import TransportOptions
from outproc.outbound import Outbound
from outproc.session.limits import Overflow
from outproc.session.log import Body, EntryDetail, Parts

OPEN_GRACE = 1.0
"""Seconds for closing what was opened when the rest could not be."""
CONFIRM = (None, "received", "processed", "durable")


class Durable:
    """Opens, attaches and closes both, and hands over what is to be sent."""

    def __init__(
        self, outbox: DurableOutbox | None, inbox: DurableInbox | None, options: TransportOptions | None = None
    ) -> None:
        for name, part in (("outbox", outbox), ("inbox", inbox)):
            if part is not None and not hasattr(part, "attach"):
                raise TypeError(f"{name}= takes {name.capitalize()}(path) of outproc.outbox, not {type(part).__name__}")
        self.spills = options is not None and Overflow.SPILL in options.overflow.values()
        if self.spills and outbox is None:
            raise ValueError("Overflow.SPILL needs an outbox: give the manager outbox=Outbox(path)")
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

    def accept(self, outbound: Outbound, dest: str, body: Body, detail: EntryDetail | None) -> Receipt | None:
        """Accept a message of a lane that spills into its log. None: it has to be spilled, because the log is full, or
        because something of `dest` is in the outbox, behind which it belongs."""
        if self.outbox is not None and self.outbox.holds(dest):
            return None
        return outbound.accept(int(PayloadType.RPC_RELIABLE), body, detail, first=False)

    async def spill(
        self, outbound: Outbound, dest: str, data: Any, *, confirm: Confirm | None, key: str | None
    ) -> Receipt:
        """Commit what `accept` has not taken. It is sent when all that the log took before is processed at the peer, or
        lost with its session. Raises `BackpressureError` if the peer has no inbox, or the outbox is full."""
        assert self.outbox is not None
        self.outbox.check_taken(dest)
        lane = int(PayloadType.RPC_RELIABLE)
        last = outbound.session.send_lanes[lane].log.next_number - 1
        if last >= 0 and not self.outbox.is_held(dest):
            before = outbound.confirmation(outbound.receipt(lane, last), "processed")
            if before is not None:
                self.outbox.hold(dest, before)
        return await self.send(dest, data, confirm=confirm, key=key, when_down=None)

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
