"""The contract of wires catches wires that break it: each broken wire fails the check named for it.

Covers `litz.testing.recording`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from litz.message import Buffer
from litz.testing import check_wire
from litz.testing.faulty_wire import FaultyWire
from litz.testing.recording import MakePair
from litz.testing.wire_contract import WIRE_CHECKS
from litz.wire import LossReason, Wire, WireLoss, WireSink
from outproc.wires.memory import memory_pair


class ForgetsItsLimit(FaultyWire):
    def write(self, buffers: Sequence[Buffer]) -> None:
        if sum(map(len, buffers)) <= self.max_frame:
            super().write(buffers)


class OnlyTakesBytes(FaultyWire):
    def write(self, buffers: Sequence[Buffer]) -> None:
        super().write([buffer for buffer in buffers if isinstance(buffer, bytes)])


class SplitsFrames(FaultyWire):
    def write(self, buffers: Sequence[Buffer]) -> None:
        for buffer in buffers:
            super().write([buffer])


class Reorders(FaultyWire):
    count = 0

    def frame_received(self, frame: bytes) -> None:
        self.count += 1
        if self.count == 17:
            asyncio.get_running_loop().call_soon(super().frame_received, frame)
        else:
            super().frame_received(frame)


class DropsOne(FaultyWire):
    count = 0

    def write(self, buffers: Sequence[Buffer]) -> None:
        self.count += 1
        if self.count != 41:
            super().write(buffers)


class DoesNotFlush(FaultyWire):
    def close(self) -> None:
        self.inner.abort()


class ClosesTwice(FaultyWire):
    def wire_closed(self, loss: WireLoss) -> None:
        sink = self._sink
        super().wire_closed(loss)
        if sink is not None:
            sink.wire_closed(loss)


class NeverTellsTheEnd(FaultyWire):
    def wire_closed(self, loss: WireLoss) -> None:
        if loss.reason is LossReason.LOCAL:
            super().wire_closed(loss)


class TellsTheEndInsideAbort(FaultyWire):
    def abort(self) -> None:
        super().abort()
        if self._sink is not None:
            self._tell_end(WireLoss(LossReason.LOCAL))


class WritesInsideStart(FaultyWire):
    def start(self, sink: WireSink) -> None:
        super().start(sink)
        sink.wire_writable()


class RaisesWhenDead(FaultyWire):
    def write(self, buffers: Sequence[Buffer]) -> None:
        if self._closed:
            raise ConnectionError("dead")
        super().write(buffers)


class AlwaysWritable(FaultyWire):
    @property
    def writable(self) -> bool:
        return True


class NeverSaysWritable(FaultyWire):
    def wire_writable(self) -> None:
        return


class LeavesATask(FaultyWire):
    def start(self, sink: WireSink) -> None:
        super().start(sink)
        self.task = asyncio.get_running_loop().create_task(asyncio.sleep(3600))


class GoesOnAfterAbort(FaultyWire):
    def abort(self) -> None:
        self.inner.close()


BROKEN: list[tuple[type[FaultyWire], str]] = [
    (ForgetsItsLimit, "largest_frame"),
    (OnlyTakesBytes, "buffers"),
    (SplitsFrames, "buffers"),
    (Reorders, "order_both_ways"),
    (DropsOne, "close_flushes"),
    (DoesNotFlush, "close_flushes"),
    (ClosesTwice, "ends_are_idempotent"),
    (NeverTellsTheEnd, "death_before_start"),
    (TellsTheEndInsideAbort, "abort"),
    (WritesInsideStart, "one_byte"),
    (RaisesWhenDead, "write_after_death"),
    (AlwaysWritable, "backpressure"),
    (NeverSaysWritable, "backpressure"),
    (LeavesATask, "leaves_nothing"),
    (GoesOnAfterAbort, "calls_from_callbacks"),
]


def pair_of(broken: type[FaultyWire]) -> MakePair:
    @asynccontextmanager
    async def make_pair() -> AsyncIterator[tuple[Wire, Wire]]:
        one, other = memory_pair()
        yield broken(one), broken(other)

    return make_pair


@pytest.mark.parametrize(("broken", "check"), BROKEN, ids=[broken.__name__ for broken, _check in BROKEN])
async def test_a_broken_wire_fails(broken: type[FaultyWire], check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("litz.testing.recording.DEADLINE", 0.3)  # what never comes is not awaited for long
    before = asyncio.all_tasks()
    with pytest.raises((AssertionError, ConnectionError)):
        await WIRE_CHECKS[check](pair_of(broken))
    left = asyncio.all_tasks() - before
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left)


async def test_check_wire_names_the_check() -> None:
    with pytest.raises(AssertionError) as caught:
        await check_wire(pair_of(ForgetsItsLimit))
    assert "in the wire check 'largest_frame'" in caught.value.__notes__


async def test_check_wire_passes_a_good_wire() -> None:
    await check_wire(pair_of(FaultyWire))
