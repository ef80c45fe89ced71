"""What goes out on one stream: put in line, admitted, made into what is sent, and written one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Any

from litz.errors import (
    AdmissionRefusedError,
    MessageTooLargeError,
    StreamAbortedError,
    StreamLostError,
)
from litz.limiter import Limiter
from litz.ordered_work import OrderedWork
from litz.ordering import Place, PlaceState
from litz.pipeline.door import Door
from litz.pipeline.item import Outgoing
from litz.pipeline.options import PipelineOptions
from litz.supervised import GivenUp, Supervisor
from litz.supervision import TERMINAL, Again, Failure, Remedy, Tally
from litz.turns import payload_size

if TYPE_CHECKING:
    from litz.pipeline.flow import Flow


class Outbound:
    """The outbound half of one pipeline. Starts tasks only while something is in line; `close` ends them."""

    def __init__(
        self,
        flow: Flow,
        outgoing: Callable[[Outgoing], Any] | None,
        options: PipelineOptions,
        supervisor: Supervisor,
        limiter: Limiter,
    ) -> None:
        self._flow = flow
        self._outgoing = outgoing
        self._options = options
        self._supervisor = supervisor
        self._limiter = limiter
        self._budget = supervisor.budget(flow.dest)
        self._order = options.outbound.order
        self._door = Door()
        self._news = asyncio.Event()
        self._writing = asyncio.Lock()  # a stream takes one message at a time; keys run in parallel up to here
        self._held: dict[Place[Outgoing], asyncio.TimerHandle] = {}
        self._accepted = 0
        self._direct = 0
        self._ended: BaseException | None = None
        self.tally = Tally(sizes=options.sizes)
        self.work: OrderedWork[Outgoing] = OrderedWork(
            self._order,
            self._run,
            parallel=options.outbound.parallel,
            admission=limiter,
            refused=self._refused,
            name="litz pipeline sender",
        )
        self.work.changed = self._changed

    # -- in -----------------------------------------------------------------------------------------------

    async def send(self, data: Any, key: Hashable, check: Callable[[], None]) -> None:
        """Put `data` in line and return when it is written. `check` raises when nothing may be sent any more."""
        check()
        size = payload_size(data)
        book = self.work.book
        # Whoever is on its way out is before this one: at the door, in line, or writing.
        if self._outgoing is None and not (self._door.busy or book.messages or self._writing.locked()):
            permit = self._limiter.try_acquire(bytes=size)
            if permit is not None:
                with permit:
                    await self._send_directly(data, size)
                return
        out = Outgoing(data, key, self._accepted, size)
        key = self._order.key_of(out)
        await self._door.enter(lambda: self._ended is not None or book.room(key, out.size))
        check()
        out.number = self._accepted
        place = self.work.accept(key, out, out.size)
        self._accepted += 1
        try:
            await out.told
        except asyncio.CancelledError:
            self._withdraw(place)
            raise

    async def _send_directly(self, data: Any, size: int) -> None:
        """Nobody is in line: without a task and a place of its own. Who comes now waits behind it."""
        self._accepted += 1
        self._direct += 1
        try:
            async with self._writing:
                await self._flow.line.send(data)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            given_up = self._judged(error, size)
            if given_up is None:
                raise self._flow.ended_error() from error
            self._give_up(given_up)
            raise
        finally:
            self._direct -= 1
            self._news.set()
        self.tally.add_handled(size)

    def _withdraw(self, place: Place[Outgoing]) -> None:
        """Who sends it is gone: it is not sent if it was not begun, and wholly otherwise."""
        if self._ended is not None or place.state not in (PlaceState.WAITING, PlaceState.READY, PlaceState.HELD):
            return
        timer = self._held.pop(place, None)
        if timer is not None:
            timer.cancel()
        self.work.book.withdraw(place)
        self.work.go()

    # -- one message --------------------------------------------------------------------------------------

    async def _run(self, place: Place[Outgoing]) -> None:
        out = place.item
        data = out.data
        if self._outgoing is not None:
            attempt = partial(self._attempt, out)
            made = await self._supervisor.once(
                attempt, out.case, self.tally, self._budget, size=out.size, label=out, peer=self._flow.dest
            )
            if type(made) is Again:
                self.work.book.hold(place)
                self._held[place] = asyncio.get_running_loop().call_later(made.wait, self._again, place)
                return
            if type(made) is GivenUp:
                self._given_up(place, made)
                return
            data = made
        try:
            async with self._writing:
                await self._flow.line.send(data)
        except Exception as error:
            given_up = self._judged(error, out.size)
            if given_up is None:
                self.work.book.hold(place)  # it is counted with what is left
            else:
                self._given_up(place, given_up)
        else:
            self.tally.add_handled(out.size)
            if not out.told.done():
                out.told.set_result(None)

    def _judged(self, error: Exception, size: int) -> GivenUp | None:
        """What an error of the line means for its message. None: the stream is over."""
        if isinstance(error, StreamAbortedError):
            self._flow.line_failed(error)
            return None
        failure = Failure.TOO_LARGE if isinstance(error, MessageTooLargeError) else Failure.RAISED
        return self._supervisor.refuse(failure, error, self.tally, size)

    def _attempt(self, out: Outgoing, number: int) -> Any:
        assert self._outgoing is not None
        return self._outgoing(out)

    def _again(self, place: Place[Outgoing]) -> None:
        del self._held[place]
        self.work.book.again(place)
        self.work.go()

    async def _refused(self, place: Place[Outgoing], error: AdmissionRefusedError) -> bool:
        """Admission has no room: that is between it and the sender."""
        self._supervisor.refuse(Failure.REFUSED, error, self.tally, place.size)
        self.tally.add_remedy(Remedy.DROP)
        self._tell(place.item, error)
        return True

    def _given_up(self, place: Place[Outgoing], given_up: GivenUp) -> None:
        """Its sender is told."""
        self._tell(place.item, given_up.error)
        if self._give_up(given_up):
            self.work.book.hold(place)

    def _give_up(self, given_up: GivenUp) -> bool:
        """The stream ends by it if that was asked for. Whether it does."""
        remedy = given_up.remedy
        if remedy not in TERMINAL:
            remedy = Remedy.CLOSE if self._options.fail_fast else Remedy.DROP
        self.tally.add_remedy(remedy)
        if remedy is Remedy.DROP:
            return False
        self._flow.outbound_failed(given_up, escalate=remedy is Remedy.ESCALATE)
        return True

    def _tell(self, out: Outgoing, error: BaseException | None) -> None:
        if out.told.done():
            return
        out.told.set_exception(_as_error(error))

    # -- waiting ------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Return when nothing is in line."""
        while self.work.book.messages or self._direct:
            self._news.clear()
            await self._news.wait()

    def _changed(self) -> None:
        self._news.set()
        self._door.news()
        broken = self.work.broken
        if broken is not None and self._ended is None:
            self._flow.order_broken(broken)

    # -- the end ------------------------------------------------------------------------------------------

    async def close(self, error: BaseException) -> int:
        """Cancel what runs, wait for its end, and tell all who wait. Returns how many messages were not written."""
        self._ended = error
        self._door.news()
        for timer in self._held.values():
            timer.cancel()
        self._held.clear()
        left = await self.work.close()
        undelivered = self._direct
        for _ in range(self._direct):  # their senders are told by the line
            self.tally.add_failure(Failure.UNDELIVERED)
        for place in left:
            told = place.item.told
            if not told.done() or told.cancelled():  # cancelled: its sender is gone, and it had begun
                undelivered += 1
                self.tally.add_failure(Failure.UNDELIVERED, place.size)
                self._tell(place.item, error)
        return undelivered


def _as_error(error: BaseException | None) -> BaseException:
    """What may be set on a future: a cancellation of the function's own may not look like one of the sender."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = StreamLostError if error is None else RuntimeError
    fresh = wrapped(f"what makes the message to be sent ended with {type(error).__name__}")
    fresh.__cause__ = error
    return fresh
