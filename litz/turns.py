"""Whose batch is next: the batches, senders and turns of an inbox. No awaits, no callbacks to users."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count, repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any

from litz.message import Detail, Message, Source

if TYPE_CHECKING:
    from litz.inbox_queue import InboxQueue


def payload_size(data: Any) -> int:
    """Bytes of a payload as far as they can be told: of a buffer, a list of buffers, or a string's
    characters. Any other object counts 0: its size is its owner's business."""
    if isinstance(data, (bytes, bytearray, str)):
        return len(data)
    if isinstance(data, memoryview):
        return data.nbytes
    if type(data) is list and data and isinstance(data[0], (bytes, bytearray, memoryview)):
        return sum(map(payload_size, data))
    return 0


class Batch:
    """Some messages of one queue, and how far the one who consumes them has come.

    `items` are messages, or with `first` and `source` the payloads of consecutive ones, made into messages
    only when they are handed out: what waits is then nothing that the garbage collector has to look at.
    `iterator` hands them out and `walker` walks `items` under it, so that what was handed out is known
    without counting. `settled` of them are surely processed; when more were handed out, the last of those is
    in somebody's hands. With `concurrent`, `settled` is kept by who consumes it.
    """

    __slots__ = (
        "concurrent",
        "finished",
        "first",
        "hidden",
        "items",
        "iterator",
        "last_number",
        "queue",
        "settled",
        "size",
        "source",
        "walker",
    )

    def __init__(
        self,
        queue: InboxQueue,
        items: list[Any],
        size: int,
        last_number: int,
        *,
        first: int = 0,
        source: Source | None = None,
    ) -> None:
        self.queue = queue
        self.items = items
        self.first = first
        self.source = source
        self._walk()
        self.size = size
        self.last_number = last_number
        self.settled = 0
        self.hidden = 0  # processed out of order and taken out of `messages`; counted when it finishes
        self.concurrent = False
        self.finished = False

    def _walk(self) -> None:
        self.walker: Iterator[Any] = iter(self.items)
        self.iterator: Iterator[Message] = self.walker
        if self.source is not None:
            rows = zip(self.walker, count(self.first), repeat(self.source), repeat(None))
            self.iterator = map(Message, rows)

    @property
    def left(self) -> int:
        """How many were not handed out."""
        return length_hint(self.walker)

    @property
    def handed(self) -> int:
        return len(self.items) - length_hint(self.walker)

    def number_at(self, index: int) -> int:
        """The number of one of the messages."""
        if self.source is not None:
            return self.first + index
        number: int = self.items[index].number
        return number

    def size_of(self, index: int) -> int:
        """Bytes of the messages from `index` on."""
        items = self.items[index:]
        return sum(map(payload_size, items if self.source is not None else [item.data for item in items]))

    def continues(self, first: int, source: Source | None) -> bool:
        """Whether payloads from number `first` on (or, without a source, messages) can simply be added."""
        return self.source is source and (source is None or self.first + len(self.items) == first)

    def rest(self, index: int) -> Batch:
        """A new batch of what is from `index` on, with all the bytes; this one keeps what is before."""
        rest = Batch(
            self.queue,
            self.items[index:],
            self.size,
            self.last_number,
            first=self.first + index,
            source=self.source,
        )
        if index:
            self.last_number = self.number_at(index - 1)
        del self.items[index:]
        self.size = 0
        return rest

    def spell_out(self, handed: int) -> None:
        """Hold messages instead of payloads, so that single ones can be changed or taken out. `handed` of them
        count as handed out. Whoever had the iterator must take the new one."""
        if self.source is not None:
            rows = zip(self.items, count(self.first), repeat(self.source), repeat(None))
            self.items = list(map(Message, rows))
            self.source = None
        self._walk()
        for _ in range(handed):
            next(self.walker)

    @property
    def progress(self) -> int:
        """How many are processed, all before them included."""
        handed = len(self.items) - length_hint(self.walker)
        return self.settled if self.concurrent or handed == self.settled else handed - 1

    def settle(self) -> None:
        """Nothing of it is in anybody's hands."""
        if not self.concurrent:
            self.settled = self.handed


def again(message: Message) -> Message:
    """The same message, marked as redelivered."""
    detail = message.detail
    marked = Detail(redelivered=True) if detail is None else detail._replace(redelivered=True)
    return Message((message.data, message.number, message.source, marked))


class Lane:
    """The batches of one lane of one sender, oldest first, without those that are being consumed."""

    __slots__ = ("batches", "sender", "signal")

    def __init__(self, sender: Sender, *, signal: bool) -> None:
        self.sender = sender
        self.signal = signal
        self.batches: list[Batch] = []  # few: small ones are joined. An empty deque takes ten times as much

    def add(self, batch: Batch) -> None:
        self.batches.append(batch)
        if not self.signal and len(self.batches) == 1:
            self.sender.bulk.append(self)
        self.sender.offer()


class Sender:
    """All lanes of one sender. At most one consumer holds it at a time, which keeps it serial."""

    __slots__ = (
        "bulk",
        "cancelled",
        "currents",
        "held",
        "in_bulk",
        "in_signals",
        "lanes",
        "left",
        "name",
        "on_work",
        "queues",
        "running",
        "signals",
        "turns",
    )

    def __init__(self, name: str, turns: Turns) -> None:
        self.name = name
        self.turns = turns
        self.signals = Lane(self, signal=True)
        self.lanes: dict[int, Lane] = {}
        self.bulk: list[Lane] = []  # lanes with batches, in turn
        self.currents: list[Batch] = []  # what its holder consumes now
        self.held = False
        self.in_signals = False
        self.in_bulk = False
        self.on_work: Callable[[], None] | None = None
        self.queues: dict[InboxQueue, None] = {}  # those of living sessions
        self.left: dict[InboxQueue, None] = {}  # those of ended ones that hold messages
        self.running: dict[int, Any] = {}  # requests whose handler runs, by id
        self.cancelled: dict[int, None] = {}  # requests to skip, oldest first

    @property
    def idle(self) -> bool:
        return not (self.queues or self.signals.batches or self.bulk or self.currents or self.held)

    def offer(self, *, first: bool = False) -> None:
        """Queue for a turn if there is work and nobody holds it."""
        if self.held:
            if self.on_work is not None:
                self.on_work()
            return
        turns = self.turns
        if self.signals.batches and not self.in_signals:
            self.in_signals = True
            turns.signals.append(self)
        if self.bulk and not self.in_bulk:
            self.in_bulk = True
            if first:
                turns.bulk.appendleft(self)
            else:
                turns.bulk.append(self)
        turns.notify()

    def take(self) -> Batch | None:
        """The next batch: signals first, then its lanes in turn."""
        if self.signals.batches:
            batch = self.signals.batches.pop(0)
        elif self.bulk:
            lane = self.bulk.pop(0)
            batch = lane.batches.pop(0)
            if lane.batches:
                self.bulk.append(lane)
        else:
            return None
        self.currents.append(batch)
        return batch

    def give_back(self, batch: Batch) -> None:
        """`batch` is not being consumed any more and comes first in its lane."""
        lane = batch.queue.lane
        lane.batches.insert(0, batch)
        if not lane.signal:
            if lane in self.bulk:
                self.bulk.remove(lane)
            self.bulk.insert(0, lane)

    def release(self, *, first: bool = False) -> None:
        """Its holder lets go."""
        self.held = False
        self.on_work = None
        self.offer(first=first)

    def move(self, turns: Turns) -> None:
        """It is served from `turns` from now on."""
        if self.in_signals:
            self.turns.signals.remove(self)
        if self.in_bulk:
            self.turns.bulk.remove(self)
        self.in_signals = self.in_bulk = False
        self.turns = turns
        self.offer()


class Turns:
    """The senders that one consumer serves: those with signals first, the others in turn."""

    __slots__ = ("bulk", "on_work", "signals", "stream", "waiter")

    def __init__(self) -> None:
        self.signals: deque[Sender] = deque()
        self.bulk: deque[Sender] = deque()
        self.on_work: Callable[[], None] | None = None
        self.waiter: asyncio.Future[None] | None = None
        # Weak, so that leaving a bare `async for` frees the stream, and with it the slot, at once.
        self.stream: weakref.ref[Any] | None = None

    def take(self) -> Batch | None:
        """The next batch; its sender is then held until `release`."""
        while True:
            if self.signals:
                sender = self.signals.popleft()
                sender.in_signals = False
            elif self.bulk:
                sender = self.bulk.popleft()
                sender.in_bulk = False
            else:
                return None
            if not sender.held and (batch := sender.take()) is not None:
                sender.held = True
                return batch

    def notify(self) -> None:
        """There may be work, or the inbox closed."""
        if self.waiter is not None:
            if not self.waiter.done():
                self.waiter.set_result(None)
        elif self.on_work is not None:
            self.on_work()
