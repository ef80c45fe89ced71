"""`litz.pipes`: opening and serving over any carrier."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest

from litz import pipes
from litz.errors import PipeResetError, StreamRefusedError
from litz.pipes import listen_pipe_connections, listen_pipes, open_pipe, open_pipe_connection
from litz.stream_port import Abort, Offer, Refusal
from tests.unit.litz.pipe_ends import Recorder, turns
from tests.unit.litz.side_pair import MemoryCarrier


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_a_pipe_has_asyncios_verbs() -> None:
    carrier = MemoryCarrier()
    async with listen_pipes(carrier, "upper", upper) as listener:
        reader, writer = await open_pipe(carrier, "bob", "upper", metadata=b"m", limit=100)
        assert type(reader) is asyncio.StreamReader
        assert type(writer) is asyncio.StreamWriter
        writer.writelines([b"one\n", b"two\n"])
        await writer.drain()
        assert await reader.readuntil() == b"ONE\n"
        assert await reader.readexactly(4) == b"TWO\n"
        assert listener.serving == 1
        writer.write_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(1)
        assert reader.at_eof()
        assert writer.get_extra_info("peername") == "bob"
        writer.close()
        await writer.wait_closed()
    assert listener.serving == 0
    assert not carrier.services
    assert all(side.released for side in carrier.sides)


async def test_the_handler_knows_who_opened_and_with_what() -> None:
    carrier = MemoryCarrier()
    told: list[object] = []

    def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names = ("peername", "litz.dest", "litz.service", "litz.metadata", "litz.verified")
        told.extend(writer.get_extra_info(name) for name in names)
        writer.close()

    async with listen_pipes(carrier, "note", note):
        reader, writer = await open_pipe(carrier, "bob", "note", metadata=b"hello")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert told == ["alice", "alice", "note", b"hello", True]


async def test_refusals_are_typed() -> None:
    carrier = MemoryCarrier()
    with pytest.raises(StreamRefusedError) as caught:
        await open_pipe(carrier, "bob", "nothing")
    assert isinstance(caught.value, OSError)
    assert caught.value.why is Refusal.REFUSED
    async with listen_pipes(carrier, "bytes", upper):
        with pytest.raises(StreamRefusedError, match="open_pipe"):
            await carrier.open("bob", "bytes", b"", pipe=False, timeout=None)


async def test_the_pipes_of_all_peers_together_are_limited_and_each_end_frees_a_place() -> None:
    async def keep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kept.append(writer)

    async def later(offer: Offer) -> asyncio.Protocol:
        if offer.metadata == b"no":
            raise StreamRefusedError("not you", why=Refusal.REJECTED)
        return Recorder(stays=False)

    kept: list[asyncio.StreamWriter] = []
    carrier = MemoryCarrier()
    async with (
        listen_pipes(carrier, "plain", keep, max_pipes=3) as plain,
        listen_pipe_connections(carrier, "later", later, max_pipes=3) as decided,
    ):
        for service, listener in (("plain", plain), ("later", decided)):
            for ends in ("abort", "close") * 3:
                opened = [await open_pipe(carrier, "bob", service) for _ in range(3)]
                await turns()
                with pytest.raises(StreamRefusedError, match="3 pipes already") as busy:
                    await open_pipe(carrier, "bob", service)
                assert (busy.value.why, busy.value.retry_after) == (Refusal.BUSY, 1.0)
                for _, writer in opened:
                    if ends == "abort":
                        writer.transport.abort()
                    else:
                        writer.close()
                for writer in kept:
                    writer.close()
                kept.clear()
                for _, writer in opened:
                    with suppress(PipeResetError):
                        await writer.wait_closed()
                await turns()
                assert listener.pipes == 0, ends
        for _ in range(5):
            with pytest.raises(StreamRefusedError, match="not you"):
                await open_pipe(carrier, "bob", "later", metadata=b"no")
        assert decided.pipes == 0
    with pytest.raises(ValueError, match="max_pipes"):
        listen_pipes(carrier, "none", keep, max_pipes=0)


async def test_a_handler_that_raises_aborts_its_pipe_and_the_opener_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def bad(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        raise LookupError("a bug")

    def worse(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        raise LookupError("a bug")

    carrier = MemoryCarrier()
    for handler in (bad, worse):
        async with listen_pipes(carrier, "bad", handler):
            reader, writer = await open_pipe(carrier, "bob", "bad")
            writer.write(b"x\n")
            with pytest.raises(PipeResetError, match="LookupError") as caught:
                await reader.read()
            assert caught.value.code == Abort.HANDLER_FAILED
    assert len(caplog.records) == 2


async def test_a_handler_whose_pipe_was_reset_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    carrier = MemoryCarrier()
    caplog.set_level(logging.INFO)
    async with listen_pipes(carrier, "upper", upper) as listener:
        _, writer = await open_pipe(carrier, "bob", "upper")
        writer.write(b"x\n")
        writer.transport.abort()
        await turns()
        assert listener.serving == 0
    assert not caplog.text


async def test_close_lets_open_pipes_live_and_aclose_ends_their_handlers() -> None:
    carrier = MemoryCarrier()
    ended = []

    async def patient(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    listener = listen_pipes(carrier, "patient", patient)
    reader, writer = await open_pipe(carrier, "bob", "patient")
    writer.write(b"x")
    await turns()
    listener.close()
    listener.close()
    with pytest.raises(StreamRefusedError):
        await open_pipe(carrier, "bob", "patient")
    assert listener.serving == 1
    await listener.aclose()
    await listener.aclose()
    assert ended == ["cancelled"]
    with pytest.raises(ConnectionResetError) as caught:
        await reader.read()
    assert getattr(caught.value, "code", None) == Abort.LEAVING
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()


async def test_a_pipe_that_comes_with_the_close_is_not_served() -> None:
    carrier = MemoryCarrier()
    listener = listen_pipes(carrier, "upper", upper)
    carrier.when_asked = listener.close
    reader, writer = await open_pipe(carrier, "bob", "upper")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_protocols_at_both_ends() -> None:
    class Echo(asyncio.Protocol):
        takes_buffers = True

        def __init__(self, offer: Offer) -> None:
            assert offer.service == "echo"

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    class Client(asyncio.Protocol):
        def __init__(self) -> None:
            self.got = bytearray()
            self.lost = asyncio.get_running_loop().create_future()

        def data_received(self, data: bytes) -> None:
            assert type(data) is bytes
            self.got += data

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    carrier = MemoryCarrier()
    async with listen_pipe_connections(carrier, "echo", Echo):
        transport, client = await open_pipe_connection(carrier, Client, "bob", "echo")
        transport.write(bytes(200_000))
        transport.write_eof()
        assert await client.lost is None
        assert len(client.got) == 200_000


async def test_an_accept_that_raises_refuses_and_a_factory_that_raises_leaves_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_args: object) -> asyncio.Protocol:
        raise LookupError("a bug")

    carrier = MemoryCarrier()
    async with listen_pipe_connections(carrier, "broken", broken):
        with pytest.raises(StreamRefusedError, match="LookupError") as caught:
            await open_pipe(carrier, "bob", "broken")
        assert caught.value.why is Refusal.REJECTED
    assert len(caplog.records) == 1
    async with listen_pipes(carrier, "upper", upper):
        with pytest.raises(LookupError):
            await open_pipe_connection(carrier, broken, "bob", "upper")
        await turns()
    assert all(side.released for side in carrier.sides)


async def test_an_accept_may_take_its_time_and_refuse_with_words() -> None:
    carrier = MemoryCarrier()
    decided = asyncio.Event()

    async def accept(offer: Offer) -> asyncio.Protocol:
        await decided.wait()
        if offer.metadata == b"no":
            raise StreamRefusedError("no room for you", why=Refusal.BUSY, retry_after=3.0)
        return asyncio.Protocol()

    loop = asyncio.get_running_loop()
    async with listen_pipe_connections(carrier, "slow", accept) as listener:
        good = loop.create_task(open_pipe(carrier, "bob", "slow"))
        bad = loop.create_task(open_pipe(carrier, "bob", "slow", metadata=b"no"))
        await turns()
        assert listener.serving == 2
        assert not good.done()
        decided.set()
        with pytest.raises(StreamRefusedError, match="no room for you") as caught:
            await bad
        assert (caught.value.why, caught.value.retry_after) == (Refusal.BUSY, 3.0)
        _, writer = await good
        decided.clear()
        late = loop.create_task(open_pipe(carrier, "bob", "slow"))
        await turns()
    with pytest.raises(StreamRefusedError):
        await late
    writer.close()
    await writer.wait_closed()


async def test_opens_that_are_given_up_do_not_pile_up_before_accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "MAX_DECIDING", 2)
    decided, thinking = asyncio.Event(), list[Offer]()

    async def accept(offer: Offer) -> asyncio.Protocol:
        thinking.append(offer)
        await decided.wait()
        return asyncio.Protocol()

    carrier, loop = MemoryCarrier(), asyncio.get_running_loop()
    async with listen_pipe_connections(carrier, "slow", accept) as listener:
        for _ in range(2):
            opening = loop.create_task(open_pipe(carrier, "bob", "slow"))
            await turns()
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        opening = loop.create_task(open_pipe(carrier, "bob", "slow"))
        await turns()
        assert opening.done()
        with pytest.raises(StreamRefusedError, match="wait for an answer") as caught:
            await opening
        assert (caught.value.why, len(thinking)) == (Refusal.BUSY, 2)
        decided.set()
        await turns()
        assert not listener.deciding
        _, writer = await open_pipe(carrier, "bob", "slow")
        writer.transport.abort()
        await turns()


async def test_an_accept_that_cancels_itself_refuses(caplog: pytest.LogCaptureFixture) -> None:
    """The opener waited for its answer for ever, and the stream counted as long."""

    async def accept(offer: Offer) -> asyncio.Protocol:
        helper = asyncio.get_running_loop().create_task(asyncio.sleep(3600))
        helper.cancel()
        await helper
        raise AssertionError("not reached")

    carrier = MemoryCarrier()
    async with listen_pipe_connections(carrier, "broken", accept) as listener:
        opening = asyncio.get_running_loop().create_task(open_pipe(carrier, "bob", "broken"))
        await turns()
        assert (opening.done(), listener.serving) == (True, 0)
        with pytest.raises(StreamRefusedError, match="CancelledError"):
            await opening
    assert len(caplog.records) == 1


async def test_a_handler_that_ends_while_its_listener_closes_keeps_its_pipe() -> None:
    ends = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await ends.wait()

    carrier = MemoryCarrier()
    listener = listen_pipes(carrier, "lives on", handler)
    reader, writer = await open_pipe(carrier, "bob", "lives on")
    await turns()
    ends.set()
    await asyncio.sleep(0)  # the handler has returned, and nobody has looked at its task yet
    assert listener.serving == 1
    await listener.aclose()
    writers[0].write(b"still here")
    assert await reader.readexactly(10) == b"still here"
    for each in (writers[0], writer):
        each.close()
        await each.wait_closed()
