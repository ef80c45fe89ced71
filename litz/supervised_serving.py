"""Supervision for `serve`: a handler of messages under a policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, NoReturn

from litz.dead_letters import DeadLetters
from litz.manager import Handler, TransportManager
from litz.message import Message
from litz.supervised import GivenUp, Supervisor, letter_of
from litz.supervision import Remedy, Supervise, Tally
from litz.turns import payload_size

_OF_STREAMS = (Remedy.PARK_KEY, Remedy.CLOSE)


class SupervisedHandler:
    """A handler for `serve` that tries again as its policy says. `supervised` makes one.

    A message that is tried again keeps its place: of one sender nothing overtakes it. A request that is given up is
    answered with the exception (`RemoteError` at the caller), whatever the remedy: its caller knows.
    """

    def __init__(self, handler: Handler, policy: Supervise, *, sizes: bool = False, rng: Random | None = None) -> None:
        if not callable(handler):
            raise TypeError(f"supervised takes a function of one message, not a {type(handler).__name__}")
        if any(remedy in _OF_STREAMS for remedy in (policy.then, *policy.remedies.values())):
            raise ValueError("PARK_KEY and CLOSE are remedies of streams; serve has DROP, DEAD_LETTER and ESCALATE")
        self._handler = handler
        self._supervisor = Supervisor(policy, rng=rng)
        self._escalated: asyncio.Future[NoReturn] | None = None
        self.tally = Tally(sizes=sizes)
        """Counts of all messages so far."""

    @property
    def dead_letters(self) -> DeadLetters:
        """Messages that nobody could handle. Take them out: `take`."""
        return self._supervisor.letters

    async def __call__(self, message: Message) -> Any:
        """Handle one message."""
        size = payload_size(message.data)
        outcome = await self._supervisor.attend(
            lambda attempt: self._handler(message),
            self.tally,
            self._supervisor.budget(message.sender),
            size=size,
            label=message,
            peer=message.sender,
        )
        return await self._given_up(message, outcome, size) if type(outcome) is GivenUp else outcome

    async def _given_up(self, message: Message, given_up: GivenUp, size: int) -> None:
        error = given_up.error
        remedy = given_up.remedy
        detail = message.detail
        if detail is not None and detail.request_id is not None and remedy is not Remedy.ESCALATE:
            self.tally.add_remedy(Remedy.DROP)
            assert error is not None
            raise error
        if remedy is Remedy.DEAD_LETTER:
            letter = letter_of(
                given_up,
                sender=message.sender,
                service=message.payload_type.name,
                number=message.number,
                key=message.key,
                data=message.data,
                size=size,
            )
            if not self.dead_letters.add(letter):
                remedy = Remedy.ESCALATE
        self.tally.add_remedy(remedy)
        if remedy is Remedy.ESCALATE:
            await self._escalate(message, error)

    async def _escalate(self, message: Message, error: BaseException | None) -> None:
        """The serving call ends. Until it does, this message is not processed: the next consumer gets it again."""
        if self._escalated is None:
            assert error is not None
            text = "%r was given up outside of serve_on, so it cannot be escalated%s"
            self._supervisor.tell(text, message, peer=message.sender, error=error)
            return
        if not self._escalated.done():
            self._escalated.set_exception(error if isinstance(error, Exception) else RuntimeError(f"{error!r}"))
        await asyncio.get_running_loop().create_future()

    async def serve_on(self, manager: TransportManager, **options: Any) -> None:
        """`manager.serve(self, **options)`, and what is escalated leaves it: the original exception, once all handlers
        have ended. The message it belongs to is delivered again, with `redelivered`, to the next consumer. A full box
        of dead letters escalates too. One at a time: RuntimeError."""
        if self._escalated is not None:
            raise RuntimeError("this handler serves already; make another one with supervised()")
        loop = asyncio.get_running_loop()
        escalated = self._escalated = loop.create_future()
        serving = loop.create_task(manager.serve(self, **options), name="litz supervised serve")
        try:
            await asyncio.wait([serving, escalated], return_when=asyncio.FIRST_COMPLETED)
        finally:
            serving.cancel()
            await _ended(serving)
            self._escalated = None
        if escalated.done():
            escalated.result()
        escalated.cancel()
        serving.result()


async def _ended(task: asyncio.Task[None]) -> None:
    """Wait for a task that was cancelled, and pass on a cancel of this one when it has ended."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def supervised(
    handler: Callable[[Message], Any], policy: Supervise | None = None, *, sizes: bool = False
) -> SupervisedHandler:
    """`handler` under `policy` (default: `Supervise()`), for `serve`:

    `await manager.serve(supervised(handler, policy))`, or `serve_on` of what is returned, which can escalate.
    """
    return SupervisedHandler(handler, policy or Supervise(), sizes=sizes)
