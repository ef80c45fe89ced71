"""The verbs of a WebSocket wire in every turn of the loop around its death: none raises, whatever the loop's transport
does by then (uvloop's raises on a closed handle)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from litz.testing.recording import RecordingSink
from litz.wire import Wire
from tests.unit.outproc_websocket.certificates import server_context
from tests.unit.outproc_websocket.kit import Listening, frame, listening

TURNS = 12

End = Callable[[asyncio.StreamWriter], None]


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()


def half_close(writer: asyncio.StreamWriter) -> None:
    writer.write_eof()


def break_the_protocol(writer: asyncio.StreamWriter) -> None:
    writer.write(frame(b"unmasked", mask=False) * 2)


def say_goodbye(writer: asyncio.StreamWriter) -> None:
    writer.write(frame(b"\x03\xe8", 8, mask=True))


def use(wire: Wire) -> None:
    """Every verb but those that end it."""
    wire.write([b"small"])
    wire.write([b"several", b"buffers", bytes(20_000)])
    assert wire.buffered_bytes >= 0
    assert wire.writable in (True, False)


@pytest.mark.both_loops
@pytest.mark.parametrize("end", [reset, leave, half_close, break_the_protocol, say_goodbye])
@pytest.mark.parametrize("verb", ["", "close", "abort"])
@pytest.mark.parametrize("started", [True, False], ids=["started", "not started"])
async def test_the_peer_ends_it(end: End, verb: str, started: bool) -> None:
    async with listening() as port:
        for turn in range(TURNS):
            _, writer, wire = await port.upgraded()
            sink = RecordingSink()
            if started:
                wire.start(sink)
            end(writer)
            await through(wire, sink, verb, turn, started=started)
            writer.close()


@pytest.mark.both_loops
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("first", ["close", "abort"])
@pytest.mark.parametrize("verb", ["", "close", "abort"])
async def test_either_end_ends_it(tls: bool, first: str, verb: str) -> None:
    async with tls_or_not(tls) as port:
        for turn in range(TURNS):
            dialled, accepted = await port.pair()
            sinks = RecordingSink(), RecordingSink()
            for wire, sink in zip((dialled, accepted), sinks, strict=True):
                wire.start(sink)
            getattr(dialled, first)()
            async with asyncio.TaskGroup() as group:
                for wire, sink in zip((dialled, accepted), sinks, strict=True):
                    group.create_task(through(wire, sink, verb, turn, started=True))


def tls_or_not(tls: bool) -> AbstractAsyncContextManager[Listening]:
    return listening("wss://127.0.0.1:0", ssl=server_context()) if tls else listening()


async def through(wire: Wire, sink: RecordingSink, verb: str, turn: int, *, started: bool) -> None:
    """Use the wire in every turn until it is dead, and beyond; `verb` comes at its turn."""
    for now in range(TURNS):
        use(wire)
        if now == turn and verb:
            getattr(wire, verb)()
        await asyncio.sleep(0)
    if not started:
        wire.start(sink)
    wire.abort()
    await sink.until(lambda: sink.loss is not None, "wire_closed")
    for _ in range(TURNS):
        use(wire)
        wire.close()
        wire.abort()
        await asyncio.sleep(0)
    assert wire.buffered_bytes == 0
    assert sink.wrong == []
