"""The WebSocket wire keeps the law of wires, on every kind of socket and both event loops."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from litz.testing.wire_contract import WIRE_CHECKS, WireCheck
from litz.wire import Endpoint, Wire
from outproc.wires.websocket import WebSocketWireBuilder
from tests.unit.outproc_websocket.certificates import client_context, server_context


@asynccontextmanager
async def _pair(url: str, **options: Any) -> AsyncIterator[tuple[Wire, Wire]]:
    builder = WebSocketWireBuilder(ssl=client_context())
    accepted: asyncio.Queue[Wire] = asyncio.Queue()
    listener = await builder.listen(Endpoint("websocket", url), accepted.put_nowait, **options)
    try:
        dialled = await builder.build("peer", listener.endpoints[0])
        yield dialled, await accepted.get()
    finally:
        await listener.aclose()


def over_tcp() -> AbstractAsyncContextManager[tuple[Wire, Wire]]:
    return _pair("ws://127.0.0.1:0")


def over_tls() -> AbstractAsyncContextManager[tuple[Wire, Wire]]:
    return _pair("wss://127.0.0.1:0", ssl=server_context())


@asynccontextmanager
async def over_unix() -> AsyncIterator[tuple[Wire, Wire]]:
    with tempfile.TemporaryDirectory() as folder:
        async with _pair(f"unix:{folder}/socket") as wires:
            yield wires


@pytest.mark.both_loops
@pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))
@pytest.mark.parametrize("make_pair", [over_tcp, over_tls, over_unix], ids=["tcp", "tls", "unix"])
async def test_the_websocket_wire_keeps_the_law(make_pair: Any, check: WireCheck) -> None:
    await check(make_pair)
