"""A process with one end of thousands of streams, or with as many bare connections of asyncio: it says what it holds.

Worker("tests.prove.stream_worker:echoes")                       # listens; its `ready` has the `url`
Worker("tests.prove.stream_worker:opens", url="ws://...")
Worker("tests.prove.stream_worker:bare")
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from litz.stream import Stream
from litz.stream_options import StreamOptions
from outproc import OutprocTransportManager, TransportOptions
from outproc.wires.websocket import WebSocketWireBuilder
from tests.prove.control import Control

PAYLOAD: Final = bytes(range(100))
SPARE: Final = 100
"""Descriptors that a process needs besides."""
AT_ONCE: Final = 200
"""Streams that are opened or ended together: not all, whose tasks would be what is measured."""
LONG: Final = 600.0
"""Seconds that nothing in here needs."""
PATIENT: Final = StreamOptions(open_timeout=LONG, grace=LONG)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds, without what is garbage: bytes of resident memory, and objects (blocks that Python's own
    allocator gave out; unlike memory they are given back exactly)."""

    memory: int
    blocks: int


def held_now() -> Held:
    """Once the garbage is gone."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Held(pages * _PAGE, sys.getallocatedblocks())


async def held() -> dict[str, int]:
    """`held_now`, as JSON can hold it."""
    return asdict(held_now())


def standing_with(manager: OutprocTransportManager) -> int:
    """Streams of its one session."""
    dests = manager.snapshot().dests
    return dests[0].streams.count if dests and dests[0].streams is not None else 0


def node(name: str) -> OutprocTransportManager:
    """One that no slow machine loses."""
    options = TransportOptions(ping_after=LONG, dead_after=LONG)
    return OutprocTransportManager(name, builders=[WebSocketWireBuilder()], options=options)


async def echoes(control: Control) -> None:
    """Send back what comes on each stream, until the control socket closes."""

    async def echo(stream: Stream) -> None:
        async for message in stream:
            await stream.send(message)

    async with node("bob") as bob:
        await bob.listen("ws://127.0.0.1:0")
        listener = bob.listen_streams("echo", echo, options=PATIENT)

        async def standing() -> int:
            return max(len(listener.streams), standing_with(bob))

        control.commands = {"held": held, "standing": standing}
        control.emit("ready", url=bob.endpoints[0])
        await control.gone()


async def opens(control: Control, *, url: str) -> None:
    """Open streams, talk on each, and end them, as told."""
    streams: list[Stream] = []

    async def one() -> Stream:
        stream = await alice.open_stream("bob", "echo", options=PATIENT)
        await stream.send(PAYLOAD)
        assert await stream.receive() == PAYLOAD
        return stream

    async def end(stream: Stream) -> None:
        await stream.send_eof()
        assert [message async for message in stream] == []
        await stream.aclose()

    async def standing() -> int:
        return standing_with(alice)

    async def begin(count: int) -> None:
        while count > 0:
            streams.extend(await asyncio.gather(*(one() for _ in range(min(count, AT_ONCE)))))
            count -= AT_ONCE

    async def finish() -> int:
        """End all; how many were not complete."""
        bad = 0
        while streams:
            some, streams[:AT_ONCE] = streams[:AT_ONCE], []
            await asyncio.gather(*map(end, some))
            bad += sum(bool(stream.stats.unconfirmed) or not stream.closed for stream in some)
        return bad

    async with node("alice") as alice:
        alice.add_endpoints("bob", [url])
        control.commands = {"held": held, "standing": standing, "begin": begin, "finish": finish}
        control.emit("ready")
        await control.gone()


async def bare(control: Control) -> None:
    """One end each of so many connections of asyncio: a StreamReader and a StreamWriter over a socket."""
    pairs: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, socket.socket]] = []
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def begin(count: int) -> int:
        """Fewer than asked for where so many descriptors cannot be had. How many there are then."""
        for _ in range(min(count, (most - SPARE) // 2 - len(pairs))):
            ours, theirs = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=ours)
            writer.write(PAYLOAD)
            theirs.sendall(theirs.recv(len(PAYLOAD)))
            assert await reader.readexactly(len(PAYLOAD)) == PAYLOAD
            pairs.append((reader, writer, theirs))
        return len(pairs)

    control.commands = {"held": held, "begin": begin}
    control.emit("ready")
    await control.gone()
    for _, writer, theirs in pairs:
        writer.close()
        theirs.close()
