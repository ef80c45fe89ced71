"""One chat: what is said waits here until the peer's program has handled it, what it says is shown, and the news."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Final

from litz.errors import LitzError, SessionEndedError, UnknownDestError
from litz.event_words import messages, printable, words_of
from litz.events import (
    ConnectFailed,
    Connecting,
    EndReason,
    Event,
    LaneMoved,
    Outcome,
    SessionEnded,
    SessionStarted,
    WireDown,
    WireUp,
)
from litz.message import Message
from litz.payload import PayloadType
from outproc.manager import OutprocTransportManager

KEY: Final = "litz.chat"
"""Marks what people typed: `litz up --serve echo` answers such a line with itself."""

AGAIN: Final = 0.5
LATEST: Final = 5.0
"""Seconds between two attempts to reach a peer that is not there: at first, and at most."""

MAX_WAITING: Final = 1000
"""Lines that wait here; then no more are read."""


class Talk:
    """A conversation with `dest`. Lines go one after the other: the next when the one before was handled, so that what
    a restart of the peer leaves in doubt is one line. With `durable` each is committed to the outbox instead."""

    def __init__(self, manager: OutprocTransportManager, dest: str, *, durable: bool, color: bool) -> None:
        self._manager = manager
        self._dest = dest
        self._durable = durable
        self._color = color
        self._waiting: deque[str] = deque()
        self._changed = asyncio.Event()
        self._connected = False
        self._told = ""
        self._incarnation = ""
        self._fresh = False

    # -- what is said here ----------------------------------------------------------------------------

    async def say(self, line: str) -> None:
        """Have `line` sent; waits while very much is waiting."""
        while len(self._waiting) >= MAX_WAITING:
            await self._change()
        self._waiting.append(line)
        self._changed.set()

    async def accepted(self) -> None:
        """Return when nothing waits here: the peer's program has handled it, or the outbox has committed it."""
        while self._waiting:
            await self._change()

    async def all_sent(self) -> None:
        """Return when the peer has everything."""
        await self.accepted()
        if self._durable:
            await self._manager.drain(self._dest)

    async def send(self) -> None:
        """Send what waits, for ever."""
        doubt = False
        while True:
            if not self._waiting:
                await self._change()
                continue
            try:
                await self._send(self._waiting[0])
            except SessionEndedError as error:
                # Not among the lost: it had arrived, and whether it was handled is not known.
                never = bool(error.lost) and all(lost.outcome is Outcome.NEVER_ACCEPTED for lost in error.lost)
                doubt = doubt or not never
                if not self._manager.is_connected(self._dest):
                    await asyncio.sleep(AGAIN)
                continue
            except LitzError as error:
                self._tell(f"{self._dest} takes nothing ({error}); trying again")
                await asyncio.sleep(LATEST)
                continue
            if doubt:
                self.news(f"this line may have arrived twice: {self._waiting[0]}")
                doubt = False
            self._waiting.popleft()
            self._changed.set()

    async def _send(self, line: str) -> None:
        if self._durable:
            await self._manager.send(self._dest, line.encode(), payload_type=PayloadType.RPC_DURABLE, key=KEY)
        else:
            await self._manager.send(
                self._dest, line.encode(), key=KEY, confirm="processed", when_down="queue", reopen=True
            )

    async def _change(self) -> None:
        # Level-triggered: whoever waits looks again after each change.
        self._changed.clear()
        await self._changed.wait()

    async def close(self) -> list[str]:
        """What the peer did not confirm. Nothing is sent from now on."""
        if self._durable:
            left = self._manager.snapshot().outbox
            count = sum(each.waiting for each in left.dests if each.dest == self._dest) if left is not None else 0
            if count:
                self.news(f"{messages(count)} wait in the outbox; they are sent when you chat again")
        return list(self._waiting)

    # -- what the peer says ----------------------------------------------------------------------------

    async def serve(self) -> None:
        """Show what comes, until the manager closes."""
        await self._manager.serve(self._show)

    def _show(self, message: Message) -> None:
        text = printable(bytes(message.data).decode("utf-8", "replace"))
        again = " (again)" if message.redelivered else ""
        print(f"{message.sender}{again}: {text}", flush=True)

    # -- the connection --------------------------------------------------------------------------------

    async def keep_connected(self) -> None:
        """Reach the peer, and again when it has left."""
        delay = AGAIN
        while True:
            try:
                await self._manager.get_or_create_transport(self._dest, reopen=True)
                delay = AGAIN
            except LitzError:
                delay = min(2 * delay, LATEST)  # the event says why
            await asyncio.sleep(delay)

    async def follow(self) -> None:
        """Tell the news of the connection."""
        with self._manager.events() as events:
            async for _, event in events:
                if event.dest in ("", self._dest):
                    self._tell(self._news_of(event))

    def _tell(self, text: str) -> None:
        """Once, however often it happens in a row."""
        if text and text != self._told:
            self._told = text
            self.news(text)

    def _news_of(self, event: Event) -> str:
        dest = self._dest
        waiting = f"; {messages(len(self._waiting))} wait" if len(self._waiting) > 1 else ""
        match event:
            case Connecting() | LaneMoved():
                return ""
            case ConnectFailed(error=UnknownDestError()):
                me = self._manager.local_id
                return (
                    f"{dest} is not here; waiting for: litz chat {me} --id {dest} (elsewhere? give --to URL){waiting}"
                )
            case ConnectFailed():
                return f"{dest} cannot be reached ({event.error}); trying again{waiting}"
            case SessionStarted():
                returned = self._incarnation not in ("", event.incarnation)
                self._incarnation = event.incarnation
                self._fresh = True
                how = "proved" if event.verified else "claimed"
                return f"connected to {dest}{', which was restarted' if returned else ''} (its id is {how})"
            case WireUp():
                fresh, healed = self._fresh, not self._connected
                self._fresh, self._connected = False, True
                return "" if fresh else f"{'connected again' if healed else 'also connected'} by {event.kind}"
            case WireDown(wires_left=left):
                self._connected = left > 0
                rest = "others carry on" if left else f"healing; what you type waits{waiting}"
                return f"the {event.kind} wire was lost ({event.cause}): {rest}" if not self._leaving(event) else ""
            case SessionEnded(reason=EndReason.CLOSED_BY_PEER):
                self._connected = False
                return f"{dest} has left ({event.detail})"
            case SessionEnded(reason=EndReason.PEER_RESTARTED):
                return f"{dest} was restarted"
            case SessionEnded(reason=EndReason.CLOSED_HERE):
                return ""
        return str(words_of(event))

    @staticmethod
    def _leaving(event: WireDown) -> bool:
        return event.cause in ("left the session", "dismissed as duplicate")

    def news(self, text: str) -> None:
        """One line that nobody typed."""
        line = f"-- {printable(text)}"
        print(f"\x1b[2m{line}\x1b[0m" if self._color else line, file=sys.stderr, flush=True)
