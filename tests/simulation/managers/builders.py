"""The wire builders of one life: each dial is told to the checker, and some do not heed their cancellation."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from litz.testing import SimHost, SimWireBuilder
from litz.wire import Endpoint, Wire
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life

DEAF_FOR = 0.1
"""Seconds that a deaf builder goes on at the most after it was cancelled."""


class WatchedBuilder(SimWireBuilder):
    """Tells the life that dials of each dial, before and after."""

    def __init__(self, life: Life, host: SimHost, kind: str) -> None:
        plan = life.world.plan
        super().__init__(
            host, kind, max_frame=plan.frames[kind], secure=kind in plan.proofs.secure_kinds, **plan.natures[kind]
        )
        self.life = life

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        life = self.life
        try:
            life.world.checker.dialling(life, dest, endpoint)
        except InvariantError as error:
            life.world.failed(error)  # the dialler would take it for a failed dial
        # By the task, since a deaf dial may go on beside the next one.
        life.dialling[dest, endpoint] = task = asyncio.current_task()
        try:
            return await self._dial(dest, endpoint)
        finally:
            self._over(dest, endpoint, task)

    async def _dial(self, dest: str, endpoint: Endpoint) -> Wire:
        return await super().build(dest, endpoint)

    def _over(self, dest: str, endpoint: Endpoint, task: asyncio.Task[Any] | None) -> None:
        if self.life.dialling.get((dest, endpoint)) is task:
            self.life.dialling[dest, endpoint] = None


class DeafBuilder(WatchedBuilder):
    """Goes on for a while when it is cancelled, and then has a wire after all, or fails with another error."""

    async def _dial(self, dest: str, endpoint: Endpoint) -> Wire:
        loop, hits = self.life.world.loop, self.life.world.hits
        dial = asyncio.ensure_future(super()._dial(dest, endpoint))
        until: float | None = None
        while not dial.done():
            try:
                await asyncio.wait([dial], timeout=None if until is None else max(0.0, until - loop.time()))
            except asyncio.CancelledError:
                self._over(dest, endpoint, asyncio.current_task())
                # A closing node waits for it a twentieth of its `close_timeout` at the least.
                most = DEAF_FOR if self.life.alive else 0.04 * self.life.options.close_timeout
                until = until or loop.time() + self.life.rng.random() * most
            if until is not None and loop.time() >= until:
                dial.cancel()
        if until is None:
            return dial.result()
        if dial.cancelled():
            hits["dial: deaf, failed"] += 1
            raise ConnectionAbortedError("cancelled, and said so late")
        wire = dial.result()
        hits["dial: deaf, late wire"] += 1
        return wire
