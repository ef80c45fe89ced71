"""Messages arrive once and in order whatever becomes of their packets, by the short way of
`outproc.wires.webrtc.smooth_sctp` and by aiortc's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiortc import RTCDataChannel, RTCDataChannelParameters, RTCSctpCapabilities

from outproc.wires.webrtc import guarded_sctp
from outproc.wires.webrtc.engine import LABELS
from outproc.wires.webrtc.guarded_sctp import GuardedSctp
from outproc.wires.webrtc.sctp_packets import sack_packet

Fate = Callable[[random.Random], tuple[float, ...]]
"""After how many seconds each copy of a packet arrives; none: it is lost."""


def well(rng: random.Random) -> tuple[float, ...]:
    return (0.0,)


def badly(rng: random.Random) -> tuple[float, ...]:
    kind = rng.random()
    if kind < 0.03:
        return ()
    if kind < 0.05:
        return (0.0, 0.001)
    return (0.002 if kind < 0.08 else 0.0,)


class Network:
    """What an association needs of DTLS: it carries packets to the other one, as `fate` says."""

    state = "connected"

    def __init__(self, role: str, fate: Fate, rng: random.Random) -> None:
        self._role, self._fate, self._rng = role, fate, rng
        self._loop = asyncio.get_running_loop()
        self.other: Network | None = None
        self.receiver: GuardedSctp | None = None
        self.packets = 0

    def send_now(self, data: bytes) -> None:
        self.packets += 1
        for delay in self._fate(self._rng):
            self._loop.call_later(delay, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        receiver = self.other.receiver if self.other is not None else None
        if receiver is not None:
            coroutine = receiver._handle_data(data)
            with pytest.raises(StopIteration):
                coroutine.send(None)

    def _register_data_receiver(self, receiver: GuardedSctp) -> None:
        self.receiver = receiver

    def _unregister_data_receiver(self, receiver: GuardedSctp) -> None:
        self.receiver = None


class End:
    """One association, its channels, and what came."""

    def __init__(self, network: Any) -> None:
        self.messages: list[tuple[int, bytes | str]] = []
        self.malformed: list[str] = []
        self.news = asyncio.Event()
        self.network = network
        self.sctp = GuardedSctp(
            network, on_message=self._came, on_progress=lambda: None, on_malformed=self.malformed.append
        )
        self.channels = [
            RTCDataChannel(self.sctp, RTCDataChannelParameters(label=label, negotiated=True, id=channel))
            for channel, label in LABELS.items()
        ]

    def _came(self, channel: int, data: bytes | str) -> None:
        self.messages.append((channel, data))
        self.news.set()

    async def until(self, count: int) -> None:
        """So many messages came."""
        async with asyncio.timeout(120):
            while len(self.messages) < count:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def associations(fate: Fate = well, seed: int = 1) -> AsyncIterator[tuple[End, End]]:
    rng = random.Random(seed)
    ends = End(Network("server", fate, rng)), End(Network("client", fate, rng))
    one, two = ends
    one.network.other, two.network.other = two.network, one.network
    for end in ends:
        await end.sctp.start(RTCSctpCapabilities(maxMessageSize=1 << 18), 5000)
    async with asyncio.timeout(120):
        while any(channel.readyState != "open" for end in ends for channel in end.channels):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)
    try:
        yield ends
    finally:
        for end in ends:
            await end.sctp.stop()


SIZES = (1, 1_199, 1_200, 1_201, 2_400, 30_000, 100_000)


async def exchange(one: End, two: End, count: int) -> None:
    """Both send `count` messages of all sizes on both channels, and both get them whole and in order."""
    for number in range(count):
        for end, letter in ((one, b"a"), (two, b"b")):
            for channel in LABELS:
                end.channels[channel].send(b"%d %b " % (number, letter) + letter * SIZES[number % len(SIZES)])
        await asyncio.sleep(0)
    for end, letter in ((one, b"b"), (two, b"a")):
        await end.until(count * len(LABELS))
        for channel in LABELS:
            came = [data for at, data in end.messages if at == channel]
            assert came == [b"%d %b " % (n, letter) + letter * SIZES[n % len(SIZES)] for n in range(count)]


def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """However late this machine is, nothing is sent again for that."""
    monkeypatch.setattr(guarded_sctp, "RTO_INITIAL", 600.0)
    monkeypatch.setattr(guarded_sctp, "RTO_MIN", 600.0)


async def test_all_arrives_and_the_short_way_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    no_timer(monkeypatch)
    async with associations() as (one, two):
        long_way = 0
        for end in (one, two):
            receive = end.sctp._receive_chunk

            async def counted(chunk: Any, receive: Any = receive) -> None:
                nonlocal long_way
                long_way += 1
                await receive(chunk)

            end.sctp._receive_chunk = counted  # type: ignore[method-assign]  # to be counted
        await exchange(one, two, 40)
        await asyncio.sleep(0)
        for end in (one, two):
            assert end.sctp._smooth
            assert end.sctp._flight_size == sum(chunk._book_size for chunk in end.sctp._sent_queue)
        assert long_way == 0
        assert sum(end.network.packets for end in (one, two)) > 500


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_is_lost_doubled_or_reordered_on_a_bad_path(seed: int) -> None:
    async with associations(badly, seed) as (one, two):
        await exchange(one, two, 40)
        assert not one.malformed
        assert not two.malformed


async def test_a_loss_is_seen_by_what_came_after_it_and_then_the_short_way_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_timer(monkeypatch)
    lost = 0

    def fate(rng: random.Random) -> tuple[float, ...]:
        nonlocal lost
        lost -= 1
        return (0.0,) if lost != 0 else ()

    async with associations(fate) as (one, two):
        lost = 20  # the twentieth packet from now on
        await exchange(one, two, 10)
        assert lost < 0
        async with asyncio.timeout(120):
            while not (one.sctp._smooth and two.sctp._smooth):
                await exchange_again(one, two)


async def test_an_ack_of_what_was_never_sent_costs_the_connection() -> None:
    async with associations() as (one, two):
        tsn = (one.sctp._local_tsn + 5) % (1 << 32)
        packet = sack_packet((5000, 5000), one.sctp._local_verification_tag, tsn, 1 << 20)
        two.network.send_now(packet)
        async with asyncio.timeout(120):
            while not one.malformed:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0)
        assert one.malformed == ["a SACK of what was never sent"]


async def test_old_acks_change_nothing() -> None:
    async with associations() as (one, two):
        first = (one.sctp._local_tsn - 1) % (1 << 32)
        await exchange(one, two, 10)
        before = one.sctp._last_sacked_tsn
        for _ in range(3):
            two.network.send_now(sack_packet((5000, 5000), one.sctp._local_verification_tag, first, 1 << 20))
        await exchange_again(one, two)
        assert (one.sctp._last_sacked_tsn - before) % (1 << 32) < 1 << 31
        assert not one.malformed


async def exchange_again(one: End, two: End) -> None:
    one.messages.clear()
    two.messages.clear()
    await exchange(one, two, 5)


async def test_what_nobody_acknowledges_is_sent_again() -> None:
    """All packets are lost for a while: the timer notices, though each ack before had put it off."""
    silent = False
    async with associations(lambda rng: () if silent else (0.0,)) as (one, two):
        await exchange(one, two, 10)
        silent = True
        one.channels[0].send(b"lost at first")
        one.channels[0].send(b"so is this")
        sent = one.network.packets
        async with asyncio.timeout(120):
            while one.network.packets < sent + 4:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)
        silent = False
        two.messages.clear()
        await two.until(2)
        assert [data for _, data in two.messages] == [b"lost at first", b"so is this"]
