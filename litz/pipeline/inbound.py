"""What comes in on one stream: read, put in line, admitted, handled, and what becomes of what failed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from litz.errors import AdmissionRefusedError, OrderBrokenError, StreamAbortedError, StreamLostError
from litz.limiter import Limiter
from litz.ordered_work import OrderedWork
from litz.ordering import Place, PlaceState
from litz.pipeline.item import Item
from litz.pipeline.options import PipelineOptions
from litz.pipeline.report import PipelineEnd
from litz.supervised import Case, GivenUp, Supervisor, letter_of
from litz.supervision import Again, Failure, Remedy, Tally
from litz.turns import payload_size

if TYPE_CHECKING:
    from litz.pipeline.flow import Flow


@dataclass(frozen=True, slots=True)
class Left:
    """What was accepted and not finished when the stream ended."""

    outstanding: tuple[int, ...]
    interrupted: int


class Inbound:
    """The inbound half of one pipeline. Starts tasks only while something is in line; `close` ends them."""

    def __init__(
        self,
        flow: Flow,
        handler: Callable[[Item], Any],
        options: PipelineOptions,
        supervisor: Supervisor,
        limiter: Limiter,
    ) -> None:
        self._flow = flow
        self._handler = handler
        self._supervisor = supervisor
        self._budget = supervisor.budget(flow.dest)
        self._order = options.inbound.order
        self._news = asyncio.Event()
        self._held: dict[Place[Item], asyncio.TimerHandle] = {}
        self._closing = False
        self._reader: asyncio.Task[Any] | None = None
        self._left: Left | None = None
        self.tally = Tally(sizes=options.sizes)
        self._in_hand: Item | None = None
        """Read, and not in line yet: there was no room."""
        self.received = 0
        self.letters = 0
        self.finished = False
        """Whether the peer has said its last, and all of it is in line."""
        self.work: OrderedWork[Item] = OrderedWork(
            self._order,
            self._run,
            parallel=options.inbound.parallel,
            admission=limiter,
            refused=self._refused,
            name="litz pipeline handler",
        )
        self.work.changed = self._changed

    # -- in -----------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Take messages off the line until its end. Reads no further than there is room."""
        flow = self._flow
        book = self.work.book
        if self._closing:
            return
        self._reader = asyncio.current_task()
        try:
            async for data in flow.line:
                item = self._in_hand = Item(flow, data, self.received, payload_size(data))
                self.received += 1
                key = item.key = self._key(item)
                while not book.room(key, item.size):
                    await self._next_change()
                self.work.accept(key, item, item.size)
                self._in_hand = None
        except StreamLostError as error:
            flow.end(PipelineEnd.LOST, error)
        except StreamAbortedError as error:
            flow.end(PipelineEnd.ABORTED_BY_PEER, error)
        except OrderBrokenError:
            pass  # told by what has changed, below
        else:
            self.finished = True
            self._news.set()
            flow.half_closed()
        self._changed()

    def _key(self, item: Item) -> Hashable:
        try:
            key = self._order.key_of(item)
            hash(key)
        except Exception as error:
            raise self.work.book.break_order(f"message {item.number} has no key: {error}", cause=error) from error
        return key

    # -- one message --------------------------------------------------------------------------------------

    async def _run(self, place: Place[Item]) -> None:
        item = place.item
        try:
            outcome = await self._supervisor.once(
                partial(self._attempt, item),
                item.case,
                self.tally,
                self._budget,
                size=item.size,
                label=item,
                peer=self._flow.dest,
            )
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            # A bug in the policy's own `retry`; or the process is to end, which is no failure of the message.
            bug = isinstance(error, Exception)
            item.ended_it = True
            self._flow.end(PipelineEnd.TASK_FAILED if bug else PipelineEnd.CANCELLED, error, type(error).__name__)
            raise
        if type(outcome) is Again:
            self.work.book.hold(place)
            self._held[place] = asyncio.get_running_loop().call_later(outcome.wait, self._again, place)
            return
        if type(outcome) is GivenUp:
            self._give_up(place, outcome)
            return
        item.handled = True
        self.tally.add_handled(item.size)
        if outcome is not None:
            await self._flow.answer(item, outcome)

    def _attempt(self, item: Item, number: int) -> Any:
        return self._handler(item)

    def _again(self, place: Place[Item]) -> None:
        del self._held[place]
        self.work.book.again(place)
        self.work.go()

    async def _refused(self, place: Place[Item], error: AdmissionRefusedError) -> bool:
        """Admission has no room, and its policy is to say so. Whether the message is dealt with."""
        given_up = self._supervisor.refuse(Failure.REFUSED, error, self.tally, place.size)
        return self._remedied(place.item, given_up)

    def _give_up(self, place: Place[Item], given_up: GivenUp) -> None:
        book = self.work.book
        if given_up.remedy is Remedy.PARK_KEY:
            place.item.given_up = given_up
            self.tally.add_remedy(Remedy.PARK_KEY)
            book.park(place.key)
            book.put_back(place)
        elif not self._remedied(place.item, given_up):
            book.hold(place)  # it is not finished, and the stream ends now

    def _remedied(self, item: Item, given_up: GivenUp) -> bool:
        """Apply the remedy. False: the stream ends by it."""
        if given_up.remedy is Remedy.DEAD_LETTER and not self._bury(item, given_up):
            given_up = replace(given_up, remedy=Remedy.CLOSE)
        self.tally.add_remedy(given_up.remedy)
        if given_up.remedy in (Remedy.DROP, Remedy.DEAD_LETTER):
            return True
        item.ended_it = True
        self._flow.failed(given_up)
        return False

    def _bury(self, item: Item, given_up: GivenUp) -> bool:
        flow = self._flow
        letter = letter_of(
            given_up,
            sender=flow.dest,
            service=flow.service,
            number=item.number,
            key=item.key,
            data=item.data,
            size=item.size,
        )
        kept = self._supervisor.letters.add(letter)
        self.letters += kept
        return kept

    # -- parked keys --------------------------------------------------------------------------------------

    def parked(self) -> list[Item]:
        """The message of each parked key that failed, oldest first. None after the end."""
        return [] if self._closing else self._first_of_parked()

    def _first_of_parked(self) -> list[Item]:
        keys = set(self.work.book.parked)
        first: dict[Hashable, Item] = {}
        for place in self.work.book.unfinished() if keys else ():
            if place.key in keys:
                first.setdefault(place.key, place.item)
        return list(first.values())

    def unpark(self, key: Hashable, *, skip: bool) -> None:
        """Let `key` go on: with the message that failed, tried anew, or without it."""
        book = self.work.book
        if self._closing or key not in book.parked:
            raise LookupError(f"no such key is parked: {key!r}")
        place = next((each for each in book.unfinished() if each.key == key), None)
        if place is not None and place.state is not PlaceState.BEGUN:
            if skip:
                book.withdraw(place)
                self.tally.add_remedy(Remedy.DROP)
            else:
                place.item.case = Case()
                place.item.given_up = None
        book.unpark(key)
        self.work.go()

    # -- waiting ------------------------------------------------------------------------------------------

    async def settled(self, mark: int | None = None) -> None:
        """Return when the first `mark` messages are finished (None: all that will come), parked keys excepted."""
        book = self.work.book
        while not (self._idle if mark is not None else self._idle and self.finished):
            if mark is not None and book.processed >= mark:
                return
            await self._next_change()

    @property
    def _idle(self) -> bool:
        """Whether nothing runs and nothing will by itself."""
        book = self.work.book
        return not (book.begun or book.ready or self._held or self._in_hand)

    async def _next_change(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _changed(self) -> None:
        self._news.set()
        broken = self.work.broken
        if broken is not None and not self._closing:
            self._flow.order_broken(broken)

    # -- the end ------------------------------------------------------------------------------------------

    async def close(self) -> Left:
        """Cancel what runs, and wait for its end. What is parked becomes dead letters. Idempotent."""
        if self._left is None:
            self._left = await self._close()
        return self._left

    async def rest(self) -> None:
        """After `close`: return when the peer has said its last, or says something more, which nobody takes."""
        left = await self.close()
        if left.outstanding or self.finished:
            return
        async for _ in self._flow.line:
            self._left = replace(left, outstanding=(self.received,))
            self.received += 1
            return
        self.finished = True
        self._flow.half_closed()

    async def _close(self) -> Left:
        self._closing = True
        if self._reader is not None and not self._reader.done():
            self._reader.cancel()
            await asyncio.wait([self._reader])
        for timer in self._held.values():
            timer.cancel()
        self._held.clear()
        left = [place for place in await self.work.close() if not place.item.handled]
        buried = self._bury_parked(left)
        outstanding = [place for place in left if place not in buried]
        numbers = [place.item.number for place in outstanding]
        if self._in_hand is not None:
            numbers.append(self._in_hand.number)
        return Left(tuple(numbers), sum(_is_interrupted(place.item) for place in outstanding))

    def _bury_parked(self, left: list[Place[Item]]) -> dict[Place[Item], None]:
        parked = {item.key: item.given_up for item in self._first_of_parked() if item.given_up is not None}
        buried: dict[Place[Item], None] = {}
        for place in left:
            why = parked.get(place.key)
            if why is not None and place.state is not PlaceState.BEGUN:
                given_up = place.item.given_up or replace(why, attempts=0)
                if self._bury(place.item, given_up):
                    buried[place] = None
                else:
                    text = "%r was parked at the end, and there is no room for dead letters%s"
                    error = given_up.error or LookupError("no room for dead letters")
                    self._supervisor.tell(text, place.item, peer=self._flow.dest, error=error)
        return buried


def _is_interrupted(item: Item) -> bool:
    """Whether a message that is not finished was cut off: in its handler, or before a further attempt, whatever that
    waited for. Not if its key is parked: it had all its attempts."""
    return bool(item.case.attempts) and not item.ended_it and item.given_up is None
