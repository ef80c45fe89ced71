"""The front of a port (`outproc.wires.websocket.front`): whose a connection is, whatever pieces its head comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from litz.testing.recording import RecordingSink
from tests.unit.outproc_websocket.kit import frame, hang_up, listening, request_head


async def test_a_head_in_single_bytes_with_a_frame_behind_it_becomes_a_wire() -> None:
    async with listening() as port:
        reader, writer = await port.raw(b"")
        head = request_head()
        for at in range(len(head) - 1):
            writer.write(head[at : at + 1])
            await asyncio.sleep(0)
        writer.write(head[-1:] + frame(b"early", mask=True))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        wire, sink = await port.accepted.get(), RecordingSink()
        wire.start(sink)
        await sink.until(lambda: sink.frames == [b"early"], "the frame behind the head")
        wire.abort()
        await hang_up(writer)


async def test_two_requests_in_one_piece_are_both_answered() -> None:
    async with listening() as port:
        reader, writer = await port.raw(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        for _ in range(2):
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len('{"status": "ok"}'))
        await hang_up(writer)


async def test_middlewares_see_upgrade_requests_too() -> None:
    seen: list[str] = []

    @web.middleware
    async def refuse(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        seen.append(request.path)
        return web.Response(status=401)

    async with listening(app=web.Application(middlewares=[refuse])) as port:
        reader, writer = await port.raw()
        assert b" 401 " in await reader.readuntil(b"\r\n\r\n")
        assert seen == ["/litz"]
        await hang_up(writer)
