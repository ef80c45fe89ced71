"""Durable messages between real processes that are killed with SIGKILL, both sides, again and again.

None for which `send` returned is lost. Effects in the inbox's transaction happen exactly once. Without it a message is
handled twice only in different processes of the receiver, and is then marked.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import AsyncExitStack, closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.prove.durable_worker import accepted_in
from tests.prove.processes import Worker

CONCURRENCY = 256


class Sides:
    """The two workers: killed and started again."""

    def __init__(self, stack: AsyncExitStack, folder: Path, total: int) -> None:
        self._stack = stack
        self._folder = folder
        self._total = total
        self._lives = 0
        self.workers: dict[str, Worker] = {}

    async def start(self, side: str) -> None:
        """Begin a new life of a side."""
        self._lives += 1
        more: dict[str, Any] = {"total": self._total} if side == "sender" else {"concurrency": CONCURRENCY}
        worker = Worker(
            f"tests.prove.durable_worker:{side}",
            folder=str(self._folder),
            url=f"unix:{self._folder / 'bob.socket'}",
            life=self._lives,
            **more,
        )
        self.workers[side] = await self._stack.enter_async_context(worker)

    def check(self) -> None:
        """Nobody may end by itself."""
        for side, worker in self.workers.items():
            assert worker._popen.poll() is None, f"the {side} ended by itself:\n{worker.stderr()}"


def handled_lines(folder: Path) -> int:
    path = folder / "handled"
    return path.read_bytes().count(b"\n") if path.exists() else 0


async def story(folder: Path, *, total: int, kills: int, seed: int, patience: float) -> str:
    """Kill a side at random each time the receiver has handled its share. Returns what happened, in words."""
    rng = Random(seed)
    killed: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        sides = Sides(stack, folder, total)
        for side in ("receiver", "sender"):
            await sides.start(side)
        async with asyncio.timeout(patience):
            for turn in range(kills):
                share = (turn + rng.random()) * total / (kills + 1)
                while handled_lines(folder) < share:
                    sides.check()
                    await asyncio.sleep(0.01)
                side = rng.choice(["sender", "receiver"])
                killed[side] += 1
                await sides.workers[side].kill()
                await sides.start(side)
            while not (done := accepted_in(folder)) or done[-1][2] < total - 1:
                sides.check()
                await asyncio.sleep(0.05)
            await sides.workers["sender"].control.call("drain")
    return f"{killed['sender']} kills of the sender, {killed['receiver']} of the receiver; {judged(folder, total)}"


def judged(folder: Path, total: int) -> str:
    """Complain about what is wrong in what was written down."""
    with closing(sqlite3.connect(folder / "inbox")) as db:
        effects = Counter(db.execute("SELECT life, number FROM effect").fetchall())
    accepted = {(life, number) for life, first, last in accepted_in(folder) for number in range(first, last + 1)}
    assert len(accepted) == total
    assert {number for _, number in accepted} == set(range(total))
    lost = sorted(accepted - effects.keys())
    assert not lost, f"{len(lost)} lost: {lost[:10]}"
    doubled = [message for message, count in effects.items() if count > 1]
    assert not doubled, f"{len(doubled)} effects happened twice: {doubled[:10]}"
    seen: dict[tuple[int, int], int] = {}
    again = marked = 0
    for line in (folder / "handled").read_text().splitlines():
        boot, life, number, redelivered = map(int, line.split())
        marked += redelivered
        before = seen.get((life, number))
        if before is not None:
            again += 1
            assert before != boot, f"{number} was handled twice by one process"
            assert redelivered, f"{number} was handled again, and is not marked"
        seen[life, number] = boot
    extra = len(effects) - total
    return (
        f"{total} accepted, {len(effects)} effects once each ({extra} of sends that a kill cut off), "
        f"{again} handled again, {marked} marked"
    )


@pytest.mark.prove
@pytest.mark.limit(1000)
async def test_twenty_kills_during_a_hundred_thousand_durable_messages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = await story(tmp_path, total=100_000, kills=20, seed=4, patience=900)
    with capsys.disabled():
        print(f"\n{told}")


@pytest.mark.soak
@pytest.mark.limit(8000)
async def test_two_hundred_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = await story(tmp_path, total=1_000_000, kills=200, seed=5, patience=7800)
    with capsys.disabled():
        print(f"\n{told}")
