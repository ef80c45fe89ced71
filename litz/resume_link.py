"""One connection of a `ResumablePipe`: its two tasks, its deadline, and its end. What it carries its owner decides."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from litz.resume_frames import FrameReader, Kind

READ_SIZE: Final = 64 * 1024
BATCH: Final = 256 * 1024
"""Bytes that are written before the other task has its turn."""
LATE: Final = 0.5
"""Seconds by which the loop may be late before silence is no sign of death: what came may be unread still."""

Frame = tuple[Kind, bytes]


class LinkOwner(Protocol):
    """Who has links. It is told about one that it has let go too; it knows by the object that this is no news."""

    def frames_came(self, link: ResumeLink, frames: Sequence[Frame]) -> None:
        """In order. Raises `ProtocolError`, which ends the link."""

    def due(self, link: ResumeLink, most: int) -> Sequence[bytes | memoryview]:
        """What is to be written now."""

    def silent(self, link: ResumeLink) -> None:
        """Nothing came for long: ask for a sign of life."""

    def listening(self, link: ResumeLink) -> None:
        """Bytes come, and nothing was written for long: say a sign of life. (A frame of the peer may take so long on a
        slow line that its question whether we live waits behind it.)"""

    def link_ended(self, link: ResumeLink, error: BaseException) -> None:
        """It is of no use any more. Once."""


class ResumeLink:
    """A reader and a writer, as `asyncio.open_connection` gives them. First `next` and `say` for the handshake, then
    `carry`. `drop` and `leave` end it, whatever it is doing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._early: list[Frame] = []
        self._due = asyncio.Event()
        self._owner: LinkOwner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._watch: asyncio.TimerHandle | None = None
        self._heard = self._said = self.began = self._loop.time()
        self._asked = False
        self._patience = (0.0, 0.0)
        self._over = False

    # -- the handshake -------------------------------------------------------------------------------

    async def next(self) -> Frame:
        """The next frame. Raises EOFError at the end, `ProtocolError`, and what the reader raises. Bound it."""
        while not self._early:
            data = await self._reader.read(READ_SIZE)
            if not data:
                raise EOFError("the other end closed the connection in the middle of its handshake")
            self._early = self._frames.feed(data)
        return self._early.pop(0)

    def say(self, data: bytes | memoryview) -> None:
        """Write one frame; never blocks."""
        self._writer.write(data)

    # -- afterwards ----------------------------------------------------------------------------------

    def carry(self, owner: LinkOwner, ping_after: float, dead_after: float) -> None:
        """Begin to work for `owner`. After `ping_after` seconds without a byte it is told `silent`, after `dead_after`
        more the link is dead."""
        self._owner = owner
        self._patience = (ping_after, dead_after)
        self._heard = self._said = self.began = self._loop.time()
        # What cannot end is read before it is written: two ends that replay at once would wait for each other.
        self._tasks = [
            self._loop.create_task(self._guard(work), name="litz pipe link") for work in (self._read, self._write)
        ]
        self._watch_until(self._heard + ping_after)
        self._due.set()

    def wake(self) -> None:
        """Something is due."""
        self._due.set()

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """What runs for it, or ran."""
        return self._tasks

    def drop(self) -> None:
        """End it at once: nothing more is read or written. The tasks end soon."""
        if self._over:
            return
        self._stop()
        own = asyncio.current_task()
        for task in self._tasks:
            if task is not own:
                task.cancel()
        transport = getattr(self._writer, "transport", None)
        if transport is not None:
            transport.abort()
        else:
            self._writer.close()

    def leave(self, seconds: float) -> None:
        """End it well: what was written goes out, and for at most `seconds` the other end may hang up first."""
        if not self._over:
            self._stop()
            own = asyncio.current_task()
            for task in self._tasks:
                if task is not own:
                    task.cancel()
            leaving = self._loop.create_task(self._leave(seconds, self._tasks), name="litz pipe leaves")
            self._tasks = [*self._tasks, leaving]

    async def gone(self) -> None:
        """Wait for the end of what `drop` or `leave` ended: a moment, or the seconds that `leave` was given."""
        if self._tasks:
            try:
                await asyncio.wait(self._tasks)
            except asyncio.CancelledError:
                for task in self._tasks:
                    task.cancel()
                raise

    def _stop(self) -> None:
        self._over = True
        if self._watch is not None:
            self._watch.cancel()

    async def _leave(self, seconds: float, carriers: list[asyncio.Task[None]]) -> None:
        # A socket that is closed before everything was read resets the connection, and destroys our last words.
        try:
            async with asyncio.timeout(seconds):
                if carriers:
                    await asyncio.wait(carriers)
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._reader.read(READ_SIZE):
                    pass
                self._writer.close()
                await self._writer.wait_closed()
        except OSError:  # also the TimeoutError: it was bounded
            pass
        finally:
            self._writer.transport.abort()

    async def _guard(self, work: Callable[[], Any]) -> None:
        try:
            await work()
        except Exception as error:
            self._end(error)

    async def _read(self) -> None:
        owner = self._owner
        assert owner is not None
        early, self._early = self._early, []
        if early:
            owner.frames_came(self, early)
        while not self._over:
            data = await self._reader.read(READ_SIZE)
            self._heard = self._loop.time()
            self._asked = False
            if not data:
                raise EOFError("the connection was closed")
            if frames := self._frames.feed(data):
                owner.frames_came(self, frames)
            if self._heard - self._said > self._patience[0] / 2:
                self._said = self._heard
                owner.listening(self)

    @property
    def _ended(self) -> bool:
        return self._over

    async def _write(self) -> None:
        owner = self._owner
        assert owner is not None
        while not self._over:
            parts = owner.due(self, BATCH)
            if parts:
                self._said = self._loop.time()
                self._writer.writelines(parts)
                await self._writer.drain()
            elif not self._ended:  # asking may have ended it
                self._due.clear()
                await self._due.wait()

    def _watch_until(self, when: float) -> None:
        self._watch = self._loop.call_at(when, self._look, when)

    def _look(self, due: float) -> None:
        ping_after, dead_after = self._patience
        now = self._loop.time()
        if now - due > LATE:
            self._watch_until(now + LATE)  # the loop was away: first let it read what came
        elif now < self._heard + ping_after:
            self._watch_until(self._heard + ping_after)
        elif not self._asked:
            self._asked = True
            self._watch_until(now + dead_after)
            if self._owner is not None:
                self._owner.silent(self)
        else:
            self._end(TimeoutError(f"nothing came for {now - self._heard:.1f} s"))

    def _end(self, error: BaseException) -> None:
        if not self._over:
            self.drop()
            if self._owner is not None:
                self._owner.link_ended(self, error)


async def ended_within(tasks: Sequence[asyncio.Task[None]], seconds: float) -> list[asyncio.Task[None]]:
    """Wait so long for `tasks` (never for the caller), then cancel those that are left and wait once more. Returns the
    ones that do not even end then."""
    left = [task for task in tasks if task is not asyncio.current_task()]
    for last in (False, True):
        if left:
            _, pending = await asyncio.wait(left, timeout=seconds / 2)
            left = [task for task in left if task in pending]
        for task in left if not last else ():
            task.cancel()
    return left
