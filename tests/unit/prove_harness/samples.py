"""What the workers run in `test_prove_processes.py`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tests.prove.control import Control


async def echo(control: Control, *, greeting: str = "") -> None:
    """Answers, fails, hoards memory and emits on command."""
    hoard: list[bytes] = []

    async def say(word: str) -> str:
        return greeting + word

    async def fail() -> None:
        raise ValueError("on purpose")

    async def grow(size: int) -> None:
        hoard.append(b"x" * size)

    async def count(to: int) -> None:
        for number in range(to):
            control.emit("number", number=number)

    async def hang() -> None:
        await asyncio.Event().wait()

    async def loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    commands: dict[str, Any] = {
        "say": say,
        "fail": fail,
        "grow": grow,
        "count": count,
        "hang": hang,
        "loop": loop,
    }
    control.commands.update(commands)
    control.emit("ready")


async def stubborn(control: Control) -> None:
    """Does not end when it is told to."""
    control.emit("ready")
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            continue


async def broken(control: Control) -> None:
    """Fails before it is ready."""
    print("about to fail", file=sys.stderr)
    raise ValueError("cannot start")
