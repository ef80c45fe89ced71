"""The progress of a transfer on standard error: a bar on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from outproc.cli.status_tables import size_text

if TYPE_CHECKING:
    from rich.console import Console

LINE_EVERY = 2.0
"""Seconds between lines where there is no terminal."""
SELDOM = 32
"""Times as many of them lie between two lines in the end, while a transfer stands still."""
LOOK_EVERY = 0.1


class Standing(NamedTuple):
    """How far a transfer is: bytes done, of how many (None: not known), and a remark."""

    name: str
    done: int
    total: int | None
    remark: str = ""


async def show_progress(look: Callable[[], Standing | None], console: Console | None = None) -> None:
    """Show what `look` tells, until cancelled; a last time then. None: nothing is under way."""
    if sys.stderr.isatty() if console is None else console.is_terminal:
        await _bar(look, console)
    else:
        await _lines(look)


async def _bar(look: Callable[[], Standing | None], console: Console | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
        console=console or Console(stderr=True),
    )
    with progress:
        task = progress.add_task("waiting", total=None, remark="")

        def update() -> None:
            standing = look()
            if standing is not None:
                progress.update(
                    task,
                    description=escape(standing.name),
                    completed=standing.done,
                    total=standing.total,
                    remark=standing.remark,
                )

        with suppress(asyncio.CancelledError):
            while True:
                update()
                await asyncio.sleep(LOOK_EVERY)
        update()


async def _lines(look: Callable[[], Standing | None]) -> None:
    told: Standing | None = None
    looks, pause = 0, 1
    while True:
        await asyncio.sleep(LINE_EVERY)
        standing = look()
        if standing is None:
            continue
        looks += 1
        if told is None or (standing.name, standing.done) != (told.name, told.done):
            pause = 1
        elif looks < pause:
            continue
        else:
            pause = min(2 * pause, SELDOM)
        print(line_of(standing), file=sys.stderr, flush=True)
        told, looks = standing, 0


def line_of(standing: Standing) -> str:
    """One line for logs."""
    done = size_text(standing.done)
    if standing.total:
        done = f"{done} of {size_text(standing.total)} ({100 * standing.done // standing.total} %)"
    remark = f" ({standing.remark})" if standing.remark else ""
    return f"{standing.name}: {done} acknowledged{remark}"
