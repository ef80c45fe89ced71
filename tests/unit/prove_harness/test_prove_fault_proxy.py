"""The proxy is known to harm TCP in the ways it says, before any proof leans on it.

Covers `tests.prove.fault_proxy`, `tests.prove.fault_link` and `tests.prove.torment`.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from tests.prove.fault_link import End, Link, Way
from tests.prove.fault_proxy import FaultProxy
from tests.prove.torment import Torment

pytestmark = pytest.mark.both_loops

EVERY_FAULT = {
    "reset",
    "cut",
    "half-close",
    "blackhole both ways",
    "blackhole one way",
    "delay",
    "refused",
    "stalled",
}
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Rig:
    """A target server behind a proxy, and pairs of sockets through it."""

    def __init__(self, proxy: FaultProxy, arrivals: asyncio.Queue[Ends]) -> None:
        self.proxy = proxy
        self._arrivals = arrivals
        self.writers: list[asyncio.StreamWriter] = []

    async def dial(self) -> Ends:
        reader, writer = await asyncio.open_connection(self.proxy.host, self.proxy.port)
        self.writers.append(writer)
        return reader, writer

    async def pair(self) -> tuple[Ends, Ends, Link]:
        """A client's end, the server's end, and the link between them, proved open by a byte each way."""
        client = await self.dial()
        server = await self._arrivals.get()
        client[1].write(b"?")
        assert await server[0].readexactly(1) == b"?"
        server[1].write(b"!")
        assert await client[0].readexactly(1) == b"!"
        return client, server, self.proxy.links[max(self.proxy.links)]


@asynccontextmanager
async def rig(seed: int = 1) -> AsyncIterator[Rig]:
    arrivals: asyncio.Queue[Ends] = asyncio.Queue()
    accepted: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        arrivals.put_nowait((reader, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    made = Rig(FaultProxy(host, port, seed=seed), arrivals)
    try:
        async with made.proxy:
            yield made
    finally:
        server.close()
        writers = (*made.writers, *accepted)
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
        await server.wait_closed()


async def silent(reader: asyncio.StreamReader) -> bool:
    """Whether nothing comes, not even an end, for a while in which it surely would have."""
    try:
        async with asyncio.timeout(0.15):
            return not await reader.read(1) and False
    except TimeoutError:
        return True


async def test_bytes_pass_unchanged_both_ways_and_ends_pass_too() -> None:
    data = Random(7).randbytes(3_000_000)
    async with rig() as made:
        client, server, _link = await made.pair()

        async def pour(writer: asyncio.StreamWriter) -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        _, _, up, down = await asyncio.gather(pour(client[1]), pour(server[1]), server[0].read(), client[0].read())
        assert hashlib.sha256(up).digest() == hashlib.sha256(data).digest() == hashlib.sha256(down).digest()
    assert made.proxy.counts["bytes up"] == made.proxy.counts["bytes down"] == len(data) + 1
    assert made.proxy.counts["accepted"] == 1


async def test_reset_is_a_reset_at_both_ends_and_spares_the_others() -> None:
    async with rig() as made:
        client, server, link = await made.pair()
        other, other_server, _ = await made.pair()
        made.proxy.reset(link)
        for reader, _ in (client, server):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        other[1].write(b"alive")
        assert await other_server[0].readexactly(5) == b"alive"
        assert list(made.proxy.links.values()) != [link]
    assert made.proxy.counts["reset"] == 1


async def test_blackhole_says_nothing_and_a_heal_delivers_what_was_held() -> None:
    async with rig() as made:
        client, server, link = await made.pair()
        made.proxy.blackhole(link)
        client[1].write(b"up")
        server[1].write(b"down")
        client[1].write_eof()
        assert await silent(server[0])
        assert await silent(client[0])
        made.proxy.heal(link)
        assert await server[0].read() == b"up"
        assert await client[0].readexactly(4) == b"down"


async def test_blackhole_one_way_leaves_the_other_way_alone() -> None:
    async with rig() as made:
        client, server, link = await made.pair()
        made.proxy.blackhole(link, [Way.UP])
        client[1].write(b"up")
        server[1].write(b"down")
        assert await client[0].readexactly(4) == b"down"
        assert await silent(server[0])
    assert made.proxy.counts["blackhole one way"] == 1


async def test_blackhole_hides_the_death_of_a_peer() -> None:
    async with rig() as made:
        client, server, link = await made.pair()
        made.proxy.blackhole(link)
        client[1].transport.abort()
        assert await silent(server[0])


async def test_a_reset_that_only_a_write_can_notice_is_hidden_too() -> None:
    async with rig() as made:
        client, server, link = await made.pair()
        made.proxy.blackhole(link, [Way.UP])
        raw = client[1].get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client[1].transport.abort()
        server[1].write(b"x" * 1000)
        assert await silent(server[0])
        server[1].write(b"x" * 1000)
        assert await silent(server[0])
        made.proxy.heal(link)
        with pytest.raises(ConnectionResetError):
            await server[0].read(1)


async def test_a_blackholed_sender_is_slowed_by_its_own_full_buffers() -> None:
    async with rig() as made:
        client, _server, link = await made.pair()
        made.proxy.blackhole(link)
        client[1].write(b"x" * (64 << 20))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client[1].drain()


async def test_half_close_ends_one_direction_only() -> None:
    async with rig() as made:
        client, server, link = await made.pair()
        made.proxy.half_close(link, Way.UP)
        assert await server[0].read() == b""
        client[1].write(b"goes nowhere")
        server[1].write(b"still comes")
        assert await client[0].readexactly(11) == b"still comes"


@pytest.mark.parametrize("size", [1, 2, 999, 65536, 500_000])
async def test_cut_lets_exactly_so_many_bytes_pass(size: int) -> None:
    async with rig() as made:
        client, server, link = await made.pair()
        before = link.flows[Way.UP].passed
        made.proxy.cut_after(link, Way.UP, size)
        received = 0
        client[1].write(b"x" * (size + 1000))
        with pytest.raises(ConnectionResetError):
            while chunk := await server[0].read(65536):
                received += len(chunk)
        assert link.flows[Way.UP].passed - before == size
        assert received <= size
    assert made.proxy.counts["cut"] == 1


async def test_delay_is_late_and_in_order() -> None:
    async with rig() as made:
        client, server, link = await made.pair()
        made.proxy.delay(link, 0.05, 0.05, [Way.UP])
        for number in range(50):
            client[1].write(bytes([number]))
            await asyncio.sleep(0.001)
        begun = asyncio.get_running_loop().time()
        client[1].write(bytes([50]))
        assert await server[0].readexactly(51) == bytes(range(51))
        assert asyncio.get_running_loop().time() - begun >= 0.05


async def test_refusing_and_an_unreachable_target_are_resets() -> None:
    async with rig() as made:
        made.proxy.refusing = True
        reader, _ = await made.dial()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        made.proxy.refusing = False
        made.proxy.target = ("127.0.0.1", 1)
        reader, _ = await made.dial()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
    assert (made.proxy.counts["refused"], made.proxy.counts["target unreachable"]) == (1, 1)


async def test_stalling_accepts_and_never_answers() -> None:
    async with rig() as made:
        made.proxy.stalling = True
        reader, _ = await made.dial()
        assert await silent(reader)


async def test_cut_points_come_from_the_seed() -> None:
    points = []
    for _ in range(2):
        async with rig(seed=42) as made:
            drawn = []
            for _ in range(5):
                _, _, link = await made.pair()
                made.proxy.cut_after(link, Way.UP)
                drawn.append(link.flows[Way.UP].cut_after)
            points.append(drawn)
    assert points[0] == points[1]
    assert len(set(points[0])) == 5


async def test_torment_does_every_fault_and_leaves_the_proxy_healed() -> None:
    async with rig() as made:
        nemesis = Torment(made.proxy, 5, gap=(0.0, 0.004), pause=(0.0, 0.01))
        running = asyncio.create_task(nemesis.run())
        try:
            while not set(made.proxy.counts) >= EVERY_FAULT:
                await use_for_a_moment(made)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert not made.proxy.refusing
        assert not made.proxy.stalling
        assert not any(flow.held for link in made.proxy.links.values() for flow in link.flows.values())


async def use_for_a_moment(made: Rig) -> None:
    try:
        _, writer = await made.dial()
    except OSError:
        return
    for _ in range(4):
        if not writer.is_closing():  # uvloop raises RuntimeError for a write to what is closed
            writer.write(b"x" * 40_000)
        await asyncio.sleep(0.002)
    writer.transport.abort()


@pytest.mark.parametrize("turns", range(6))
async def test_what_it_accepted_as_it_ended_is_closed_too(turns: int) -> None:
    """Else its transport is nobody's, and warns of itself when the loop ends first."""
    made: list[End] = []

    class Watched(FaultProxy):
        def _end(self, link: Link, way: Way) -> End:
            made.append(end := super()._end(link, way))
            return end

    async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0) as target:
        async with Watched("127.0.0.1", target.sockets[0].getsockname()[1]) as proxy:
            clients = [socket.create_connection((proxy.host, proxy.port), timeout=60) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
        ended = [end.gone.is_set() for end in made]
        for client in clients:
            client.close()
        for _ in range(20):
            await asyncio.sleep(0)
        assert all(ended)
        assert len(made) == len(ended), "nothing is accepted after its end"
