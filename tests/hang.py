"""A test that hangs fails, and shows where every thread and every task stood."""

from __future__ import annotations

import asyncio
import faulthandler
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key

DEFAULT_LIMIT = 300.0
"""Seconds for a test with its fixtures, unless it is marked `limit(seconds)`."""

AGAIN = 10.0
"""Seconds after which a test that survived its failure (a task swallowed it) is failed again."""

LAST_RESORT = 60.0
"""Seconds past the limit after which the process dumps its threads and exits. No signal handler runs while C code
does not return, and uvloop's `close` does not when a server was left open."""


@contextmanager
def limited(seconds: float, report: Callable[[str], object]) -> Iterator[None]:
    """Fail the test if the body takes longer, after `report` got all stacks. Main thread only, as signals are;
    elsewhere no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_alarm(_signal: int, frame: FrameType | None) -> None:
        if not _interruptible:
            return  # pytest writes its report; should the test go on after that, it comes again
        report(f"not done after {seconds:g} s\n{all_stacks(frame)}")
        loop = asyncio._get_running_loop()
        if loop is not None and not isinstance(loop, asyncio.BaseEventLoop):
            loop.stop()  # uvloop swallows what a signal handler raises; this fails `run_until_complete`
        else:
            pytest.fail(f"hung: not done after {seconds:g} s", pytrace=False)

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    arm_last_resort(seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        faulthandler.cancel_dump_traceback_later()


_interruptible = False


@contextmanager
def interruptible() -> Iterator[None]:
    """Only inside may the limit end something: what it raises elsewhere would end pytest, not the test."""
    global _interruptible  # noqa: PLW0603 - one process, one test at a time
    _interruptible = True
    try:
        yield
    finally:
        _interruptible = False


_stderr = 2


def use_stderr_of(config: pytest.Config) -> None:
    """Dump where a person sees it: past pytest's capture, to the descriptor its own faulthandler plugin kept."""
    global _stderr  # noqa: PLW0603 - one process, one standard error
    _stderr = config.stash.get(fault_handler_stderr_fd_key, _stderr)


def arm_last_resort(seconds: float = 0.0) -> None:
    """Also to be called after a failure: pytest disarms it whenever it reports an exception."""
    faulthandler.dump_traceback_later(seconds + LAST_RESORT, exit=True, file=_stderr)


def all_stacks(here: FrameType | None) -> str:
    """The stack of every thread (`here` is the main one's), and of every task of the running loop."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = []
    for ident, frame in sys._current_frames().items():
        top = here if ident == threading.main_thread().ident and here is not None else frame
        parts.append(f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(top, limit=12))}")
    loop = asyncio._get_running_loop()
    for task in asyncio.all_tasks(loop) if loop is not None else ():
        lines = [line for frame in task.get_stack() for line in traceback.format_stack(frame, limit=1)]
        parts.append(f"task {task.get_name()}: {task.get_coro()}\n{''.join(lines)}")
    return "\n".join(parts)
