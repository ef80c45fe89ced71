"""The simulated byte stream: all bytes in order in any fragments, and a cut at any byte."""

from __future__ import annotations

import asyncio
import random

import pytest

from litz.testing import SimLoop, run_simulation
from litz.testing.sim_stream import SimStream


class Recorder(asyncio.Protocol):
    def __init__(self, *, stay_open: bool = False) -> None:
        self.calls: list[str] = []
        self.data = bytearray()
        self.fragments = 0
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.stay_open = stay_open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        assert data
        assert not self.lost.done()
        self.fragments += 1
        self.data += data

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return self.stay_open

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.mark.parametrize("seed", range(20))
def test_all_bytes_arrive_in_order_before_the_close(seed: int) -> None:
    async def main(loop: SimLoop) -> None:
        client, server = Recorder(), Recorder()
        stream = SimStream(loop, client, server, seed=seed, fragment=2000)
        sent = [random.Random(seed).randbytes(100_000), random.Random(-seed).randbytes(50_000)]
        stream.server.write(memoryview(sent[1]))
        stream.client.writelines([sent[0][:70_000], bytearray(sent[0][70_000:])])
        await asyncio.sleep(1)
        stream.client.close()
        assert stream.client.is_closing()
        assert await client.lost is None
        assert await server.lost is None
        assert (bytes(server.data), bytes(client.data)) == (sent[0], sent[1])
        assert server.fragments > 50
        assert client.calls[0] == server.calls[0] == "made"
        assert "eof" in server.calls

    run_simulation(main, seed=seed)


def test_a_cut_at_every_byte() -> None:
    async def main(loop: SimLoop) -> None:
        for offset in range(50):
            client, server = Recorder(), Recorder()
            stream = SimStream(loop, client, server, seed=offset)
            stream.cut_after("client", offset)
            stream.client.write(bytes(range(50)))
            assert isinstance(await server.lost, ConnectionResetError)
            assert isinstance(await client.lost, ConnectionResetError)
            assert bytes(server.data) == bytes(range(offset))
            stream.client.write(b"silently dropped")
            stream.resume()
            stream.client.abort()

    run_simulation(main, seed=1)


def test_a_cut_that_one_side_learns() -> None:
    async def main(loop: SimLoop) -> None:
        client, server = Recorder(), Recorder()
        stream = SimStream(loop, client, server)
        stream.client.write(b"x")
        await asyncio.sleep(1)
        stream.cut(learn="server")
        assert isinstance(await server.lost, ConnectionResetError)
        stream.client.write(b"y")
        await asyncio.sleep(60)
        assert not client.lost.done()
        stream.client.abort()
        assert await client.lost is None

    run_simulation(main, seed=1)


def test_a_reader_that_pauses_stops_the_writer() -> None:
    async def main(loop: SimLoop) -> None:
        client, server = Recorder(), Recorder()
        stream = SimStream(loop, client, server, system_buffer=4096)
        await asyncio.sleep(0)
        stream.client.set_write_buffer_limits(high=8192, low=1024)
        assert stream.client.get_write_buffer_limits() == (1024, 8192)
        stream.server.pause_reading()
        stream.client.write(bytes(20_000))
        assert client.calls[-1:] == ["pause"]
        assert stream.client.get_write_buffer_size() == 20_000 - 4096
        await asyncio.sleep(10)
        assert not server.data
        stream.server.resume_reading()
        await asyncio.sleep(10)
        assert len(server.data) == 20_000
        assert client.calls == ["made", "pause", "resume"]
        stream.client.abort()
        await client.lost
        assert isinstance(await server.lost, ConnectionResetError)

    run_simulation(main, seed=1)


def test_half_close_lets_the_other_side_answer() -> None:
    async def main(loop: SimLoop) -> None:
        client, server = Recorder(), Recorder(stay_open=True)
        stream = SimStream(loop, client, server)
        stream.client.write(b"question")
        stream.client.write_eof()
        with pytest.raises(RuntimeError):
            stream.client.write(b"more")
        await asyncio.sleep(1)
        assert server.calls == ["made", "eof"]
        assert not server.lost.done()
        stream.server.write(b"answer")
        stream.server.close()
        assert await client.lost is None
        assert bytes(client.data) == b"answer"

    run_simulation(main, seed=1)


def test_writing_to_a_closed_peer_ends_in_a_reset() -> None:
    async def main(loop: SimLoop) -> None:
        client, server = Recorder(stay_open=True), Recorder()
        stream = SimStream(loop, client, server, system_buffer=100)
        stream.server.close()
        await server.lost
        await asyncio.sleep(1)
        stream.client.write(bytes(1000))
        assert isinstance(await client.lost, ConnectionResetError)

    run_simulation(main, seed=1)


def test_asyncio_streams_run_over_it() -> None:
    async def main(loop: SimLoop) -> None:
        readers = [asyncio.StreamReader(loop=loop) for _ in range(2)]
        protocols = [asyncio.StreamReaderProtocol(reader, loop=loop) for reader in readers]
        stream = SimStream(loop, *protocols)
        writer = asyncio.StreamWriter(stream.client, protocols[0], readers[0], loop)
        writer.write(b"hello\n" * 100_000)
        reading = asyncio.create_task(readers[1].read())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert await reading == b"hello\n" * 100_000

    run_simulation(main, seed=1)
