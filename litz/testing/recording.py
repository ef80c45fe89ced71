"""A sink that writes down all it is told, waits for more, and notices what a wire must not do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from litz.message import Buffer
from litz.wire import Wire, WireLoss

DEADLINE = 120.0
"""Seconds after which something that should have happened never will. Generous: nothing waits for it."""

MakePair = Callable[[], AbstractAsyncContextManager[tuple[Wire, Wire]]]
"""Opens two connected wires, not started: the dialling end and the accepting end."""


class RecordingSink:
    """Implements `WireSink`. `wrong` lists every breach of the wire's law that was seen."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.urgent: list[bytes] = []
        """Frames that came on the urgent channel."""
        self.writable_calls = 0
        self.loss: WireLoss | None = None
        self.wrong: list[str] = []
        self.inside: str | None = None
        """The verb of the wire that is running now, from inside which nothing may be called."""
        self.on_frame: Callable[[bytes], None] | None = None
        self._thread = threading.get_ident()
        self._news = asyncio.Event()

    def frame_received(self, frame: bytes) -> None:
        self._called("frame_received")
        if type(frame) is not bytes:
            self.wrong.append(f"frame_received got {type(frame).__name__}, not bytes")
        self.frames.append(frame)
        if self.on_frame is not None:
            self.on_frame(frame)

    def urgent_received(self, frame: bytes) -> None:
        self._called("urgent_received")
        self.urgent.append(frame)

    def wire_writable(self) -> None:
        self._called("wire_writable")
        self.writable_calls += 1

    def wire_closed(self, loss: WireLoss) -> None:
        self._called("wire_closed")
        if type(loss) is not WireLoss:
            self.wrong.append(f"wire_closed got {loss!r}, not a WireLoss")
        self.loss = loss

    def _called(self, callback: str) -> None:
        if self.loss is not None:
            self.wrong.append(f"{callback} was called after wire_closed")
        if self.inside is not None:
            self.wrong.append(f"{callback} was called from inside {self.inside}")
        if threading.get_ident() != self._thread:
            self.wrong.append(f"{callback} was called in another thread")
        self._news.set()

    async def until(self, ready: Callable[[], bool], what: str) -> None:
        """Return once `ready()` holds; it is asked again after each callback."""
        try:
            async with asyncio.timeout(DEADLINE):
                while not ready():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"{what} did not happen in {DEADLINE:g} s: {len(self.frames)} frames, "
                f"{self.writable_calls} calls of wire_writable, loss {self.loss}"
            ) from None


class End:
    """One end of a pair under test: a wire and its sink. Its verbs catch callbacks from inside them."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self.wire = wire
        self.sink = RecordingSink()
        self.peer: End
        self.started = False

    def start(self) -> None:
        self.started = True
        self._guarded("start", self.wire.start, self.sink)

    def write(self, *buffers: Buffer) -> None:
        self._guarded("write", self.wire.write, buffers)

    def write_urgent(self, *buffers: Buffer) -> None:
        assert self.wire.urgent is not None
        self._guarded("write of the urgent channel", self.wire.urgent.write, buffers)

    def close(self) -> None:
        self._guarded("close", self.wire.close)

    def abort(self) -> None:
        self._guarded("abort", self.wire.abort)

    def _guarded(self, verb: str, method: Callable[..., None], *args: Any) -> None:
        sinks = (self.sink, self.peer.sink)
        before = [sink.inside for sink in sinks]
        for sink in sinks:
            sink.inside = f"{verb} of the {self.name}"
        try:
            method(*args)
        finally:
            for sink, inside in zip(sinks, before, strict=True):
                sink.inside = inside

    async def closed(self) -> WireLoss:
        """Wait for `wire_closed` and return its cause."""
        await self.sink.until(lambda: self.sink.loss is not None, f"wire_closed at the {self.name}")
        assert self.sink.loss is not None
        return self.sink.loss

    async def receives(self, frames: Sequence[bytes]) -> None:
        """Wait until all of `frames` arrived, and check that they are what arrived.

        A wire that is not reliable is given time to lose them: the peer writes what is missing again.
        """
        wanted = len(frames)
        if not self.wire.reliable:
            await self._receives_eventually(frames)
            return
        await self.sink.until(lambda: len(self.sink.frames) >= wanted, f"frame {wanted} at the {self.name}")
        got = self.sink.frames if self.wire.ordered else sorted(self.sink.frames)
        expected = list(frames) if self.wire.ordered else sorted(frames)
        if got != expected:
            sizes = [len(frame) for frame in got], [len(frame) for frame in expected]
            raise AssertionError(f"the {self.name} got other frames than were written (sizes {sizes!r:.200})")

    async def receives_urgent(self, frames: Sequence[bytes]) -> None:
        """Wait until all of `frames` came on the urgent channel, and check that they are what came."""
        sink = self.sink
        await sink.until(lambda: len(sink.urgent) >= len(frames), f"urgent frame {len(frames)} at the {self.name}")
        assert sink.urgent == list(frames), f"the {self.name} got other urgent frames than were written"

    async def _receives_eventually(self, frames: Sequence[bytes]) -> None:
        async with asyncio.timeout(DEADLINE):
            while missing := set(frames).difference(self.sink.frames):
                before = len(self.sink.frames)
                await asyncio.sleep(0.2)
                if len(self.sink.frames) == before:
                    for frame in sorted(missing):
                        self.peer.write(frame)
        strangers = set(self.sink.frames).difference(frames)
        assert not strangers, f"the {self.name} got {len(strangers)} frames that nobody wrote"


@asynccontextmanager
async def open_ends(make_pair: MakePair) -> AsyncIterator[tuple[End, End]]:
    """Both ends of a new pair. On leaving: both are aborted and must tell it, no breach of the law may have been
    seen, and no task may be left."""
    before = asyncio.all_tasks()
    async with make_pair() as (dialled, accepted):
        dialler, acceptor = End("dialler", dialled), End("acceptor", accepted)
        dialler.peer, acceptor.peer = acceptor, dialler
        try:
            yield dialler, acceptor
        finally:
            dialler.abort()
            acceptor.abort()
        for end in (dialler, acceptor):
            if end.started:
                await end.closed()
        for _ in range(20):  # what was told twice would be told soon
            await asyncio.sleep(0)
    wrong = [f"{end.name}: {text}" for end in (dialler, acceptor) for text in end.sink.wrong]
    assert not wrong, "; ".join(wrong)
    await _tasks_end(before)


async def _tasks_end(before: set[asyncio.Task[Any]]) -> None:
    """Wait until no task is left but those of `before`."""
    left = asyncio.all_tasks() - before
    if left:
        _done, left = await asyncio.wait(left, timeout=DEADLINE)
    names = sorted(repr(task) for task in left)
    assert not left, f"the wires left {len(left)} tasks: {names}"
