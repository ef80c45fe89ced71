"""Run one coroutine on a `SimLoop`, and check that it left nothing behind."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from litz.testing.sim_loop import COLLECT_EVERY, START, SimLeakError, SimLoop

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SimRun(Generic[T]):
    """What one simulation came to.

    value    what the coroutine returned
    digest   of the trace: equal for equal runs
    elapsed  virtual seconds
    steps    callbacks run
    """

    value: T
    digest: str
    elapsed: float
    steps: int


def run_simulation(
    main: Callable[[SimLoop], Coroutine[Any, Any, T]],
    *,
    seed: int | str,
    shuffle: bool = True,
    max_time: float = 3600.0,
    max_steps: int = 5_000_000,
    allow_timers: bool = False,
) -> SimRun[T]:
    """Run `main(loop)` on a new `SimLoop` until it returns.

    Raises what `main` raises; `SimDeadlockError` when it would wait forever; `SimLimitError` beyond
    `max_time` virtual seconds or `max_steps` callbacks; `SimLeakError` when it returns and leaves a task, a
    timer (unless `allow_timers`), an open asynchronous generator, or an error that nobody saw. Each names
    the seed.
    """
    loop = SimLoop(seed=seed, shuffle=shuffle, max_time=max_time, max_steps=max_steps)
    unseen: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: unseen.append(context))
    collecting = gc.isenabled()
    gc.disable()
    try:
        try:
            value = loop.run_until_complete(main(loop))
            loop.settle()
            # With collection switched off, all that a short run made is in the youngest generation.
            gc.collect(0 if loop.steps < COLLECT_EVERY else 2)
            loop.settle()
            _check_nothing_left(loop, unseen, allow_timers=allow_timers)
        finally:
            elapsed, digest, steps = loop.time() - START, loop.digest, loop.steps
            _clear(loop)
    except BaseException as error:
        error.add_note(f"in the simulation with seed {seed!r}, at {elapsed:.6f} virtual seconds")
        for context in unseen:
            error.add_note(f"unseen: {_describe(context)}")
        raise
    finally:
        if collecting:
            gc.enable()
    return SimRun(value, digest, elapsed, steps)


def _check_nothing_left(loop: SimLoop, unseen: list[dict[str, Any]], *, allow_timers: bool) -> None:
    left = []
    if loop.pending_tasks():
        left.append("tasks:\n" + loop.describe_tasks())
    if not allow_timers and loop.pending_timers():
        left.append("timers:\n" + "\n".join(f"  {timer!r}" for timer in loop.pending_timers()))
    generators = sorted(repr(generator) for generator in loop._asyncgens)  # type: ignore[attr-defined]  # checked at import
    if generators:
        left.append("asynchronous generators:\n" + "\n".join(f"  {text}" for text in generators))
    if unseen:
        left.append("errors that nobody saw:\n" + "\n".join(f"  {_describe(context)}" for context in unseen))
    if left:
        error = SimLeakError("the simulation ended and left " + "\nand ".join(left))
        unseen.clear()
        raise error


def _describe(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


def _clear(loop: SimLoop) -> None:
    """End what is left over, so that a failed run leaves no warning of its own."""
    tasks = loop.pending_tasks()
    for task in tasks:
        task.cancel()
    try:
        loop.settle()
        if not any(not task.done() for task in tasks):
            loop.run_until_complete(loop.shutdown_asyncgens())
    except AssertionError:
        pass  # it would not end; the first error is the one to report
    finally:
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
            elif not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch
        loop.close()
