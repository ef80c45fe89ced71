"""How a pipe ends: `litz.pipe_transport` towards its peer and its protocol."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import PipeResetError, SessionExpiredError
from litz.stream_port import Abort
from litz.testing import SimLoop, run_simulation
from tests.unit.litz.pipe_ends import Recorder, recorded, streams, turns
from tests.unit.litz.side_pair import side_pair


async def test_an_answer_is_read_whole_although_the_peer_closed_at_once() -> None:
    """The peer closes both ways; who only reads hears a clean end, and its own close is clean too."""
    a, b = side_pair()
    (_, server), (reader, client) = streams(a), streams(b)
    server.write(b"answer")
    server.close()
    await server.wait_closed()
    assert await reader.read() == b"answer"
    client.close()
    await client.wait_closed()
    assert (a.released, b.released) == (True, True)
    assert not a.aborts


async def test_who_writes_to_a_closed_peer_is_reset() -> None:
    a, b = side_pair()
    (_, server), (reader, client) = streams(a), streams(b)
    server.close()
    await server.wait_closed()
    assert await reader.read() == b""
    with pytest.raises(ConnectionResetError):
        for _ in range(100):
            client.write(b"too late")
            await client.drain()
            await asyncio.sleep(0)
    with pytest.raises(PipeResetError):
        await client.wait_closed()
    assert (a.released, b.released) == (True, True)


async def test_what_came_unwanted_behind_the_close_resets_its_sender() -> None:
    a, b = side_pair()
    transport, writing = recorded(a)
    other, reading = recorded(b)
    transport.close()
    other.write(b"sent before it knew of the close")
    assert await writing.lost is None
    await turns()
    other.write(b"more")
    assert isinstance(await reading.lost, PipeResetError)
    assert len(a.aborts) == 1


def test_a_closed_end_waits_a_while_for_the_end_of_its_peer() -> None:
    async def main(loop: SimLoop) -> None:
        a, b = side_pair()
        transport, writing = recorded(a)
        other, reading = recorded(b)
        transport.close()
        assert await writing.lost is None
        assert not a.attached
        await asyncio.sleep(4.9)
        assert not a.aborts
        await asyncio.sleep(0.2)
        assert len(a.aborts) == 1
        assert reading.calls == ["made", "eof"], "who only reads is left in peace"
        other.close()
        assert await reading.lost is None

    run_simulation(main, seed=1)


async def test_an_abort_resets_the_peer_and_is_quiet_here() -> None:
    a, b = side_pair()
    (mine, writer), (reader, other) = streams(a), streams(b)
    writer.write(b"lost")
    writer.transport.abort()
    assert writer.is_closing()
    await writer.wait_closed()
    assert await mine.read() == b""
    with pytest.raises(ConnectionResetError) as caught:
        await reader.readexactly(100)
    assert isinstance(caught.value, PipeResetError)
    assert caught.value.code == Abort.CANCELLED
    with pytest.raises(ConnectionResetError):
        await other.wait_closed()
    assert b.released


async def test_a_lost_session_is_a_reset_whose_cause_says_why() -> None:
    a, b = side_pair()
    (reader, writer), (_, other) = streams(a), streams(b)
    writer.write(b"x")
    a.lose(SessionExpiredError("away for too long", dest="bob"))
    with pytest.raises(ConnectionResetError) as caught:
        await reader.read(1)
    assert isinstance(caught.value.__cause__, SessionExpiredError)
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()
    other.transport.abort()
    await other.wait_closed()


async def test_a_session_lost_behind_a_whole_answer_does_not_destroy_it() -> None:
    a, b = side_pair()
    (reader, writer), (_, other) = streams(a, limit=2), streams(b)
    other.write(b"a long answer")
    other.write_eof()
    await turns()
    a.lose(SessionExpiredError("gone", dest="bob"))
    assert await reader.read() == b"a long answer"
    writer.close()
    await writer.wait_closed()
    other.transport.abort()
    await other.wait_closed()


async def test_bytes_that_were_not_confirmed_when_the_session_was_lost_are_an_error() -> None:
    a, b = side_pair()
    (reader, writer), (_, other) = streams(a), streams(b)
    other.write_eof()
    assert await reader.read() == b""
    a.hold()
    writer.write(b"never arrives")
    a.lose(SessionExpiredError("gone", dest="bob"))
    with pytest.raises(ConnectionResetError):
        await writer.wait_closed()
    other.transport.abort()
    await other.wait_closed()


@pytest.mark.parametrize("reads_on", [True, False])
async def test_bytes_that_were_not_confirmed_are_an_error_also_for_who_had_paused(reads_on: bool) -> None:
    """The peer's end was known and not told yet when the session was lost: the close looked clean."""
    a, b = side_pair()
    transport, mine = recorded(a)
    other, _ = recorded(b)
    transport.pause_reading()
    other.write(b"answer")
    other.write_eof()
    await turns()
    a.hold()
    transport.write(b"never arrives")
    a.lose(SessionExpiredError("gone", dest="bob"))
    await turns()
    assert mine.calls == ["made"]
    assert a.rest == len(b"answer"), "it waits for its reader, and stays counted"
    if reads_on:
        transport.resume_reading()
    else:
        transport.close()
    await turns()
    assert isinstance(mine.lost.result(), PipeResetError)
    assert mine.data == (b"answer" if reads_on else b"")
    assert a.rest == 0
    other.abort()
    await turns()


def test_close_takes_no_longer_than_its_linger_and_what_was_written_still_arrives() -> None:
    async def main(loop: SimLoop) -> None:
        a, b = side_pair()
        transport, writing = recorded(a)
        other, reading = recorded(b)
        a.hold()
        transport.write(b"late")
        began = loop.time()
        transport.close()
        assert await writing.lost is None
        assert loop.time() - began == pytest.approx(5.0, abs=0.1)
        assert (a.released, b.released) == (False, False)
        a.flow()
        await asyncio.sleep(0.1)
        assert reading.data == b"late"
        assert reading.calls == ["made", "eof"]
        other.close()
        assert await reading.lost is None
        await asyncio.sleep(0.1)
        assert (a.released, a.aborts) == (True, [])

    run_simulation(main, seed=1)


def test_behind_its_linger_a_full_log_is_still_written() -> None:
    async def main(loop: SimLoop) -> None:
        a, b = side_pair(log=1, window=64 * 1024)
        transport, writing = recorded(a)
        other, reading = recorded(b)
        other.pause_reading()
        transport.write(bytes(300_000))
        transport.close()
        assert await writing.lost is None
        assert writing.calls[-1] == "lost"
        other.resume_reading()
        await asyncio.sleep(1)
        assert len(reading.data) == 300_000
        assert reading.calls == ["made", "eof"]
        assert writing.calls[-1] == "lost", "nothing is told after connection_lost"
        other.close()
        await reading.lost

    run_simulation(main, seed=1)


async def test_a_protocol_that_does_not_stay_is_closed_by_the_end() -> None:
    a, b = side_pair()
    _, writing = recorded(a, Recorder(stays=False))
    other, reading = recorded(b)
    other.write_eof()
    assert await writing.lost is None
    assert reading.calls == ["made", "eof"]
    other.close()
    assert await reading.lost is None
