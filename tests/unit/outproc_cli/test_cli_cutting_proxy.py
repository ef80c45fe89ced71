"""The knife of the demo: bytes pass unchanged until a connection is cut, and then both ends see a reset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from outproc.cli.cutting_proxy import CuttingProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Target:
    """Accepts one connection at a time and hands over its streams."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Streams] = asyncio.Queue()
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.put_nowait((reader, writer))


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    async with await asyncio.start_server(target.accept, "127.0.0.1", 0) as server:
        target.port = server.sockets[0].getsockname()[1]
        yield target


async def closed(*writers: asyncio.StreamWriter) -> None:
    for writer in writers:
        writer.transport.abort()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.both_loops
async def test_bytes_pass_both_ways_from_the_first_and_an_end_is_passed_on(target: Target) -> None:
    async with CuttingProxy(Random(1)) as proxy:
        near, near_out = await asyncio.open_connection("127.0.0.1", await proxy.forward("127.0.0.1", target.port))
        content = Random(1).randbytes(3 << 20)
        near_out.write(content)  # begins before the proxy can have dialled
        far, far_out = await target.accepted.get()
        assert await far.readexactly(len(content)) == content
        far_out.write(b"answer")
        far_out.close()
        assert await near.read() == b"answer"
        await closed(near_out, far_out)
    assert proxy.cuts == 0


@pytest.mark.both_loops
@pytest.mark.parametrize("way", [0, 1])
async def test_a_cut_comes_after_so_many_bytes(way: int, target: Target) -> None:
    async with CuttingProxy(Random(1)) as proxy:
        near = await asyncio.open_connection("127.0.0.1", await proxy.forward("127.0.0.1", target.port))
        near[1].write(b"x")
        far = await target.accepted.get()
        assert await far[0].readexactly(1) == b"x"
        (link,) = proxy.links
        link.cut_after(way, 1000)
        source, sink = (near, far) if way == 0 else (far, near)
        source[1].write(b"y" * 5000)
        got = b""
        with pytest.raises(ConnectionResetError):
            while True:
                got += await sink[0].readexactly(1)
        assert len(got) <= 1000
        assert proxy.cuts == 1
        assert not proxy.links
        await closed(near[1], far[1])


async def test_an_idle_connection_is_cut_all_the_same(target: Target) -> None:
    async with CuttingProxy(Random(1)) as proxy:
        near, near_out = await asyncio.open_connection("127.0.0.1", await proxy.forward("127.0.0.1", target.port))
        _, far_out = await target.accepted.get()
        cutting = asyncio.create_task(proxy.cut_about_every(0.01))
        with pytest.raises(ConnectionResetError):
            await near.readexactly(1)
        cutting.cancel()
        await asyncio.wait([cutting])
        assert proxy.cuts == 1
        await closed(near_out, far_out)


async def test_only_connections_of_the_name_are_cut(target: Target) -> None:
    async with CuttingProxy(Random(1)) as proxy:
        ends = []
        for name in ("one", "other"):
            port = await proxy.forward("127.0.0.1", target.port, name)
            ends.append((await asyncio.open_connection("127.0.0.1", port), await target.accepted.get()))
        proxy.cut_named("one")
        (cut, cut_far), (kept, kept_far) = ends
        with pytest.raises(ConnectionResetError):
            await cut[0].readexactly(1)
        kept[1].write(b"z")
        assert await kept_far[0].readexactly(1) == b"z"
        assert proxy.cuts == 1
        await closed(cut[1], cut_far[1], kept[1], kept_far[1])


async def test_a_target_that_is_not_there_is_a_reset() -> None:
    async with CuttingProxy(Random(1)) as proxy:
        near, near_out = await asyncio.open_connection("127.0.0.1", await proxy.forward("127.0.0.1", 1))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await near.readexactly(1)
        await closed(near_out)
