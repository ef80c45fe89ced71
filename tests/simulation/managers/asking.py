"""The requests of one user: each ends, with the right answer, a typed error, or its timeout."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from litz.errors import RemoteError, RequestTimeoutError
from litz.payload import PayloadType
from tests.simulation.managers.record import (
    BIG,
    ECHO,
    HOLD,
    RAISE,
    SLOW,
    InvariantError,
    Sent,
    answer_to,
    big_answer,
    uid_of,
)

if TYPE_CHECKING:
    from tests.simulation.managers.users import User

LATE = 0.3
"""Seconds that a timeout may come late."""
READERS = ("messages", "apart")
HANDLERS = ("serve async", "serve wide")
"""Consumers whose handlers can be cancelled."""


class Asker:
    """The acts of a user that are requests."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.life = user.life
        self.world = user.world
        self.rng = user.rng

    async def asks(self, dest: str) -> None:
        for _ in range(self.rng.randint(1, 3)):
            what = self.rng.choice((ECHO, ECHO, RAISE, SLOW, BIG, HOLD))
            await self._ask(dest, what, self.rng.choice((None, 0.2, 2.0)))

    async def gives_up_asking(self, dest: str) -> None:
        tasks = [
            self.life.spawn(self.user.typed(self._ask_without_end, dest), "ask") for _ in range(self.rng.randint(1, 4))
        ]
        await asyncio.sleep(self.rng.random() * 0.2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _ask_without_end(self, dest: str) -> None:
        await self._ask(dest, self.rng.choice((ECHO, SLOW, HOLD, HOLD)), None)

    async def _ask(self, dest: str, what: int, timeout: float | None) -> None:
        sent = self.user.make(dest, PayloadType.RPC_RELIABLE, what)
        sent.state = "doubtful"
        consumer = self.world.plan.consumers[dest]
        if timeout is None and (what == HOLD or (what == SLOW and consumer in READERS)):
            timeout = 0.5  # nobody answers those there
        began = self.world.loop.time()
        try:
            answer = await self.life.manager.request(dest, sent.data, timeout=timeout)
        except RemoteError as error:
            self._check_failure(sent, what, error)
        except asyncio.CancelledError:
            sent.given_up = True
            raise
        except RequestTimeoutError:
            sent.given_up = True
            self.world.hits["request timed out"] += 1
        else:
            self._check_answer(sent, what, answer)
        finally:
            took = self.world.loop.time() - began
            if timeout is not None and took > timeout + LATE and not self.world.stalled_since(began):
                raise InvariantError("requests-end", f"{sent!r} took {took:.2f} s, its timeout was {timeout:g}")

    def _check_answer(self, sent: Sent, what: int, answer: bytes) -> None:
        self.world.hits["request answered"] += 1
        right = answer_to(sent.data)
        if what == BIG:
            theirs, mine = self.world.plan.options[sent.dest].max_message, self.life.options.max_message
            right = big_answer(sent.data, theirs)
            if len(right) > min(theirs, mine):
                raise InvariantError("answers", f"{sent!r} was answered with {len(answer)} bytes, over the limit")
            self.world.hits["request answered at the limit"] += 1
        if answer != right:
            raise InvariantError("answers", f"{sent!r} was answered with that of {uid_of(answer[2:])}")

    def _check_failure(self, sent: Sent, what: int, error: RemoteError) -> None:
        if what == BIG and error.kind == "MessageTooLargeError":
            theirs, mine = self.world.plan.options[sent.dest].max_message, self.life.options.max_message
            if len(big_answer(sent.data, theirs)) > min(theirs, mine):
                self.world.hits["answer too large"] += 1
                return
        if what != RAISE or error.kind != "HandlerError":
            raise InvariantError("answers", f"{sent!r} was answered with {error!r}")
