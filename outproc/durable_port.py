"""What a manager offers to its outbox and inbox, and what it asks of them: they are leaves, and not known here."""

from __future__ import annotations

import asyncio
from typing import Protocol

from litz.events import Event
from litz.inbox import InboxQueue
from litz.manager import Confirm
from litz.message import Receipt
from litz.payload import PayloadType
from litz.snapshot import InboxSnapshot, OutboxSnapshot
from outproc.local_node import Environment
from outproc.manager_port import ManagerPort


class DurablePort(ManagerPort):
    """One manager, as its outbox and inbox see it."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The manager's."""
        return self._node.loop

    @property
    def max_message(self) -> int:
        """Bytes."""
        return self._node.options.max_message

    @property
    def inbox_full(self) -> bool:
        """Whether the handler queue holds as much as this process may or its consumer wants: then ask for little."""
        return self._node.narrowed

    def has_session(self, dest: str) -> bool:
        """Whether a session with `dest` stands, with or without a wire."""
        return self._standing(dest) is not None

    def verified(self, dest: str) -> bool:
        """Whether `dest` has proved its id."""
        transport = self._standing(dest)
        return transport is not None and transport.verified

    def queue(self, sender: str) -> InboxQueue:
        """A new queue for durable messages in the handler queue. Close it when nothing more is put there."""
        return self._node.inbox.queue(sender, PayloadType.RPC_DURABLE)

    def emit(self, event: Event) -> None:
        """Tell those who follow `events()`."""
        self._node.emit(event)


class DurableOutbox(Protocol):
    """What `outbox=` of a manager is: see `outproc.outbox.Outbox`."""

    async def open(self, environment: Environment) -> None:
        """Open the store. Raises what the store raises."""

    def attach(self, port: DurablePort) -> None:
        """Begin to send. Called once, after `open`."""

    async def send(self, dest: str, data: bytes, key: str | None, confirm: Confirm | None) -> Receipt:
        """Commit one message, and with `confirm` wait until the peer's inbox has it for good."""

    def holds(self, dest: str) -> bool:
        """Whether a message to `dest` is accepted, and not confirmed."""

    def check_taken(self, dest: str) -> None:
        """Raises `BackpressureError` if `dest` is known to take no durable messages now."""

    def hold(self, dest: str, until: asyncio.Future[None]) -> None:
        """Send nothing to `dest` before `until` is done, however it ends."""

    def is_held(self, dest: str) -> bool:
        """Whether nothing is sent to `dest` yet."""

    def unconfirmed(self, dest: str | None) -> list[asyncio.Future[None]]:
        """Futures of the last message of `dest`, or of each dest, to be confirmed."""

    def snapshot(self) -> OutboxSnapshot:
        """What waits. Costs what there is to tell."""

    async def aclose(self, timeout: float) -> None:
        """Stop, and free everything within `timeout` seconds. Idempotent; also after `open` failed."""


class DurableInbox(Protocol):
    """What `inbox=` of a manager is: see `outproc.outbox.Inbox`."""

    async def open(self, environment: Environment) -> None:
        """Open the store. Raises what the store raises."""

    def attach(self, port: DurablePort) -> None:
        """Begin to take. Called once, after `open`."""

    def stop_taking(self) -> None:
        """The manager closes: what comes from now on is not taken."""

    def snapshot(self) -> InboxSnapshot:
        """What was taken. Costs what there is to tell."""

    async def aclose(self, timeout: float) -> None:
        """Commit what was processed, and free everything within `timeout` seconds. Idempotent; also after `open`
        failed."""
