"""Managers with a WebSocket and a WebRTC wire: what is killed comes back, alone, and no message is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from litz.events import WireUp
from litz.manager import EventStream
from litz.payload import ANY_KIND, PayloadType
from outproc.wires.webrtc.aiortc_engine import AiortcConnection
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.engines import EngineName
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.outproc_nodes import LOOPBACK, Manager, dest_of, next_of, node, until

both_engines = pytest.mark.parametrize("engine", ["aiortc", "wrtc"])
PREFER_WEBRTC = dict.fromkeys(PayloadType, ("webrtc", ANY_KIND))


@asynccontextmanager
async def both_wires(engine: EngineName = "aiortc", **webrtc: Any) -> AsyncIterator[tuple[Manager, Manager]]:
    """A dials b by both kinds; both are up."""
    options = WebRtcOptions(upgrade_after=0.01, engine=engine, **webrtc)

    def more() -> dict[str, Any]:
        return {
            "builders": [WebSocketWireBuilder(), WebRtcWireBuilder(options)],
            "options": {"wire_preference": PREFER_WEBRTC},
        }

    async with (
        node("b", listen=LOOPBACK, **more()) as b,
        node("a", knows={"b": b.endpoints}, **more()) as a,
    ):
        with a.events() as events:
            await a.send("b", b"hello")
            await webrtc_up(events)
        yield a, b


async def webrtc_up(events: EventStream) -> WireUp:
    while True:
        up = await next_of(events, WireUp)
        if up.kind == "webrtc":
            return up


def kinds(manager: Manager, dest: str) -> list[str]:
    return sorted(wire.kind for wire in dest_of(manager, dest).wires)


def dials_by_kind(manager: Manager, dest: str) -> dict[str, int]:
    return {slot.endpoint.partition(":")[0]: slot.dials for slot in dest_of(manager, dest).slots}


def webrtc_wire(manager: Manager, dest: str) -> Any:
    """The live wire itself, to be harmed."""
    assert manager._entered is not None
    transport = manager._entered.dests.get(dest)
    assert transport is not None
    return next(link.wire for link in transport.links if link.wire.kind == "webrtc")


def fall_silent(wire: Any) -> None:
    """From now on nothing comes through to the wire, and nothing of it gets out."""

    async def dropped(data: bytes, component: int) -> None:
        return

    connection = wire.connection
    if isinstance(connection, AiortcConnection):
        connection._ice.sendto = dropped  # type: ignore[method-assign]  # how it is harmed
        connection._ice.knows = lambda address: False  # type: ignore[method-assign]  # how it is harmed
    else:
        connection.send = connection._message = lambda channel, data: None


async def test_the_path_in_use_is_told() -> None:
    async with both_wires() as (a, b):
        for manager, dest in ((a, "b"), (b, "a")):
            path = next(wire.path for wire in dest_of(manager, dest).wires if wire.kind == "webrtc")
            assert path.startswith("direct 127.0.0.1:")
        with a.events() as events:
            assert "direct" in (await webrtc_up(events)).wire


@pytest.mark.both_loops
@both_engines
@pytest.mark.parametrize("killer", ["a", "b"])
async def test_a_killed_webrtc_wire_is_back_and_only_it_is_redialled(killer: str, engine: EngineName) -> None:
    """How soon: `tests/prove/test_prove_kinds.py`."""
    async with both_wires(engine) as (a, b):
        before = dials_by_kind(a, "b")
        for round_ in range(3):
            webrtc_wire(*((a, "b") if killer == "a" else (b, "a"))).abort()
            await until(lambda: kinds(a, "b") == ["websocket"] or kinds(b, "a") == ["websocket"], "the loss is seen")
            await until(lambda: kinds(a, "b") == kinds(b, "a") == ["webrtc", "websocket"], "both wires are up")
            after = dials_by_kind(a, "b")
            assert after == {"ws": before["ws"], "webrtc": before["webrtc"] + round_ + 1}
        assert sum(dials_by_kind(b, "a").values()) == 0, "the accepting side did not dial"


@pytest.mark.both_loops
@both_engines
@pytest.mark.parametrize("how", ["closed", "silent"])
async def test_killed_wires_lose_and_double_nothing(how: str, engine: EngineName) -> None:
    async with both_wires(engine, heartbeat=0.2, dead_after=0.6) as (a, b):
        got: list[int] = []

        async def collect() -> None:
            async for message in b.messages():
                got.append(int(message.data)) if message.data != b"hello" else None

        reading = asyncio.create_task(collect())
        sent = 0

        async def flood(count: int) -> None:
            nonlocal sent
            for _ in range(count):
                await a.send("b", b"%d" % sent)
                sent += 1

        for _ in range(4):
            await flood(3_000)
            wire = webrtc_wire(a, "b")
            if how == "closed":
                wire.abort()
            else:
                fall_silent(wire)
            await flood(3_000)
            await until(lambda: kinds(a, "b") == kinds(b, "a") == ["webrtc", "websocket"], "both wires are up")
        await a.drain("b", timeout=120)
        await until(lambda: len(got) == sent, "all messages")
        reading.cancel()
        await asyncio.wait([reading])
        assert got == list(range(sent))


async def test_the_websocket_may_die_while_webrtc_carries_on() -> None:
    async with both_wires() as (a, _b):
        assert a._entered is not None
        transport = a._entered.dests.get("b")
        assert transport is not None
        before = dials_by_kind(a, "b")
        next(link.wire for link in transport.links if link.wire.kind == "websocket").abort()
        await a.send("b", b"still", confirm="received")
        await until(lambda: kinds(a, "b") == ["webrtc", "websocket"], "the WebSocket is back")
        assert dials_by_kind(a, "b") == {"ws": before["ws"] + 1, "webrtc": before["webrtc"]}


async def test_two_that_dial_each_other_end_with_one_webrtc_wire() -> None:
    options = WebRtcOptions(upgrade_after=0.01, engine="aiortc")

    def more() -> dict[str, Any]:
        return {"builders": [WebSocketWireBuilder(), WebRtcWireBuilder(options)]}

    where: dict[str, list[str]] = {}

    class Known:
        async def look_up(self, dest: str) -> list[str]:
            return where.get(dest, [])

    async with (
        node("a", listen=LOOPBACK, knows=Known(), **more()) as a,
        node("b", listen=LOOPBACK, knows=Known(), **more()) as b,
    ):
        where.update({"a": a.endpoints, "b": b.endpoints})
        await asyncio.gather(a.send("b", b"to b"), b.send("a", b"to a"))
        await until(lambda: kinds(a, "b") == kinds(b, "a") == ["webrtc", "websocket"], "one wire of each kind")
        await asyncio.sleep(1.5)  # what is dialled again would have been by now
        assert kinds(a, "b") == kinds(b, "a") == ["webrtc", "websocket"]
