"""What a test left behind in this process: tasks, sockets, threads, children. Compared before and after."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE_TURNS = 5
"""Loop turns that the end of a task may take after its owner returned (callbacks are `call_soon`)."""

THREAD_GRACE = 10.0
"""Seconds for a thread that was told to end and is on its way out."""

_FDS = Path("/proc/self/fd")
_THREADS = Path("/proc/self/task")


@dataclass(frozen=True, slots=True)
class Holdings:
    """What this process holds now. Sockets are named with their inode, so that a reused number shows."""

    sockets: frozenset[str]
    threads: frozenset[threading.Thread]
    children: frozenset[str]

    @classmethod
    def now(cls) -> Holdings:
        return cls(_open_sockets(), frozenset(threading.enumerate()), _children())

    def left_since(self, before: Holdings) -> list[str]:
        """One line for each thing that is here and was not before; threads get `THREAD_GRACE` to end."""
        deadline = time.monotonic() + THREAD_GRACE
        new_threads = sorted(self.threads - before.threads, key=lambda thread: thread.name)
        for thread in new_threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [
            *(f"open socket: {name}" for name in sorted(self.sockets - before.sockets)),
            *(f"living thread: {thread.name}" for thread in new_threads if thread.is_alive()),
            *(f"child process: {pid} {_command(pid)}" for pid in sorted(self.children - before.children)),
        ]


def _open_sockets() -> frozenset[str]:
    found = set()
    for entry in _FDS.iterdir() if _FDS.is_dir() else ():
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # the descriptor of the listing itself
        if target.startswith("socket:"):
            found.add(f"fd {entry.name} {target}")
    return frozenset(found)


def _children() -> frozenset[str]:
    found: set[str] = set()
    for thread in _THREADS.iterdir() if _THREADS.is_dir() else ():
        try:
            found.update((thread / "children").read_text().split())
        except OSError:
            continue  # the thread ended, or this kernel does not tell
    return frozenset(found)


def _command(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


async def tasks_left() -> list[asyncio.Task[Any]]:
    """The tasks of this loop, besides the caller, that do not end within `GRACE_TURNS` turns of the loop."""
    left: list[asyncio.Task[Any]] = []
    for _ in range(GRACE_TURNS):
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if not left:
            break
        await asyncio.sleep(0)
    return sorted(left, key=lambda task: task.get_name())
