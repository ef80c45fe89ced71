"""What the checks of streams share: services that they open, and what they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from litz.errors import EndOfStreamError
from litz.stream import Stream
from litz.stream_host import Listener
from litz.stream_listener import AcceptStream, StreamHandler
from litz.stream_options import Drain, StreamOptions
from litz.testing.manager_case import Case

LONG: Final = 120.0
"""Seconds that nothing in these checks needs."""

PATIENT: Final = StreamOptions(grace=LONG, open_timeout=LONG)
"""What every stream of these checks has, so that no slow machine changes what happens."""


def patient(**choices: Any) -> StreamOptions:
    """These choices, and no hurry."""
    return StreamOptions(**{"grace": LONG, "open_timeout": LONG, **choices})


async def echo(stream: Stream) -> None:
    """Send back what comes, until the peer has finished."""
    async for message in stream:
        await stream.send(message)


async def until(met: Callable[[], bool]) -> None:
    """Wait for `met`; the check as a whole has a deadline."""
    while not met():  # noqa: ASYNC110 - what is waited for is news of the other manager, seen from outside
        await asyncio.sleep(0.002)


@asynccontextmanager
async def service(
    case: Case,
    handler: StreamHandler,
    options: StreamOptions = PATIENT,
    *,
    accept: AcceptStream | None = None,
    start: bool = True,
    name: str = "service",
) -> AsyncIterator[Listener]:
    """`b` has the service; at the end all its handlers have ended."""
    listener = case.b.listen_streams(name, handler, options=options, accept=accept, start=start)
    try:
        yield listener
    finally:
        await listener.stop("abort")


class Caught:
    """Streams that a handler was given, held until they are let go."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.go = asyncio.Event()

    async def handler(self, stream: Stream) -> None:
        self.streams.append(stream)
        await self.go.wait()

    async def next(self) -> Stream:
        """The first one, once it is there."""
        await until(lambda: bool(self.streams))
        return self.streams[0]


@asynccontextmanager
async def both_ends(
    case: Case, *, opener: StreamOptions = PATIENT, other: StreamOptions = PATIENT
) -> AsyncIterator[tuple[Stream, Stream]]:
    """Both ends of one stream, of a and of b. What is left of it at the end is aborted."""
    caught = Caught()
    async with service(case, caught.handler, other):
        here = await case.a.open_stream(case.to_b, "service", options=opener)
        there = await caught.next()
        try:
            yield here, there
        finally:
            here.abort("the check is over")
            there.abort("the check is over")
            caught.go.set()


@contextmanager
def told_to_the_loop() -> Iterator[list[dict[str, Any]]]:
    """What the loop's exception handler is told inside the block."""
    loop = asyncio.get_running_loop()
    told: list[dict[str, Any]] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: told.append(context))
    try:
        yield told
    finally:
        loop.set_exception_handler(before)


async def rest_of(stream: Stream) -> list[bytes]:
    """All that comes until the peer has finished."""
    return [bytes(message) async for message in stream]


async def flood(stream: Stream, count: int = 200) -> None:
    """Send more than any window, of messages that say which they are."""
    for number in range(count):
        await stream.send(numbered(number, 30_000))


def numbered(number: int, size: int = 8) -> bytes:
    """A message that says which it is."""
    return number.to_bytes(8, "big") + bytes(size - 8)


__all__ = [
    "LONG",
    "PATIENT",
    "Caught",
    "Drain",
    "EndOfStreamError",
    "both_ends",
    "echo",
    "flood",
    "numbered",
    "patient",
    "rest_of",
    "service",
    "told_to_the_loop",
    "until",
]
