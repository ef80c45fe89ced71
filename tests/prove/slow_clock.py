"""An event loop whose clock can be slowed.

A proof that puts two thousand machines into one has less of a processor for each than they would have, and a slow or
busy machine has still less. What is measured in seconds there, by litz and by the proof, is to be measured by clocks
that go as slowly as the machine; then the same happens as on a faster one.

    Worker("tests.prove.some_module:function", loop="slow_clock")       # and in there, once it is known how slow it is:
    asyncio.get_running_loop().slow(2.5)
"""

from __future__ import annotations

import asyncio
import selectors
import time


class _Selector(selectors.DefaultSelector):
    """Waits for seconds of the slow clock."""

    slowness = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As it does, so many times longer."""
        return super().select(None if timeout is None else timeout * self.slowness)


class SlowClockLoop(asyncio.SelectorEventLoop):
    """As it is made, its clock is right."""

    def __init__(self) -> None:
        self._slow_selector = _Selector()
        self._began = self._passed = time.monotonic()
        super().__init__(self._slow_selector)

    def time(self) -> float:
        """Seconds of the slow clock. It never jumps."""
        return self._passed + (time.monotonic() - self._began) / self._slow_selector.slowness

    def slow(self, slowness: float) -> None:
        """From now on a second of this clock takes `slowness` seconds."""
        self._passed, self._began = self.time(), time.monotonic()
        self._slow_selector.slowness = slowness
