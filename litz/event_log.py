"""The event log of one manager: every reader follows it at its own pace, in bounded memory."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable, Iterable

from litz.errors import ManagerStateError
from litz.events import Event, EventGap
from litz.history import UNTOLD, History
from litz.manager import EventStream


class EventLog:
    """Hands events to readers.

    `state()` gives the events that state what is now (`Connecting`, `SessionStarted`, `WireUp`, ...); a new
    reader gets them first. `history` keeps the latest of them in words. All methods belong to the manager's loop.
    """

    __slots__ = ("_closed", "_readers", "_state", "history")

    def __init__(self, state: Callable[[], Iterable[Event]], history: History | None = None) -> None:
        self._state = state
        self.history = History() if history is None else history
        # Weak: a reader that is dropped without `close` must not collect events for ever.
        self._readers: list[weakref.ref[EventReader]] = []
        self._closed = False

    def emit(self, event: Event) -> None:
        """Take `event` down in the history, and hand it to every reader."""
        if not self._readers and type(event) in UNTOLD:
            return  # those come by the thousand
        at = self.history.note(event)
        for reference in tuple(self._readers):
            reader = reference()
            if reader is not None:
                reader._push(event, at)

    def follow(self, *, limit: int = 1024) -> EventReader:
        """A new reader: first the current state, then what happens. `limit` events wait for it at most."""
        if limit < 1:
            raise ValueError("an event reader keeps at least one event")
        reader = EventReader(self, deque(self._state()), self.history.now(), limit)
        if self._closed:
            reader._end()
        else:
            self._readers.append(weakref.ref(reader, self._forget))
        return reader

    def close(self) -> None:
        """The manager closed. Every reader ends after what it has not read yet. Idempotent."""
        self._closed = True
        readers, self._readers = self._readers, []
        for reference in readers:
            reader = reference()
            if reader is not None:
                reader._end()

    def _forget(self, reference: weakref.ref[EventReader]) -> None:
        if reference in self._readers:
            self._readers.remove(reference)


class EventReader(EventStream):
    """One reader. Numbers are its own: they ascend by one from 0, the gap event included.

    current  how many of the first events state what was there when it began
    at       when the event that was handed out last happened, in seconds since the Unix epoch; of a gap: its end
    """

    def __init__(self, log: EventLog, state: deque[Event], at: float, limit: int) -> None:
        self._log = log
        self._state = state
        self.current = len(state)
        self.at = at
        self._events: deque[tuple[Event, float]] = deque()
        self._limit = limit
        self._missed = 0
        self._missed_until = at
        self._next = 0
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    async def __anext__(self) -> tuple[int, Event]:
        while True:
            event = self._take()
            if event is not None:
                self._next += 1
                return self._next - 1, event
            if self._ended:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise ManagerStateError("two tasks read one event stream; give each its own")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def close(self) -> None:
        self._log._forget(weakref.ref(self))
        self._state.clear()
        self._events.clear()
        self._missed = 0
        self._end()

    def _take(self) -> Event | None:
        if self._state:
            return self._state.popleft()
        if self._missed:
            missed, self._missed = self._missed, 0
            self.at = self._missed_until
            return EventGap("", missed)
        if not self._events:
            return None
        event, self.at = self._events.popleft()
        return event

    def _push(self, event: Event, at: float) -> None:
        if len(self._events) >= self._limit:
            _, self._missed_until = self._events.popleft()
            self._missed += 1
        self._events.append((event, at))
        self._wake()

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
