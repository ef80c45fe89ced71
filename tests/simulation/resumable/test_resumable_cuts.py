"""The connection under a `ResumablePipe` is cut after every byte of a scripted exchange: nobody notices."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from litz.resumable_pipe import ResumablePipe
from litz.resume_options import ResumeOptions
from litz.testing import SimLoop, SimStream, run_simulation
from tests.simulation.resumable.network import Network

OPTIONS = ResumeOptions(replay_size=200, receive_size=100)
QUESTIONS = [b"one\n", b"a longer question, in two parts", b"!\n", b"x" * 300 + b"\n", b"bye\n"]

Side = Literal["client", "server"]


async def ask(pipe: ResumablePipe) -> bytes:
    got = b""
    for question in QUESTIONS:
        pipe.writer.write(question)
        if question.endswith(b"\n"):
            got += await pipe.reader.readline()
    pipe.writer.write_eof()
    got += await pipe.reader.read()
    pipe.writer.close()
    await pipe.writer.wait_closed()
    return got


async def answer(pipe: ResumablePipe) -> bytes:
    got = b""
    while line := await pipe.reader.readline():
        got += line
        pipe.writer.write(line.upper())
        await pipe.writer.drain()
    pipe.writer.write(b"the end")
    pipe.writer.close()
    await pipe.writer.wait_closed()
    return got


async def exchange(loop: SimLoop, network: Network) -> tuple[bytes, bytes]:
    """Both ends do their parts over `network`; what each received."""
    active = ResumablePipe(network.dial, options=OPTIONS, name="active")
    passive = network.passive = ResumablePipe(options=OPTIONS, name="passive")
    async with active, passive:
        asked, answered = await asyncio.gather(ask(active), answer(passive))
    assert active.error is None
    assert passive.error is None
    await network.aclose()
    return asked, answered


WANT = (b"".join(QUESTIONS).upper() + b"the end", b"".join(QUESTIONS))


def size_of(side: Side) -> int:
    """How many bytes `side` writes on a connection that lives."""

    async def main(loop: SimLoop) -> int:
        network = Network(loop, "whole")
        assert await exchange(loop, network) == WANT
        assert len(network.streams) == 1
        return network.streams[0].delivered(side)

    return run_simulation(main, seed=1).value


def cut_after(side: Side, learn: str, offset: int) -> bool:
    """The scripted exchange, its first connection cut; whether there was a second one."""

    async def main(loop: SimLoop) -> int:
        def made(stream: SimStream) -> None:
            if len(network.streams) != 1:
                return
            if learn == "late":
                other: Side = "server" if side == "client" else "client"
                cut = stream.cut
                stream.cut = lambda **_: cut(learn=other)  # type: ignore[method-assign]  # who learns of this cut
            stream.cut_after(side, offset)

        network = Network(loop, offset, made=made)
        assert await exchange(loop, network) == WANT
        return len(network.streams)

    return run_simulation(main, seed=offset).value > 1


@pytest.mark.parametrize("learn", ["both", "late"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_cuts_change_nothing(side: Side, learn: str) -> None:
    """After each byte of the handshake and of the end, and here and there between. `late`: one end does not learn of
    the cut, and finds it by its silence."""
    size = size_of(side)
    assert size > 600
    offsets = sorted({*range(0, 110, 2), *range(110, size, 37), *range(size - 40, size + 1, 2)})
    again = sum(cut_after(side, learn, offset) for offset in offsets)
    assert again >= len(offsets) - 30, "nearly every cut needs another connection: only after the last word none is"


@pytest.mark.prove
@pytest.mark.limit(1200)
@pytest.mark.parametrize("learn", ["both", "late"])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_cut_at_any_byte_changes_nothing(side: Side, learn: str) -> None:
    for offset in range(size_of(side) + 1):
        cut_after(side, learn, offset)
