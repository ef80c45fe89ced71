"""Asks where one dest is: one look-up at a time, again when it is time to, and each failure is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from litz.errors import Attempt
from litz.events import LookUpFailed
from outproc.addressing import Resolution
from outproc.dial_attempt import Resolver
from outproc.local_node import LocalNode
from outproc.retry.backoff import Backoff, RetryState


class LookUps:
    """Of one dest. `answered(resolution)` is called with each answer, unless it was cancelled.

    asked_at  when the latest answer came
    due       when to ask again although nothing is known, as far as `in_vain` has said
    failures  of the latest look-up
    """

    def __init__(
        self,
        node: LocalNode,
        dest: str,
        resolver: Resolver,
        backoff: Backoff,
        answered: Callable[[Resolution], None],
    ) -> None:
        self._node = node
        self._dest = dest
        self._resolver = resolver
        self._answered = answered
        self._again = RetryState(backoff)
        self._task: asyncio.Task[None] | None = None
        self._outdated = False  # what is asked now may have been answered before the latest change
        self.cap = backoff.cap
        self.asked_at = 0.0
        self.due: float | None = None
        self.failures: tuple[Attempt, ...] = ()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The one under way, if there is one."""
        return [self._task] if self._task is not None else []

    def ask(self, *, anew: bool = False) -> None:
        """Ask now, unless that is under way. `anew`: what is known has changed, so that is asked once more behind it:
        whoever was asked already has answered what was true before."""
        if self._task is None:
            self.due = None
            self._task = self._node.spawn(self._resolve(), f"litz look up {self._dest}")
        elif anew:
            self.outdate()

    def outdate(self) -> None:
        """What is asked now, if anything is, is asked once more behind it: how or where that is done has changed."""
        self._outdated = self._task is not None

    async def _resolve(self) -> None:
        try:
            resolution = await self._resolver.resolve(self._dest, self._node.options.dial_timeout)
            if self._outdated:
                # Only once: changes without end must not keep the answer back.
                self._outdated = False
                resolution = await self._resolver.resolve(self._dest, self._node.options.dial_timeout)
        finally:
            self._task = None
            self.asked_at = self._node.now()
        again, self._outdated = self._outdated, False
        self._tell(resolution.failures)
        self._answered(resolution)
        if again:
            self.ask()

    def _tell(self, failures: tuple[Attempt, ...]) -> None:
        """Once, however often it is asked again."""
        told = {str(failure) for failure in self.failures}
        self.failures = failures
        if any(str(failure) not in told for failure in failures):
            self._node.emit(LookUpFailed(self._dest, failures))

    def in_vain(self, at_least: float) -> None:
        """No endpoint is known: ask again after the backoff, and after `at_least` seconds."""
        self.due = self._node.now() + max(at_least, self._again.failed(self._node.environment.rng))

    def proved(self) -> None:
        """The next wait is short again."""
        self._again.proved()
