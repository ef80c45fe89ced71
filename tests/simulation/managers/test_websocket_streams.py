"""Real managers over the real WebSocket driver on a seeded byte stream, cut at any byte of either side."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from random import Random
from typing import Literal

import pytest

from litz.errors import ConnectError
from litz.payload import PayloadType
from litz.testing import SimLoop, SimStream, run_simulation
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions
from tests.simulation.managers.stream_wires import StreamBuilder, Streams

Side = Literal["client", "server"]
STRIDE = 23
SEEDS = int(os.environ.get("LITZ_SEEDS", "60"))
OPTIONS = TransportOptions(
    max_message=30_000, ping_after=0.5, dead_after=0.5, backoff_base=0.01, backoff_cap=0.5, accept_grace=0.2
)
LANES = (PayloadType.RPC_RELIABLE, PayloadType.STREAM_RELIABLE, PayloadType.RPC_SIGNAL)


def manager(name: str, streams: Streams, other: str) -> OutprocTransportManager:
    rng = Random(f"{name} {streams.seed}")
    return OutprocTransportManager(
        name,
        directory={other: [f"ws://{other}"]} if name == "a" else {},
        builders=[StreamBuilder(streams)],
        options=OPTIONS,
        environment=Environment(lambda: 1_700_000_000_000_000_000, rng.randbytes, rng),
    )


def messages_of(name: str, count: int, sizes: tuple[int, ...]) -> list[tuple[PayloadType, bytes]]:
    rng = Random(name)
    return [
        (rng.choice(LANES), name.encode() + number.to_bytes(2, "big") + rng.randbytes(rng.choice(sizes)))
        for number in range(count)
    ]


async def exchange(
    streams: Streams, count: int, sizes: tuple[int, ...], pause: float = 0.0
) -> tuple[OutprocTransportManager, OutprocTransportManager]:
    """Both sides send, both sides read, all is confirmed. Fails if anything is lost, doubled, changed or reordered."""
    async with manager("a", streams, "b") as a, manager("b", streams, "a") as b:
        await b.listen("ws://b")

        met = asyncio.Event()

        async def meet() -> None:
            while not a.is_connected("b"):
                with suppress(ConnectError):  # the cut hit the handshake, and who waits for it is told
                    await a.get_or_create_transport("b")
            met.set()

        async def talk(sender: OutprocTransportManager, dest: str) -> None:
            await met.wait()
            for lane, data in messages_of(sender.local_id, count, sizes):
                await sender.send(dest, data, payload_type=lane)
                if pause:
                    await asyncio.sleep(pause)
            await sender.drain(dest)

        async def hear(reader: OutprocTransportManager, sender: str) -> None:
            sent = messages_of(sender, count, sizes)
            got: dict[PayloadType, list[bytes]] = {lane: [] for lane in LANES}
            async with reader.messages() as stream:
                for _ in sent:
                    message = await anext(stream)
                    got[message.payload_type].append(message.data)
            for lane in LANES:
                assert got[lane] == [data for kind, data in sent if kind is lane], f"lane {lane.name} of {sender}"

        async with asyncio.timeout(60):
            await asyncio.gather(meet(), talk(a, "b"), talk(b, "a"), hear(b, "a"), hear(a, "b"))
    return a, b


def play_cut(side: Side, offset: int, sizes: tuple[int, ...]) -> tuple[int, int]:
    """Cut the first connection after `offset` bytes of `side` (-1: never). Returns the bytes of both sides."""

    async def main(loop: SimLoop) -> tuple[int, int]:
        streams = Streams(loop, seed=offset)

        def cut(stream: SimStream) -> None:
            if offset >= 0 and len(streams.made) == 1:
                stream.cut_after(side, offset)

        streams.on_stream = cut
        await exchange(streams, 5, sizes)
        first = streams.made[0]
        assert offset < 0 or len(streams.made) > 1, "the cut hit nothing"
        return first.delivered("client"), first.delivered("server")

    return run_simulation(main, seed=offset).value


@pytest.mark.limit(600)
@pytest.mark.parametrize("side", ["client", "server"])
def test_cut_at_any_byte(side: Side) -> None:
    sizes = (0, 10, 300)
    total = play_cut(side, -1, sizes)[0 if side == "client" else 1]
    last = total - 400  # behind that only acks and the goodbye travel, which may not need another wire
    assert last > 1_000
    for offset in range(0, last, STRIDE):
        play_cut(side, offset, sizes)


@pytest.mark.soak
@pytest.mark.limit(3_600)
@pytest.mark.parametrize("side", ["client", "server"])
def test_cut_at_every_byte(side: Side) -> None:
    sizes = (0, 10, 300)
    total = play_cut(side, -1, sizes)[0 if side == "client" else 1]
    for offset in range(total - 400):
        play_cut(side, offset, sizes)


def play_trouble(seed: int, fragment: int, count: int, sizes: tuple[int, ...], cut_after: int) -> int:
    """Cut or stall the first connections somewhere, after about `cut_after` bytes. Returns how many there were."""

    async def main(loop: SimLoop) -> int:
        rng = Random(seed)
        streams = Streams(loop, seed)
        streams.fragment = fragment

        def trouble(stream: SimStream) -> None:
            side: Side = rng.choice(("client", "server"))
            if len(streams.made) > 6:
                return
            if rng.random() < 0.7:
                stream.cut_after(side, int(rng.expovariate(1 / cut_after)))
            else:
                loop.call_later(rng.random() * 0.1, stream.stall, side)

        streams.on_stream = trouble
        await exchange(streams, count, sizes, pause=0.004)
        return len(streams.made)

    return run_simulation(main, seed=seed, allow_timers=True).value


@pytest.mark.limit(max(600, SEEDS))
def test_cuts_and_stalls_again_and_again() -> None:
    """Each connection is cut or stalled somewhere, for a while; large messages go on where they were."""
    fragments = (40, 300, 5_000, 16_384)
    made = sum(
        play_trouble(seed, fragments[seed % len(fragments)], 20, (5, 100, 3_000, 29_000), 9_000)
        for seed in range(SEEDS)
    )
    assert made >= 4 * SEEDS, f"only {made - SEEDS} heals in {SEEDS} seeds"


@pytest.mark.limit(max(600, SEEDS))
def test_in_pieces_of_two_bytes() -> None:
    """Every header and every length arrives in pieces, and is cut in the middle."""
    seeds = max(1, SEEDS // 2)
    made = sum(play_trouble(seed, 2, 12, (0, 5, 100, 700), 2_000) for seed in range(seeds))
    assert made >= 4 * seeds, f"only {made - seeds} heals in {seeds} seeds"


def test_a_frame_that_takes_longer_than_the_silence_limit_is_life() -> None:
    """Any received byte counts: on a slow link a large frame must not look like a dead peer, for ever again."""

    async def main(loop: SimLoop) -> int:
        streams = Streams(loop, seed=1)
        streams.fragment = 12  # about 4 kB a second: a frame of 8 kB takes two, the limits are half a second each
        await exchange(streams, 3, (15_000,))
        return len(streams.made)

    assert run_simulation(main, seed=1).value == 1
