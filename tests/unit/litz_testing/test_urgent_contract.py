"""The contract of the urgent channel catches channels that break it: each fails the check named for it.

Covers `litz.testing.urgent_contract` and `litz.testing.wire_traffic`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from litz.message import Buffer
from litz.testing import SimLoop, SimNetwork, run_simulation
from litz.testing.recording import MakePair
from litz.testing.urgent_contract import URGENT_CHECKS
from litz.wire import UrgentChannel, Wire


class Around(UrgentChannel):
    """Passes everything on."""

    def __init__(self, wire: Wire) -> None:
        assert wire.urgent is not None
        self.wire = wire
        self.inner = wire.urgent

    def write(self, buffers: Sequence[Buffer]) -> None:
        self.inner.write(buffers)

    @property
    def writable(self) -> bool:
        return self.inner.writable


class OnTheOtherWay(Around):
    def write(self, buffers: Sequence[Buffer]) -> None:
        self.wire.write(buffers)


class ForgetsItsLimit(Around):
    def write(self, buffers: Sequence[Buffer]) -> None:
        if sum(map(len, buffers)) <= self.wire.max_frame:
            super().write(buffers)


class DropsOne(Around):
    count = 0

    def write(self, buffers: Sequence[Buffer]) -> None:
        self.count += 1
        if self.count != 17:
            super().write(buffers)


class FullWithItsWire(Around):
    @property
    def writable(self) -> bool:
        return self.wire.writable


class NeverFull(Around):
    @property
    def writable(self) -> bool:
        return True


class WritesAfterTheEnd(Around):
    def write(self, buffers: Sequence[Buffer]) -> None:
        super().write(buffers)
        if bytes(buffers[0]) == b"into the void":
            self.wire._outs[1].buffered += 1  # type: ignore[attr-defined]  # a SimWire


def pair_maker(channel: type[Around]) -> MakePair:
    @asynccontextmanager
    async def make_pair() -> AsyncIterator[tuple[Wire, Wire]]:
        network = SimNetwork(asyncio.get_running_loop(), seed=1)
        dialler, acceptor = (network.host(name).builder(urgent=True) for name in "ab")
        accepted: asyncio.Queue[Wire] = asyncio.Queue()
        listener = await acceptor.listen(acceptor.endpoint("b"), accepted.put_nowait)
        dialled = await dialler.build("b", listener.endpoints[0])
        dialled.urgent = channel(dialled)
        yield dialled, await accepted.get()
        await listener.aclose()

    return make_pair


def run(check: str, channel: type[Around]) -> None:
    async def main(loop: SimLoop) -> None:
        await URGENT_CHECKS[check](pair_maker(channel))

    run_simulation(main, seed=1)


@pytest.mark.parametrize("check", URGENT_CHECKS)
def test_a_sound_channel_passes(check: str) -> None:
    run(check, Around)


@pytest.mark.parametrize(
    ("channel", "check"),
    [
        (OnTheOtherWay, "urgent_order"),
        (ForgetsItsLimit, "urgent_order"),
        (DropsOne, "urgent_order"),
        (FullWithItsWire, "urgent_beside_a_full_wire"),
        (NeverFull, "urgent_beside_a_full_wire"),
        (WritesAfterTheEnd, "urgent_ends_with_its_wire"),
    ],
)
def test_a_broken_channel_fails(channel: type[Around], check: str) -> None:
    with pytest.raises(AssertionError):
        run(check, channel)
