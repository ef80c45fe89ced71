"""An asyncio event loop on virtual time: seeded, replayable, and free of sleeping.

What it promises
    The same seed gives the same run in any process and under any PYTHONHASHSEED: the code under test must
    only take its clock, randomness and wires from here (no `time.time`, `os.urandom`, threads, sockets).
    Tasks and futures hash by number, so sets of them (as in `asyncio.TaskGroup`) iterate alike each time.
    Garbage is collected at fixed steps only, because finalizers of asynchronous generators schedule work.

What `shuffle=True` changes, and why it is legal
    `call_soon` stays first in, first out: asyncio promises that. asyncio promises *no* order for timers of
    exactly the same time, so these run in seeded order (otherwise: in the order they were made). Nor does it
    promise that callbacks take no time, or that all timers of one moment run in one turn of the loop: so
    the clock may creep by up to `CREEP` seconds while callbacks are ready, which lets a timer fire in the
    middle of a chain of callbacks, and a turn may take only some of the timers that are due.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import random
import threading
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final, TypeVarTuple, cast

from litz.testing.loop_internals import FORBIDDEN_VERBS, check_loop_internals

check_loop_internals()

Ts = TypeVarTuple("Ts")

START: Final = 1000.0
"""`loop.time()` at the start, in seconds: not 0, so that nothing mistakes it for "unset"."""

WALL_START: Final = 1_700_000_000.0
"""`loop.wall_time()` at the start, in seconds since 1970."""

CREEP: Final = 0.001
"""With `shuffle`, the most seconds that pass in one turn of the loop with callbacks ready."""

COLLECT_EVERY: Final = 200_000
"""Callbacks after which garbage is collected: at fixed steps, never by chance."""

_COMPACT_ABOVE = 100


class SimulationError(AssertionError):
    """Base of what a simulation fails with by itself."""


class SimDeadlockError(SimulationError):
    """Nothing is ready, no timer is set, and the main coroutine is not done: it would wait forever."""


class SimLimitError(SimulationError):
    """The simulation ran beyond its limit of virtual time or of steps."""


class SimLeakError(SimulationError):
    """The main coroutine returned and left tasks, timers, generators or unhandled errors behind."""


class ForbiddenInSimulationError(RuntimeError):
    """The code under test reached for a thread, a socket, a signal or the resolver."""


class SimFuture(asyncio.Future[Any]):
    """A future of a `SimLoop`. It hashes by number in order of first use, not by address."""

    __slots__ = ("_number",)
    _number: int

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            self._number = number = _next_number(self)
            return number


class SimTask(asyncio.Task[Any]):
    """A task of a `SimLoop`. It hashes by number in order of first use, not by address."""

    __slots__ = ("_number",)
    _number: int

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            self._number = number = _next_number(self)
            return number

    def set_name(self, value: object) -> None:
        if value is not None:  # Python 3.13.0 passes None on when a task factory is set
            super().set_name(value)


def _next_number(future: asyncio.Future[Any]) -> int:
    loop = future.get_loop()
    assert isinstance(loop, SimLoop)
    return loop.next_number()


def _task_factory(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    return SimTask(coro, loop=loop, **options)


class SimLoop(asyncio.BaseEventLoop):
    """An event loop whose clock jumps to the next timer when nothing is ready.

    seed       chooses among the legal interleavings (only with `shuffle`)
    shuffle    see the head of this module
    max_time   virtual seconds it may run, `max_steps` callbacks; beyond them `SimLimitError` is raised

    Threads, executors, sockets, signals and the resolver raise `ForbiddenInSimulationError`.
    """

    # The inside of asyncio's loop, as `check_loop_internals` found it.
    _check_closed: Callable[[], None]
    _ready: deque[Any]
    _stopping: bool
    _thread_id: int | None

    def __init__(
        self,
        *,
        seed: int | str = 0,
        shuffle: bool = False,
        max_time: float = 86_400.0,
        max_steps: int = 20_000_000,
    ) -> None:
        super().__init__()
        self._now = START
        self._slept = 0.0
        self._wall_shift = 0.0
        self._end = START + max_time
        self._max_steps = max_steps
        self.steps = 0
        self._timers: list[tuple[float, int, Any]] = []
        self._timer_count = 0
        self._dead_timers = 0
        self._numbers = 0
        self._next_collect = min(COLLECT_EVERY, max_steps)
        self._random_bits = random.Random(f"loop {seed}").getrandbits if shuffle else None
        self._trace = 0
        self.set_task_factory(_task_factory)  # type: ignore[arg-type]  # the stub wants a protocol of 3.13

    # -- clocks --------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual monotonic time in seconds."""
        return self._now

    def boot_time(self) -> float:
        """Like `time`, but it also counts the time the simulated machine was suspended."""
        return self._now + self._slept

    def wall_time(self) -> float:
        """Virtual seconds since 1970."""
        return WALL_START - START + self._now + self._slept + self._wall_shift

    def stall(self, seconds: float) -> None:
        """Lag: time passes and nothing runs. What falls due meanwhile runs late, in order of its time."""
        self._now += max(0.0, seconds)

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: boot and wall clock go on, the monotonic one does not."""
        self._slept += max(0.0, seconds)

    def shift_wall_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock, forwards or back."""
        self._wall_shift += seconds

    # -- trace ---------------------------------------------------------------------------------------

    def note(self, *facts: int | float | str | bytes) -> None:
        """Mix facts of the scenario into the trace, so that runs which differ in them have other digests."""
        self._trace = hash((self._trace, *[_plain(fact) for fact in facts]))

    @property
    def digest(self) -> str:
        """Sums up when how many callbacks ran, and all notes so far. Equal for equal runs, in any process."""
        return f"{self._trace & (1 << 64) - 1:016x}"

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    # -- scheduling ----------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        return SimFuture(loop=self)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._check_closed()
        timer: Any = asyncio.TimerHandle(when, callback, args, self, context)
        self._timer_count = key = self._timer_count + 1
        if self._random_bits is not None:
            key |= self._random_bits(24) << 48
        heapq.heappush(self._timers, (when, key, timer))
        timer._scheduled = True
        return cast(asyncio.TimerHandle, timer)

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Works in the thread of the loop only: a second thread could not be replayed."""
        if self._thread_id is not None and threading.get_ident() != self._thread_id:
            raise ForbiddenInSimulationError("a SimLoop is called from one thread only")
        return self.call_soon(callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: Any) -> None:
        if not handle._scheduled:
            return
        self._dead_timers += 1
        if self._dead_timers > _COMPACT_ABOVE and self._dead_timers * 2 > len(self._timers):
            # In place: a turn of the loop may be holding the list.
            self._timers[:] = [entry for entry in self._timers if not entry[2].cancelled()]
            heapq.heapify(self._timers)
            self._dead_timers = 0

    def _run_once(self) -> None:
        ready = self._ready
        timers = self._timers
        bits = self._random_bits
        chance = bits(16) if bits is not None else 0
        if not ready:
            if not self._stopping:
                self._jump()
        elif chance & 7 == 1:
            self._now += CREEP * (chance >> 8) / 256
        now = self._now
        while timers and timers[0][0] <= now:
            handle = heapq.heappop(timers)[2]
            handle._scheduled = False
            if handle._cancelled:
                self._dead_timers -= 1
                continue
            ready.append(handle)
            if chance & 56 == 8:
                break
        todo = len(ready)
        self._trace = hash((self._trace, now, todo))
        self.steps += todo
        if self.steps >= self._next_collect:
            self._housekeeping()
        for _ in range(todo):
            callback = ready.popleft()
            if not callback._cancelled:
                callback._run()

    def _jump(self) -> None:
        """Set the clock to the first timer that is still wanted."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)[2]._scheduled = False
            self._dead_timers -= 1
        if not timers:
            raise SimDeadlockError(
                f"deadlock at {self._now - START:.6f} s: nothing is ready, no timer is set; waiting:\n"
                + self.describe_tasks()
            )
        when = timers[0][0]
        if when > self._end:
            raise SimLimitError(
                f"the limit of {self._end - START:g} virtual seconds was reached; waiting:\n" + self.describe_tasks()
            )
        self._now = max(self._now, when)

    def _housekeeping(self) -> None:
        self._next_collect = min(self.steps + COLLECT_EVERY, self._max_steps)
        gc.collect()
        if self.steps >= self._max_steps:
            raise SimLimitError(
                f"the limit of {self._max_steps} steps was reached at {self._now - START:.6f} s; waiting:\n"
                + self.describe_tasks()
            )

    # -- what is left --------------------------------------------------------------------------------

    def pending_tasks(self) -> list[asyncio.Task[Any]]:
        """All tasks of this loop that are not done, in the order of their numbers."""
        return sorted(asyncio.all_tasks(self), key=hash)

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        """All timers that are set, in the order they would fire."""
        return [entry[2] for entry in sorted(self._timers, key=lambda e: e[:2]) if not entry[2].cancelled()]

    def describe_tasks(self) -> str:
        """One line a task: its name, and where it waits, from the outermost frame in."""
        lines = [f"  {task.get_name()}: {' > '.join(_waits_in(task))}" for task in self.pending_tasks()]
        return "\n".join(lines) or "  (no task)"

    def settle(self) -> None:
        """Run what is ready, and what that makes ready, without letting time pass."""
        bits, self._random_bits = self._random_bits, None  # no creep
        try:
            for _ in range(10_000):
                if not self._ready:
                    return
                self.call_soon(self.stop)
                self.run_forever()
            raise SimLimitError("callbacks keep scheduling callbacks without end at one moment")
        finally:
            self._random_bits = bits

    def close(self) -> None:
        if not self.is_running():
            self._timers.clear()
        super().close()

    def _write_to_self(self) -> None:
        """Nothing sleeps, so nothing needs to be woken."""


def _waits_in(task: asyncio.Task[Any]) -> list[str]:
    chain: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(chain) < 20:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None)
        if frame is None:
            chain.append(type(awaited).__qualname__)
            break
        chain.append(f"{frame.f_code.co_qualname} line {frame.f_lineno}")
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "ag_await", None)
    return chain


def _plain(fact: int | float | str | bytes) -> int | float:
    """Strings and bytes hash differently in each process; their CRC does not."""
    if isinstance(fact, str):
        return zlib.crc32(fact.encode("utf-8", "surrogatepass"))
    if isinstance(fact, bytes):
        return zlib.crc32(fact)
    return fact


def _forbid(verb: str) -> Callable[..., Any]:
    def forbidden(self: SimLoop, *args: object, **options: object) -> Any:
        raise ForbiddenInSimulationError(
            f"loop.{verb} leaves the simulation; give the code under test simulated wires and clocks instead"
        )

    forbidden.__name__ = verb
    forbidden.__qualname__ = f"SimLoop.{verb}"
    return forbidden


for _verb in FORBIDDEN_VERBS:
    setattr(SimLoop, _verb, _forbid(_verb))
