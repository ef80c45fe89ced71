"""Wires made of a plain `send` and `receive` keep the contract: the Unix-socket example, and queues.

Covers `litz.wire_adapter`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import pytest
import uvloop

from litz.testing import SimLoop, run_simulation
from litz.testing.recording import RecordingSink
from litz.testing.wire_contract import WIRE_CHECKS, WireCheck
from litz.wire import Endpoint, LossReason, Wire
from litz.wire_adapter import AdaptedWire

checks = pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))
EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_wire.py"


def load_example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("custom_wire", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


custom_wire = load_example()


@asynccontextmanager
async def unix_pair() -> AsyncIterator[tuple[Wire, Wire]]:
    with tempfile.TemporaryDirectory() as folder:
        endpoint = Endpoint("unix", f"unix:{folder}/bob")
        builder = custom_wire.UnixWireBuilder()
        accepted: asyncio.Queue[Wire] = asyncio.Queue()
        listener = await builder.listen(endpoint, accepted.put_nowait)
        dialled = await builder.build("bob", endpoint)
        yield dialled, await accepted.get()
        await listener.aclose()


class QueueEnd:
    """A connection with the plainest face: bounded queues, `None` for the end."""

    def __init__(self, out: asyncio.Queue[bytes | None], into: asyncio.Queue[bytes | None]) -> None:
        self.out = out
        self.into = into

    async def send(self, frame: bytes) -> None:
        await self.out.put(frame)

    async def receive(self) -> bytes:
        frame = await self.into.get()
        if frame is None:
            raise EOFError
        return frame

    async def close(self) -> None:
        try:
            await self.out.put(None)
        except asyncio.CancelledError:
            while not self.out.empty():
                self.out.get_nowait()
            self.out.put_nowait(None)
            raise


@asynccontextmanager
async def queue_pair() -> AsyncIterator[tuple[Wire, Wire]]:
    there: asyncio.Queue[bytes | None] = asyncio.Queue(8)
    back: asyncio.Queue[bytes | None] = asyncio.Queue(8)
    ends = QueueEnd(there, back), QueueEnd(back, there)
    one, other = (
        AdaptedWire(kind="queue", send=end.send, receive=end.receive, close=end.close, max_frame=40_000) for end in ends
    )
    yield one, other


@checks
@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_unix_example(check: WireCheck, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(check(unix_pair))  # type: ignore[arg-type]  # every check is a coroutine function


@checks
def test_queues_in_simulated_time(check: WireCheck) -> None:
    async def main(loop: SimLoop) -> None:
        await check(queue_pair)

    for seed in range(3):
        run_simulation(main, seed=seed)


async def test_the_example_runs() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", EXAMPLE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    assert b"bob got b'hello, bob'" in output


async def never() -> bytes:
    await asyncio.Event().wait()
    return b""


async def fail(frame: bytes) -> None:
    raise OSError("the pigeon is dead")


async def test_an_error_of_send_is_the_cause() -> None:
    wire, sink = AdaptedWire(kind="pigeon", send=fail, receive=never), RecordingSink()
    wire.start(sink)
    wire.write([b"coo"])
    await sink.until(lambda: sink.loss is not None, "the end")
    assert sink.loss is not None
    assert (sink.loss.reason, sink.loss.detail) == (LossReason.RESET, "the pigeon is dead")
    assert isinstance(sink.loss.error, OSError)
    assert wire.buffered_bytes == 0


async def test_an_error_while_flushing_ends_the_close() -> None:
    wire, sink = AdaptedWire(kind="pigeon", send=fail, receive=never), RecordingSink()
    wire.start(sink)
    wire.write([b"coo"])
    wire.close()
    await sink.until(lambda: sink.loss is not None, "the end")
    assert sink.loss is not None
    assert sink.loss.reason is LossReason.LOCAL


async def test_a_receive_that_cancels_itself_ends_the_wire() -> None:
    async def receive() -> bytes:
        raise asyncio.CancelledError

    async def send(frame: bytes) -> None:
        return

    wire, sink = AdaptedWire(kind="pigeon", send=send, receive=receive), RecordingSink()
    wire.start(sink)
    await sink.until(lambda: sink.loss is not None, "the end")
    assert sink.loss is not None
    assert sink.loss.reason is LossReason.RESET


def test_closing_hangs_no_longer_than_its_limit() -> None:
    async def main(loop: SimLoop) -> float:
        async def send(frame: bytes) -> None:
            await never()

        async def close() -> None:
            await never()

        wire, sink = AdaptedWire(kind="tar", send=send, receive=never, close=close), RecordingSink()
        wire.start(sink)
        wire.write([b"stuck"])
        wire.close()
        began = loop.time()
        await sink.until(lambda: sink.loss is not None, "the end")
        assert sink.loss is not None
        assert "not flushed" in sink.loss.detail
        return loop.time() - began

    assert run_simulation(main, seed=1).value < 2.5
