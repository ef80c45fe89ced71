"""A peer whose messages, streams and pipes make handlers raise does not fill the log, on both managers: the first
failures are told with their tracebacks, the others are counted, and no count is lost.

Covers `litz.seldom` as `litz.serving`, `litz.stream_listener`, `litz.pipes`, `litz.supervised` and
`litz.pipeline.service` use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import Message, RemoteError, StreamAbortedError, TransportManager
from litz.order import PerKey
from litz.pipeline import PipelineOptions, pipeline
from litz.seldom import EVERY, OF_HANDLER
from litz.stream import Stream
from litz.stream_port import Offer
from litz.supervised_serving import supervised
from litz.supervision import Failure, Remedy, Supervise
from litz.testing.stream_case import told_to_the_loop, until
from tests.integration.stream_nodes import two_nodes

Pair = Callable[[], AbstractAsyncContextManager[tuple[TransportManager, TransportManager]]]

MANY = 60
LEFT_OUT = re.compile(r"(\d+) more (?:of these|of its errors|failures of its handler) were not told")


@asynccontextmanager
async def in_process() -> AsyncIterator[tuple[TransportManager, TransportManager]]:
    hub = Hub()
    async with InprocTransportManager("alice", hub) as alice, InprocTransportManager("bob", hub) as bob:
        yield alice, bob


both = pytest.mark.parametrize("nodes", [in_process, two_nodes], ids=["inproc", "outproc"])


class Log:
    """What the log has of a test that made `MANY` handlers raise."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING)
        self._caplog = caplog
        self._began = asyncio.get_running_loop().time()

    def judge(self, about: str) -> None:
        """Of failures that are told as `about`: a few, with tracebacks, and all counted once the service is over."""
        records = [record for record in self._caplog.records if record.name.startswith(("litz", "asyncio"))]
        told = [record for record in records if about in record.getMessage()]
        minutes = int((asyncio.get_running_loop().time() - self._began) / EVERY)
        assert OF_HANDLER <= len(told) <= OF_HANDLER + minutes, "told are the first, then one a minute"
        assert all(record.exc_info and record.exc_info[1] is not None for record in told), "with their tracebacks"
        counts = [LEFT_OUT.search(record.getMessage()) for record in records]
        assert len(told) + sum(int(count[1]) for count in counts if count) == MANY, [str(each.msg) for each in records]


async def serve_all(bob: TransportManager, alice: TransportManager, serve: Callable[[], Awaitable[None]]) -> None:
    """`serve` at bob until it has got through all that alice sent."""
    serving = asyncio.ensure_future(serve())
    for number in range(MANY):
        await alice.send("bob", b"%d" % number, confirm="processed" if number == MANY - 1 else None)
    serving.cancel()
    await asyncio.wait([serving])


@both
@pytest.mark.parametrize("order", [None, PerKey(by=lambda message: message.data)], ids=["plain", "per key"])
async def test_messages(nodes: Pair, order: PerKey | None, caplog: pytest.LogCaptureFixture) -> None:
    handled: list[bytes] = []

    def handler(message: Message) -> None:
        handled.append(message.data)
        raise ValueError(f"no {message.data!r}")

    async with nodes() as (alice, bob):
        log = Log(caplog)
        await serve_all(bob, alice, lambda: bob.serve(handler, order=order))
    assert len(handled) == MANY
    log.judge("the handler raised")


@both
async def test_requests_are_answered_with_the_error_and_not_logged(
    nodes: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(message: Message) -> None:
        raise ValueError("no")

    async with nodes() as (alice, bob):
        serving = asyncio.ensure_future(bob.serve(handler))
        for _ in range(MANY):
            with pytest.raises(RemoteError):
                await alice.request("bob", b"x", timeout=60.0)
        serving.cancel()
        await asyncio.wait([serving])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@both
async def test_supervised_messages(nodes: Pair, caplog: pytest.LogCaptureFixture) -> None:
    def handler(message: Message) -> None:
        raise ValueError("no")

    jobs = supervised(handler, Supervise())
    async with nodes() as (alice, bob):
        caplog.set_level(logging.WARNING)
        await serve_all(bob, alice, lambda: bob.serve(jobs))
    told = [record for record in caplog.records if record.name == "litz.supervision"]
    assert OF_HANDLER <= len(told) < MANY
    assert jobs.tally.failures == {Failure.RAISED: MANY}, "the tally has all"
    assert jobs.tally.remedies == {Remedy.DEAD_LETTER: MANY}
    assert len(jobs.dead_letters) == MANY


@both
async def test_streams(nodes: Pair, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(stream: Stream) -> None:
        raise ValueError("no")

    async with nodes() as (alice, bob):
        log = Log(caplog)
        with told_to_the_loop() as told:
            async with bob.listen_streams("service", handler):
                for _ in range(MANY):
                    with pytest.raises(StreamAbortedError, match="ValueError"):
                        async with alice.open_stream("bob", "service") as stream:
                            await stream.receive()
        for context in told:
            error = context.get("exception")
            logging.getLogger("litz").error(context["message"], exc_info=error)  # as the loop does by itself
    log.judge("the handler of")


@both
async def test_pipelines_of_streams(nodes: Pair, caplog: pytest.LogCaptureFixture) -> None:
    jobs = pipeline(lambda item: 1 // 0, PipelineOptions(supervise=Supervise(then=Remedy.CLOSE)))
    async with nodes() as (alice, bob):
        caplog.set_level(logging.WARNING)
        async with bob.listen_streams("jobs", jobs):
            for _ in range(MANY):
                with pytest.raises(StreamAbortedError):
                    async with alice.open_stream("bob", "jobs") as stream:
                        await stream.send(b"job")
                        await stream.receive()
            await until(lambda: not jobs.flows)
    told = [record for record in caplog.records if record.name == "litz.supervision"]
    assert OF_HANDLER <= len(told) < MANY
    assert jobs.totals[0].failures == {Failure.RAISED: MANY}, "the tally has all"
    assert len(jobs.reports) == MANY


@both
@pytest.mark.parametrize("how", ["at once", "later"])
async def test_pipes(nodes: Pair, how: str, caplog: pytest.LogCaptureFixture) -> None:
    def at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise ValueError("no")

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    handler = at_once if how == "at once" else later
    async with nodes() as (alice, bob):
        log = Log(caplog)
        async with bob.listen_pipes("service", handler):
            for _ in range(MANY):
                reader, writer = await alice.open_pipe("bob", "service")
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                writer.close()
    log.judge("the handler of")


class Raises(asyncio.Protocol):
    """In one of its verbs."""

    def __init__(self, verb: str) -> None:
        self._verb = verb

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._verb == "connection_made":
            raise ValueError("no")

    def data_received(self, data: bytes) -> None:
        if self._verb == "data_received":
            raise ValueError("no")

    def connection_lost(self, error: BaseException | None) -> None:
        if self._verb == "connection_lost":
            raise ValueError("no")


async def later(protocol: Raises) -> Raises:
    await asyncio.sleep(0)
    return protocol


@both
@pytest.mark.parametrize("decided", ["at once", "later"])
@pytest.mark.parametrize("verb", ["connection_made", "data_received", "connection_lost"])
async def test_protocols(nodes: Pair, verb: str, decided: str, caplog: pytest.LogCaptureFixture) -> None:
    def accept(offer: Offer) -> Raises | Awaitable[Raises]:
        return Raises(verb) if decided == "at once" else later(Raises(verb))

    async with nodes() as (alice, bob):
        log = Log(caplog)
        with told_to_the_loop() as told:
            async with bob.listen_pipe_connections("service", accept):
                for _ in range(MANY):
                    reader, writer = await alice.open_pipe("bob", "service")
                    with contextlib.suppress(ConnectionError):
                        writer.write(b"x")
                        writer.write_eof()
                        await reader.read()
                    writer.close()
        for context in told:
            logging.getLogger("litz").error(context["message"], exc_info=context["exception"])
    log.judge(verb)
