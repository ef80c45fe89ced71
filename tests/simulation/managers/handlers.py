"""What the consumers of one life do with messages: read, think, answer, raise, or wait to be cancelled."""

# ruff: noqa: ASYNC110  # on virtual time, looking again costs nothing and needs no hook in what is watched

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from litz.errors import MessageTooLargeError
from litz.message import Message
from outproc.session.session import Session
from tests.simulation.managers.record import (
    BIG,
    ECHO,
    HEAD,
    HOLD,
    PLAIN,
    RAISE,
    SLOW,
    InvariantError,
    answer_to,
    big_answer,
    uid_of,
)

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life


class HandlerError(Exception):
    """What handlers raise when they are asked to."""


class Handlers:
    """The handlers of one life. `stopping` while it stops them itself."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.stopping = False

    def consumers(self, how: str) -> list[Coroutine[Any, Any, None]]:
        """The coroutines that consume: see `Plan.consumers`."""
        manager = self.life.manager
        match how:
            case "messages":
                return [self._read(None)]
            case "apart":
                first = next(name for name in self.life.world.plan.names if name != self.life.name)
                return [self._read(None), self._read(first)]
            case "serve":
                return [manager.serve(self._handle)]
            case "serve wide":
                return [manager.serve(self._handle_slowly, concurrency=3)]
            case _:
                return [manager.serve(self._handle_slowly)]

    async def _read(self, sender: str | None) -> None:
        async with self.life.manager.messages(sender=sender) as stream:
            async for message in stream:
                self._handed(message)
                await self._think()
                if message.is_request:
                    await self._answer(message)

    def _handed(self, message: Message) -> None:
        try:
            self.life.world.checker.handed(self.life, message)
        except InvariantError as error:
            self.life.world.failed(error)  # `serve` would only log it

    async def _answer(self, message: Message) -> None:
        asked = _asked(message)
        if asked == RAISE:
            await message.source.fail(message, HandlerError("asked to"))
        elif asked == ECHO:
            await message.reply(answer_to(message.data))
        elif asked == BIG:
            try:
                await message.reply(self._big(message))
            except MessageTooLargeError as error:
                await message.source.fail(message, error)

    def _handle(self, message: Message) -> Any:
        self._handed(message)
        return self._result(message)

    async def _handle_slowly(self, message: Message) -> Any:
        self._handed(message)
        try:
            await self._think()
            if _asked(message) == SLOW:
                await asyncio.sleep(0.3)
            elif _asked(message) == HOLD:
                await self._hold(message)
        except asyncio.CancelledError:
            self._cancelled(message)
            raise
        return self._result(message)

    async def _hold(self, message: Message) -> None:
        """Until it is cancelled, or there is nobody any more whom it could answer."""
        world = self.life.world
        session: Session = message.source.session  # type: ignore[attr-defined]  # of a SessionSource
        held = (self.life, world.checker.sent[uid_of(message.data)])
        world.holding[held] = None
        try:
            while self.life.alive and not session.ended:
                await asyncio.sleep(0.05)
        finally:
            del world.holding[held]

    def _cancelled(self, message: Message) -> None:
        life = self.life
        if self.stopping or not life.alive:
            return
        sent = life.world.checker.sent[uid_of(message.data)]
        life.world.hits["handler cancelled"] += 1
        if not (message.is_request and sent.given_up):
            error = InvariantError(
                "requests-end", f"the handler of {sent!r} at {life} was cancelled, and nobody gave up"
            )
            life.world.failed(error)

    def _big(self, message: Message) -> bytes:
        return big_answer(message.data, self.life.options.max_message)

    def _result(self, message: Message) -> Any:
        asked = _asked(message)
        if asked == RAISE:
            raise HandlerError("asked to")
        if asked == PLAIN:
            return None
        return self._big(message) if asked == BIG else answer_to(message.data)

    async def _think(self) -> None:
        life = self.life
        if life.world.plan.think and not life.world.healed and life.rng.random() < 0.3:
            await asyncio.sleep(life.rng.random() * life.world.plan.think)


def _asked(message: Message) -> int:
    """What the sender of a request wants; PLAIN for all other messages."""
    return int(message.data[HEAD - 1]) if message.is_request else PLAIN
