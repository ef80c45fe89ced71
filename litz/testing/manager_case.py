"""What every check of the manager contract starts from: two managers, and a few verbs to watch them by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from litz.manager import TransportManager
from litz.message import Message
from litz.payload import PayloadType

MakeManagers = Callable[[], AbstractAsyncContextManager[tuple[TransportManager, TransportManager]]]
"""Makes two entered managers that can reach each other by id, and closes them at the end. Nothing may have been
sent between them."""

LIMIT: Final = 240.0
"""Seconds after which a check has hung."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Case:
    """Two fresh managers, a and b."""

    a: TransportManager
    b: TransportManager

    @property
    def to_b(self) -> str:
        return self.b.local_id

    @property
    def to_a(self) -> str:
        return self.a.local_id

    async def meet(self) -> None:
        """Make the session, in both directions, and leave nothing in the inboxes."""
        for sender, receiver in ((self.a, self.b), (self.b, self.a)):
            await sender.send(receiver.local_id, b"meet")
            await take(receiver, 1)

    async def round_trip(self) -> None:
        """All that was under way in both directions before this has arrived after it."""
        signal = PayloadType.RPC_SIGNAL
        await self.a.send(self.to_b, b"ping", payload_type=signal, confirm="received")
        await self.b.send(self.to_a, b"pong", payload_type=signal, confirm="received")

    async def round_trip_without_signals(self) -> None:
        """A round trip that puts nothing into the inbox of b: what b has confirmed is known to a after it."""
        for _ in range(2):
            await self.b.send(self.to_a, b"pong", confirm="received")
        await self.a.drain(self.to_b)


Check = Callable[[Case], Awaitable[None]]


def needs_threads(check: Check) -> Check:
    """Marks a check that starts a thread, and so cannot run on virtual time."""
    check.needs_threads = True  # type: ignore[attr-defined]  # a mark on the function, read below
    return check


def starts_threads(check: Check) -> bool:
    """Whether `check` starts a thread."""
    return getattr(check, "needs_threads", False)


async def take(manager: TransportManager, count: int) -> list[Message]:
    """The next `count` messages."""
    got: list[Message] = []
    if count:
        async for message in manager.messages():
            got.append(message)
            if len(got) == count:
                break
    return got


def texts(messages: Iterable[Message]) -> list[bytes]:
    return [bytes(message.data) for message in messages]


async def expect(error: type[BaseException], awaitable: Awaitable[Any], story: str) -> BaseException:
    """The awaitable must raise `error`."""
    try:
        result = await awaitable
    except error as raised:
        return raised
    except Exception as raised:
        raise AssertionError(f"{story}: {error.__name__} was due, {raised!r} came") from raised
    raise AssertionError(f"{story}: {error.__name__} was due, but it returned {result!r}")


def expect_now(error: type[BaseException], call: Callable[[], Any], story: str) -> BaseException:
    """The call must raise `error`."""
    try:
        result = call()
    except error as raised:
        return raised
    except Exception as raised:
        raise AssertionError(f"{story}: {error.__name__} was due, {raised!r} came") from raised
    raise AssertionError(f"{story}: {error.__name__} was due, but it returned {result!r}")


async def end(task: asyncio.Task[Result]) -> None:
    """Cancel a task and wait for its end, whatever it is."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


@asynccontextmanager
async def serving(manager: TransportManager, handler: Callable[[Message], Any], **options: Any) -> AsyncIterator[None]:
    """`manager` serves with `handler` inside the block."""
    task = asyncio.get_running_loop().create_task(manager.serve(handler, **options))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        await end(task)


async def fill(sender: TransportManager, dest: str) -> int:
    """Send small messages to a dest that consumes nothing until the lane is full: of messages, so that not even an
    empty one fits. Returns how many it took."""
    from litz.errors import BackpressureError

    count = 0
    quiet = 0
    while count < 200_000:
        try:
            sender.send_nowait(dest, count.to_bytes(4, "big"))
            count += 1
            quiet = 0
        except BackpressureError:
            # Full once more after all that could move has moved: then the receiver's window is full too.
            quiet += 1
            if quiet == 20:
                return count
            # Longer in all than an ack may be held back.
            await asyncio.sleep(0.005)
    raise AssertionError(f"{dest} took {count} messages that nobody consumed: the queue has no bound (P5)")
