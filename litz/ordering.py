"""In which order accepted messages may run: one after the other, or per key with keys in parallel.

Pure: no loop, no clock, no calls to users. `OrderBook` decides, `litz.ordered_work` acts.

The law
    Of one key at most one message has the *turn*, in the order in which they were accepted. First a message gets its
    key's turn, then capacity: one that waits for its turn holds none, and one that holds capacity never waits for a
    turn. So no circle of waits can close.
    A message that was accepted is run, or withdrawn by who accepted it, or discarded by name (`discard`). Where none of
    these is possible the order is broken: that is final, and typed (`OrderBrokenError`).
    Messages are finished in any order; `processed` counts those that are finished with all that came before them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum, auto
from typing import Generic, TypeVar

from litz.errors import BackpressureError, OrderBrokenError
from litz.low_water import LowWater
from litz.order import Order, PerKey

T = TypeVar("T")


class PlaceState(Enum):
    """How far a message in line has come."""

    WAITING = auto()
    """Others of its key are before it, or its key is parked."""
    READY = auto()
    """It is its turn; it waits for capacity."""
    BEGUN = auto()
    """`next` gave it out: it runs."""
    HELD = auto()
    """It is to run again later. It keeps its key's turn and holds no capacity."""
    FINISHED = auto()
    """It is over: run, withdrawn or discarded."""


class Place(Generic[T]):
    """One message in line. Its fields are for reading; the book changes them."""

    __slots__ = ("item", "key", "number", "size", "state", "urgent")

    def __init__(self, key: Hashable, item: T, size: int, number: int, *, urgent: bool) -> None:
        self.key = key
        self.item = item
        self.size = size
        self.number = number
        """Its place among all that this book accepted, from 0."""
        self.urgent = urgent
        self.state = PlaceState.WAITING

    def __repr__(self) -> str:
        return f"<place {self.number} of key {self.key!r}: {self.state.name.lower()}>"


class _Held:
    """What is accepted and not finished, of one key or of all."""

    __slots__ = ("messages", "size")

    def __init__(self) -> None:
        self.messages = 0
        self.size = 0

    def room(self, size: int, messages: int, limit: int) -> bool:
        return not self.messages or (self.messages < messages and self.size + size <= limit)


class _Line(Generic[T]):
    """The messages of one key. `turn` is the one that is ready, has begun or is held."""

    __slots__ = ("held", "key", "parked", "turn", "urgent", "waiting")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.held = (_Held(), _Held())
        self.parked = False
        self.turn: Place[T] | None = None
        self.urgent: OrderedDict[Place[T], None] = OrderedDict()
        self.waiting: OrderedDict[Place[T], None] = OrderedDict()

    def queue(self, place: Place[T]) -> OrderedDict[Place[T], None]:
        return self.urgent if place.urgent else self.waiting

    def put_first(self, place: Place[T]) -> None:
        place.state = PlaceState.WAITING
        queue = self.queue(place)
        queue[place] = None
        queue.move_to_end(place, last=False)


class OrderBook(Generic[T]):
    """Who is in line, whose turn it is, and how far all of it is done.

    Each verb is O(1) amortised but `discard` and `unfinished`, which cost what they return. After every verb the caller
    gives out what is ready: `next` until None, as far as it has capacity. A verb that does not fit the state of its
    place raises RuntimeError: the caller has lost its way.

    *Urgent* messages go before the others of their key that have not begun; among themselves they keep their order.
    They have bounds of their own, as large as those of the others, so that they come in where the others wait.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self._lines: dict[Hashable, _Line[T]] = {}
        self._ready: tuple[OrderedDict[Place[T], None], ...] = (OrderedDict(), OrderedDict())
        self._held = (_Held(), _Held())
        self._open: OrderedDict[Place[T], None] = OrderedDict()
        self._progress = LowWater()
        self._accepted = 0
        self._parked = 0
        self.begun = 0
        """How many have begun and are neither finished nor given back."""
        self.broken: OrderBrokenError | None = None
        """Why the order is broken. Once set it stays, and `accept` and `next` raise it."""

    # -- sight --------------------------------------------------------------------------------------------

    @property
    def messages(self) -> int:
        """How many are accepted and not finished."""
        return len(self._open)

    @property
    def size(self) -> int:
        """Their bytes."""
        return self._held[0].size + self._held[1].size

    @property
    def keys(self) -> int:
        """Keys that have messages which are not finished, or are parked."""
        return len(self._lines)

    @property
    def ready(self) -> int:
        """How many wait for capacity only."""
        return len(self._ready[0]) + len(self._ready[1])

    @property
    def processed(self) -> int:
        """How many are finished with all that were accepted before them: what may be acknowledged."""
        return self._progress.mark + 1

    @property
    def parked(self) -> list[Hashable]:
        """The keys that are parked. Costs what there are keys."""
        return [line.key for line in self._lines.values() if line.parked]

    def unfinished(self) -> list[Place[T]]:
        """All that are accepted and not finished, in the order of acceptance."""
        return list(self._open)

    # -- in -----------------------------------------------------------------------------------------------

    def room(self, key: Hashable, size: int = 0, *, urgent: bool = False) -> bool:
        """False: there is no room now, and what is in line will make some. True: `accept` it, or learn from `accept`
        that the order is broken."""
        return not self._over(key, size, urgent) or bool(self._hopeless(key, size, urgent))

    def _over(self, key: Hashable, size: int, urgent: bool) -> str:
        """Which bound it would exceed; "" for none."""
        order = self.order
        if not self._held[urgent].room(size, order.messages, order.size):
            return f"{order.messages} messages or {order.size} bytes wait"
        if isinstance(order, PerKey):
            line = self._lines.get(key)
            if line is None:
                return f"{order.keys} keys wait" if len(self._lines) >= order.keys else ""
            if not line.held[urgent].room(size, order.key_messages, order.key_size):
                return f"{order.key_messages} messages or {order.key_size} bytes of key {key!r} wait"
        return ""

    def _hopeless(self, key: Hashable, size: int, urgent: bool) -> str:
        """Why nobody makes room for what is over a bound; "" if somebody will."""
        order = self.order
        if order.full == "break":
            return "the order may not wait"
        line = self._lines.get(key)
        if line is not None and line.parked:
            limits = (order.key_messages, order.key_size) if isinstance(order, PerKey) else (order.messages, order.size)
            if not line.held[urgent].room(size, *limits):
                return "the key is parked"
        if self._parked and self._parked == len(self._lines) and not self.begun:
            return "all keys that wait are parked"
        return ""

    def accept(self, key: Hashable, item: T, size: int = 0, *, urgent: bool = False) -> Place[T]:
        """Take `item` of `size` bytes into the line of `key`. From now on it runs in its turn, or the order is broken.

        Raises `BackpressureError` if there is no room now (ask `room` first; nothing is changed). Raises
        `OrderBrokenError` if there is none and nobody will make any: the policy is to break, or what is in the way is
        parked.
        """
        if self.broken is not None:
            raise self.broken
        if over := self._over(key, size, urgent):
            if why := self._hopeless(key, size, urgent):
                raise self.break_order(f"{over}, and {why}", key=key)
            raise BackpressureError(f"{over}; wait until some are finished, or allow more in the order")
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(key)
        place = Place(key, item, size, self._accepted, urgent=urgent)
        self._accepted += 1
        self._progress.begun(place.number)
        self._open[place] = None
        for held in (self._held[urgent], line.held[urgent]):
            held.messages += 1
            held.size += size
        line.queue(place)[place] = None
        self._look(line)
        return place

    # -- turns --------------------------------------------------------------------------------------------

    def next(self) -> Place[T] | None:
        """The next message that may run; it has begun with that. Urgent ones first, then in the order in which they
        became ready. None: nobody is ready. The caller has capacity for it, and ends with `finish`, `hold`, `put_back`
        or `lost`."""
        if self.broken is not None:
            raise self.broken
        for ready in reversed(self._ready):
            if ready:
                place, _ = ready.popitem(last=False)
                place.state = PlaceState.BEGUN
                self.begun += 1
                return place
        return None

    def finish(self, place: Place[T]) -> None:
        """It has run to its end, whatever that was: the next of its key has the turn."""
        line = self._end_run(place)
        line.turn = None
        self._finished(line, place)

    def hold(self, place: Place[T]) -> None:
        """It is to run again later, and nothing of its key runs before. It holds no capacity until `again`."""
        line = self._end_run(place)
        place.state = PlaceState.HELD
        line.turn = place

    def again(self, place: Place[T]) -> None:
        """It may run again: it was held."""
        self._expect(place, PlaceState.HELD)
        line = self._lines[place.key]
        line.turn = None
        line.put_first(place)
        self._look(line)

    def put_back(self, place: Place[T]) -> None:
        """It did not run to its end and is first of its key again: at once, or when the key is parked no more."""
        line = self._end_run(place)
        line.turn = None
        line.put_first(place)
        self._look(line)

    def withdraw(self, place: Place[T]) -> None:
        """Who had it accepted wants it no more, and it has not begun."""
        self._expect(place, PlaceState.WAITING, PlaceState.READY, PlaceState.HELD)
        line = self._lines[place.key]
        self._unlink(line, place)
        self._finished(line, place)

    def lost(self, place: Place[T], why: str, *, cause: BaseException | None = None) -> OrderBrokenError:
        """It has begun, and nobody knows how far it came: the order is broken. Returns the error."""
        self._expect(place, PlaceState.BEGUN)
        return self.break_order(f"message {place.number}: {why}", key=place.key, cause=cause)

    # -- keys ---------------------------------------------------------------------------------------------

    def park(self, key: Hashable) -> None:
        """Nothing of `key` begins until `unpark`; what runs goes on. Its messages are kept, up to the bounds of
        one key; others go on. A key that has none may be parked too. Idempotent."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(key)
        if line.parked:
            return
        line.parked = True
        self._parked += 1
        place = line.turn
        if place is not None and place.state is PlaceState.READY:
            self._demote(line, place)

    def unpark(self, key: Hashable) -> None:
        """`key` goes on where it was. A no-op for one that is not parked."""
        line = self._lines.get(key)
        if line is not None and line.parked:
            line.parked = False
            self._parked -= 1
            self._look(line)

    def discard(self, key: Hashable) -> list[Place[T]]:
        """Give up all of `key` that has not begun: they count as finished. Returns them in order, for who keeps dead
        letters. The key stays parked if it was."""
        line = self._lines.get(key)
        if line is None:
            return []
        given_up = [*line.urgent, *line.waiting]
        if line.turn is not None and line.turn.state is not PlaceState.BEGUN:
            given_up.append(line.turn)
        given_up.sort(key=lambda place: place.number)
        for place in given_up:
            self._unlink(line, place)
        for place in given_up:
            self._finished(line, place)
        return given_up

    # -- the end ------------------------------------------------------------------------------------------

    def break_order(self, why: str, *, key: Hashable = None, cause: BaseException | None = None) -> OrderBrokenError:
        """From now on nothing is accepted and nothing begins. Idempotent: the first reason stays. Returns the error."""
        if self.broken is None:
            self.broken = OrderBrokenError(f"the order is broken: {why}", key=key)
            self.broken.__cause__ = cause
        return self.broken

    # -- inside -------------------------------------------------------------------------------------------

    def _expect(self, place: Place[T], *states: PlaceState) -> None:
        if place.state not in states or place not in self._open:
            raise RuntimeError(f"{place!r} is not {' or '.join(state.name.lower() for state in states)}")

    def _end_run(self, place: Place[T]) -> _Line[T]:
        self._expect(place, PlaceState.BEGUN)
        self.begun -= 1
        return self._lines[place.key]

    def _unlink(self, line: _Line[T], place: Place[T]) -> None:
        if place is line.turn:
            line.turn = None
            self._ready[place.urgent].pop(place, None)
        else:
            del line.queue(place)[place]

    def _demote(self, line: _Line[T], place: Place[T]) -> None:
        """It is ready, and has to wait after all."""
        del self._ready[place.urgent][place]
        line.turn = None
        line.put_first(place)

    def _look(self, line: _Line[T]) -> None:
        """Give the turn to the first of the key, if nobody has it, and forget a key that is over."""
        place = line.turn
        if place is not None and place.state is PlaceState.READY and not place.urgent and line.urgent:
            self._demote(line, place)
        if line.turn is None and not line.parked:
            queue = line.urgent or line.waiting
            if queue:
                place, _ = queue.popitem(last=False)
                place.state = PlaceState.READY
                line.turn = place
                self._ready[place.urgent][place] = None
            else:
                del self._lines[line.key]

    def _finished(self, line: _Line[T], place: Place[T]) -> None:
        place.state = PlaceState.FINISHED
        del self._open[place]
        for held in (self._held[place.urgent], line.held[place.urgent]):
            held.messages -= 1
            held.size -= place.size
        self._progress.done(place.number)
        if self._lines.get(line.key) is line:
            self._look(line)
