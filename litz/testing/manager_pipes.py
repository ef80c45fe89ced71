"""The manager contract of byte pipes: asyncio's verbs, whichever manager and wire carry them."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from litz.errors import (
    ConsumerConflictError,
    InvalidDestError,
    ManagerStateError,
    PipeResetError,
    StreamRefusedError,
)
from litz.stream_port import Abort, Offer, Refusal
from litz.testing.manager_case import Case, Check, end, expect, expect_now, needs_threads
from litz.testing.stream_case import LONG, until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(100_000):
        writer.write(part)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def _open(case: Case, service: str = "service", **options: Any) -> Streams:
    return await case.a.open_pipe(case.to_b, service, **{"timeout": LONG, **options})


async def _both_ends(case: Case) -> tuple[Streams, Streams]:
    """Both ends of a pipe whose handler does nothing."""
    there: asyncio.Queue[Streams] = asyncio.Queue()
    listener = case.b.listen_pipes("both", lambda reader, writer: there.put_nowait((reader, writer)))
    here = await _open(case, "both")
    found = await there.get()
    listener.close()
    return here, found


async def _gone(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.close()
    for writer in writers:
        await writer.wait_closed()


async def bytes_come_in_order_both_ways(case: Case) -> None:
    rng = random.Random(1)
    sent = rng.randbytes(700_000)
    async with case.b.listen_pipes("service", _echo):
        reader, writer = await _open(case)
        assert type(reader) is asyncio.StreamReader
        assert type(writer) is asyncio.StreamWriter

        async def write() -> None:
            at = 0
            while at < len(sent):
                part = sent[at : at + rng.choice([1, 100, 5_000, 150_000])]
                at += len(part)
                writer.write(rng.choice([bytes, bytearray, memoryview])(part))
                if rng.random() < 0.3:
                    await writer.drain()
            writer.write_eof()

        writing = asyncio.get_running_loop().create_task(write())
        assert await reader.read() == sent
        await writing
        assert reader.at_eof()
        await _gone(writer)


async def lines_and_exact_reads(case: Case) -> None:
    async with case.b.listen_pipes("service", _echo):
        reader, writer = await _open(case, limit=1_000)
        writer.writelines([b"first line\n", b"second", b" line\n", b"1234567890;rest"])
        assert await reader.readline() == b"first line\n"
        assert await reader.readline() == b"second line\n"
        assert await reader.readexactly(10) == b"1234567890"
        assert await reader.readuntil(b";") == b";"
        writer.write_eof()
        error = await expect(asyncio.IncompleteReadError, reader.readexactly(10), "the end came before")
        assert getattr(error, "partial", None) == b"rest"
        assert await reader.read(1) == b""
        await _gone(writer)


async def each_half_of_a_pipe_ends_on_its_own(case: Case) -> None:
    (reader, writer), (far_reader, far_writer) = await _both_ends(case)
    assert writer.can_write_eof()
    writer.write(b"question")
    writer.write_eof()
    assert await far_reader.read() == b"question"
    far_writer.write(b"answer")
    await far_writer.drain()
    assert await reader.readexactly(6) == b"answer"
    expect_now(RuntimeError, lambda: writer.write(b"more"), "written behind write_eof")
    far_writer.write(b", and more")
    far_writer.write_eof()
    assert await reader.read() == b", and more"
    await _gone(writer, far_writer)


async def both_ends_know_who_is_at_the_other_one(case: Case) -> None:
    told: dict[str, object] = {}

    def note(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        names = ("peername", "litz.dest", "litz.service", "litz.metadata", "litz.verified")
        told.update({name: writer.get_extra_info(name) for name in names})
        writer.close()

    async with case.b.listen_pipes("note", note):
        reader, writer = await _open(case, "note", metadata=b"about me")
        assert await reader.read() == b""
        assert writer.get_extra_info("peername") == case.to_b
        assert writer.get_extra_info("litz.service") == "note"
        assert isinstance(told.pop("litz.verified"), bool)
        want = {"peername": case.to_a, "litz.dest": case.to_a, "litz.service": "note", "litz.metadata": b"about me"}
        assert told == want
        await _gone(writer)


async def what_is_not_there_is_refused(case: Case) -> None:
    error = await expect(StreamRefusedError, _open(case, "nothing"), "no such service")
    assert isinstance(error, OSError)
    assert getattr(error, "why", None) == Refusal.REFUSED
    await expect(ValueError, _open(case, ""), "no name")
    await expect(ValueError, _open(case, "service", metadata=bytes(5_000)), "too much metadata")
    await expect(InvalidDestError, case.a.open_pipe("", "service"), "no dest")


async def a_pipe_is_no_stream_of_messages(case: Case) -> None:
    async with case.b.listen_pipes("service", _echo):
        await expect(StreamRefusedError, case.a.open_stream(case.to_b, "service", timeout=LONG), "a stream")


async def a_service_is_taken_once_and_free_again_after_its_close(case: Case) -> None:
    listener = case.b.listen_pipes("service", _echo)
    expect_now(ConsumerConflictError, lambda: case.b.listen_pipes("service", _echo), "taken")
    reader, writer = await _open(case)
    listener.close()
    await expect(StreamRefusedError, _open(case), "closed")
    writer.write(b"open pipes live on")
    assert await reader.readexactly(18) == b"open pipes live on"
    await _gone(writer)
    async with case.b.listen_pipes("service", _echo):
        _, writer = await _open(case)
        await _gone(writer)


async def an_abort_resets_the_other_end(case: Case) -> None:
    (reader, writer), (far_reader, far_writer) = await _both_ends(case)
    writer.transport.abort()
    assert writer.is_closing()
    error = await expect(ConnectionResetError, far_reader.read(), "the peer aborted")
    assert isinstance(error, PipeResetError)
    assert error.code == Abort.CANCELLED
    await expect(ConnectionResetError, far_writer.drain(), "the peer aborted")
    await expect(ConnectionResetError, far_writer.wait_closed(), "the peer aborted")
    await writer.wait_closed()
    assert await reader.read() == b""


async def a_handler_that_raises_resets_its_opener_and_says_why(case: Case) -> None:
    async def broken(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        raise LookupError("a bug of the test, on purpose")

    async with case.b.listen_pipes("broken", broken):
        reader, writer = await _open(case, "broken")
        writer.write(b"x")
        error = await expect(PipeResetError, reader.read(), "the handler failed")
        assert getattr(error, "code", None) == Abort.HANDLER_FAILED
        assert "LookupError" in str(error)
        writer.close()


async def what_was_written_before_close_arrives(case: Case) -> None:
    (_, writer), (far_reader, far_writer) = await _both_ends(case)
    sent = bytes(range(256)) * 4_000
    reading = asyncio.get_running_loop().create_task(far_reader.read())
    writer.write(sent)
    writer.close()
    await writer.wait_closed()
    assert await reading == sent
    await _gone(far_writer)


async def who_writes_to_a_closed_end_is_reset(case: Case) -> None:
    (_, writer), (far_reader, far_writer) = await _both_ends(case)
    await _gone(writer)
    assert await far_reader.read() == b""

    async def write() -> None:
        while True:
            far_writer.write(b"too late")
            await far_writer.drain()
            await asyncio.sleep(0.002)

    await expect(ConnectionResetError, write(), "nobody reads it")
    far_writer.close()


async def a_reader_that_does_not_read_stops_its_writer_and_nobody_else(case: Case) -> None:
    (_, writer), (far_reader, far_writer) = await _both_ends(case)
    wrote = 0

    async def flood() -> None:
        nonlocal wrote
        while wrote < 200 * 1_000_000:
            writer.write(bytes(100_000))
            wrote += 100_000
            await writer.drain()

    flooding = asyncio.get_running_loop().create_task(flood())
    async with case.b.listen_pipes("service", _echo):
        reader, other = await _open(case)
        before = -1
        while wrote != before:  # until it stands still for some round trips
            before = wrote
            for _ in range(5):
                other.write(b"ping")
                assert await reader.readexactly(4) == b"ping"
        await _gone(other)
    assert not flooding.done(), "nobody reads, and everything was taken"
    assert wrote < 50_000_000
    got, waits = 0, wrote
    while got < waits:
        got += len(await far_reader.read(1_000_000))
    await end(flooding)
    writer.transport.abort()
    far_writer.transport.abort()


async def many_pipes_at_once(case: Case) -> None:
    async def use(number: int) -> None:
        reader, writer = await _open(case)
        sent = b"%d " % number * 100
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        await _gone(writer)

    async with case.b.listen_pipes("service", _echo) as listener:
        await asyncio.gather(*map(use, range(100)))
        await until(lambda: listener.serving == 0)


async def protocols_at_both_ends(case: Case) -> None:
    class Client(asyncio.Protocol):
        def __init__(self) -> None:
            self.got = bytearray()
            self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

        def data_received(self, data: bytes) -> None:
            assert type(data) is bytes
            self.got += data

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost.set_result(exc)

    class Greeter(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"hello")
            transport.close()

    async def accept(offer: Offer) -> asyncio.Protocol:
        await asyncio.sleep(0)
        if offer.metadata == b"no":
            raise StreamRefusedError("not for you", why=Refusal.BUSY, retry_after=3.0)
        return Greeter()

    async with case.b.listen_pipe_connections("greet", accept):
        transport, client = await case.a.open_pipe_connection(Client, case.to_b, "greet", timeout=LONG)
        assert await client.lost is None
        assert client.got == b"hello"
        assert transport.is_closing()
        opening = case.a.open_pipe_connection(Client, case.to_b, "greet", metadata=b"no", timeout=LONG)
        error = await expect(StreamRefusedError, opening, "the service says no")
        assert "not for you" in str(error)
        assert getattr(error, "retry_after", None) == 3.0


async def pipes_of_a_bound_peer(case: Case) -> None:
    async with case.b.listen_pipes("service", _echo):
        reader, writer = await case.a.peer(case.to_b).open_pipe("service", timeout=LONG)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        await _gone(writer)


async def an_open_that_is_cancelled_leaves_nothing(case: Case) -> None:
    async def never(offer: Offer) -> asyncio.Protocol:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # it never comes

    async with case.b.listen_pipe_connections("never", never) as listener:
        opening = asyncio.get_running_loop().create_task(_open(case, "never"))
        await until(lambda: listener.serving == 1)
        await end(opening)
        assert opening.cancelled()
        await expect(TimeoutError, _open(case, "never", timeout=0.05), "nobody answers")
    assert listener.serving == 0


async def a_manager_that_closes_resets_its_pipes_and_ends_its_handlers(case: Case) -> None:
    ended: list[str] = []

    async def patient(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        except ConnectionResetError:
            ended.append("reset")
            raise
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    case.b.listen_pipes("patient", patient)
    reader, writer = await _open(case, "patient")
    writer.write(b"x")
    await writer.drain()
    await until(lambda: not writer.transport.get_write_buffer_size())
    await case.b.aclose()
    assert ended in (["reset"], ["cancelled"], [])
    await expect(ConnectionResetError, reader.read(), "the peer has gone")
    writer.close()
    expect_now(ManagerStateError, lambda: case.b.listen_pipes("patient", patient), "closed")
    await expect(ManagerStateError, case.b.open_pipe(case.to_a, "x"), "closed")


@needs_threads
async def a_pipe_as_a_socket(case: Case) -> None:
    async with case.b.listen_pipes("service", _echo):
        with await case.a.pipe_socket(case.to_b, "service", timeout=LONG) as end_of_pipe:

            def use() -> int:
                end_of_pipe.sendall(bytes(1_000))
                got = len(end_of_pipe.recv(1_000))
                end_of_pipe.shutdown(1)
                while part := end_of_pipe.recv(65_536):
                    got += len(part)
                return got

            assert await asyncio.to_thread(use) == 1_000


@needs_threads
async def a_pipe_that_is_aborted_resets_its_socket(case: Case) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"half an answer")
        await writer.drain()
        await reader.readexactly(1)
        writer.transport.abort()

    async with case.b.listen_pipes("half", half):
        with await case.a.peer(case.to_b).pipe_socket("half", timeout=LONG) as end_of_pipe:

            def use() -> None:
                got = b""
                while len(got) < 14:
                    got += end_of_pipe.recv(100)
                end_of_pipe.sendall(b"x")
                try:
                    assert end_of_pipe.recv(100)
                except ConnectionResetError:
                    return
                raise AssertionError("half an answer looked like a whole one")

            await asyncio.to_thread(use)


PIPE_CHECKS: Final[tuple[Check, ...]] = (
    bytes_come_in_order_both_ways,
    lines_and_exact_reads,
    each_half_of_a_pipe_ends_on_its_own,
    both_ends_know_who_is_at_the_other_one,
    what_is_not_there_is_refused,
    a_pipe_is_no_stream_of_messages,
    a_service_is_taken_once_and_free_again_after_its_close,
    an_abort_resets_the_other_end,
    a_handler_that_raises_resets_its_opener_and_says_why,
    what_was_written_before_close_arrives,
    who_writes_to_a_closed_end_is_reset,
    a_reader_that_does_not_read_stops_its_writer_and_nobody_else,
    many_pipes_at_once,
    protocols_at_both_ends,
    pipes_of_a_bound_peer,
    an_open_that_is_cancelled_leaves_nothing,
    a_manager_that_closes_resets_its_pipes_and_ends_its_handlers,
    a_pipe_as_a_socket,
    a_pipe_that_is_aborted_resets_its_socket,
)
