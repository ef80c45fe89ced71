"""Two sides of one stream in memory, with a log, a window and a wire that can be held: the port without a manager."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from litz.errors import StreamRefusedError
from litz.stream_port import MAX_ENTRY, Accept, Kept, Later, Offer, Refusal, Refused, StreamSide, StreamUser


class Rest(Kept):
    """Of one side: counted there."""

    __slots__ = ("_side", "_size")

    def __init__(self, side: MemorySide, size: int) -> None:
        self._side = side
        self._size = size
        side.rest += size

    def took(self, size: int) -> None:
        assert size <= self._size
        self._size -= size
        self._side.rest -= size

    def __del__(self) -> None:
        self._side.rest -= self._size


class MemorySide(StreamSide):
    """One end. `log` bytes may wait unconfirmed, `window` bytes may be unread at the other end."""

    def __init__(self, dest: str, log: int, window: int) -> None:
        self._dest = dest
        self._loop = asyncio.get_running_loop()
        self.peer: MemorySide
        self.answered: asyncio.Future[Refused | None] = self._loop.create_future()
        self.user: StreamUser | None = None
        self.log = log
        self.credit = window
        self.held = False
        self.rest = 0
        """What its user keeps of it although it is over."""
        self.taken: list[tuple[int, int]] = []
        self.largest = 0
        self.most = MAX_ENTRY
        self.attached = True
        self.aborts: list[int] = []
        self.ended = self.released = self.finishing = False
        self._waiting: deque[tuple[Any, int]] = deque()
        self._unconfirmed = self._logged = 0
        self._refused_write = self._wants_confirmed = self._fin_sent = False
        self._fin_confirmed = self.peer_finished = False
        self._early: list[Callable[[StreamUser], None]] = []

    @property
    def dest(self) -> str:
        return self._dest

    @property
    def number(self) -> int:
        return 16

    @property
    def link_up(self) -> bool:
        return not self.held

    @property
    def unconfirmed(self) -> int:
        return self._unconfirmed

    @property
    def buffered(self) -> int:
        return sum(size for _, size in self._waiting)

    @property
    def max_entry(self) -> int:
        return self.most

    def use(self, user: StreamUser) -> None:
        assert self.user is None
        self.user = user
        self._loop.call_soon(self._catch_up)

    def answer(self, refused: Refused | None) -> None:
        if not self.answered.done():
            self.answered.set_result(refused)

    def attach(self, attached: bool) -> None:
        self.attached = attached

    def write(self, entry: Any, size: int) -> bool:
        if self.ended or self.finishing:
            raise RuntimeError("written after the end")
        assert 0 < size == len(entry) <= self.most
        self.largest = max(self.largest, size)
        if self._logged and self._logged + size > self.log:
            self._refused_write = True
            return False
        self._logged += size
        self._unconfirmed += 1
        self._waiting.append((entry, size))
        self.pump()
        return True

    def finish(self) -> None:
        if not self.ended:
            self.finishing = True
            self.pump()

    def abort(self, code: int, reason: str) -> None:
        if not self.ended:
            self.ended = True
            self.aborts.append(code)
            self._waiting.clear()
            self._loop.call_soon(self.peer.reset, code, reason)

    def consumed(self, entries: int, size: int) -> None:
        assert not self.released
        self.taken.append((entries, size))
        self._loop.call_soon(self.peer.grant, size)

    def want_confirmed(self) -> None:
        self._wants_confirmed = True
        self._loop.call_soon(self._tell_confirmed)

    def pause(self) -> None:
        raise NotImplementedError

    def resume(self) -> None:
        raise NotImplementedError

    def keep(self, size: int) -> Kept:
        assert not self.released
        assert not self.rest
        return Rest(self, size)

    def release(self) -> None:
        if not (self.peer_finished and self._fin_confirmed):
            self.abort(1, "")
        self.ended = self.released = True

    # -- the wire ------------------------------------------------------------------------------------

    def pump(self) -> None:
        if self.held or self.ended:
            return
        batch = []
        while self._waiting and self._waiting[0][1] <= self.credit:
            entry, size = self._waiting.popleft()
            self.credit -= size
            batch.append((entry, size))
        if batch:
            self._loop.call_soon(self.peer.arrive, batch)
        if self.finishing and not self._waiting and not self._fin_sent:
            self._fin_sent = True
            self._loop.call_soon(self.peer.arrive_end)

    def hold(self) -> None:
        self.held = self.peer.held = True

    def flow(self) -> None:
        self.held = self.peer.held = False
        self.pump()
        self.peer.pump()

    def lose(self, error: BaseException) -> None:
        """The session is over at this end."""
        self.ended = True
        self.tell(lambda user: user.lost(error))

    def grant(self, size: int) -> None:
        self.credit += size
        self.pump()

    def arrive(self, batch: list[tuple[Any, int]]) -> None:
        entries = [entry for entry, _ in batch]
        size = sum(size for _, size in batch)
        if not self.ended:
            self.tell(lambda user: user.received(entries, size))
        self._loop.call_soon(self.peer.arrived, len(batch), size)

    def arrive_end(self) -> None:
        self.peer_finished = True
        if not self.ended:
            self.tell(lambda user: user.finished())
        self._loop.call_soon(self.peer.end_arrived)

    def reset(self, code: int, reason: str) -> None:
        if not self.ended and not (self.peer_finished and self._fin_confirmed):
            self.ended = True
            self.tell(lambda user: user.aborted(code, reason))

    def arrived(self, count: int, size: int) -> None:
        self._unconfirmed -= count
        self._logged -= size
        if self._refused_write and not self.ended:
            self._refused_write = False
            self.tell(lambda user: user.writable())
        self._tell_confirmed()

    def end_arrived(self) -> None:
        self._fin_confirmed = True
        self._tell_confirmed()

    def _tell_confirmed(self) -> None:
        done = not self._unconfirmed and self._fin_confirmed >= self.finishing
        if self._wants_confirmed and done and not self.ended:
            self._wants_confirmed = False
            self.tell(lambda user: user.confirmed())

    def tell(self, what: Callable[[StreamUser], None]) -> None:
        if self.user is None or self._early:
            self._early.append(what)  # behind what came before it
        elif not self.released:
            what(self.user)

    def _catch_up(self) -> None:
        early, self._early = self._early, []
        for what in early:
            self.tell(what)


def side_pair(*, log: int = 256 * 1024, window: int = 64 * 1024) -> tuple[MemorySide, MemorySide]:
    """The ends of one stream between "alice" and "bob"."""
    a, b = MemorySide("bob", log, window), MemorySide("alice", log, window)
    a.peer, b.peer = b, a
    return a, b


class MemoryCarrier:
    """A `StreamCarrier` that opens streams to itself."""

    def __init__(self) -> None:
        self.services: dict[str, Accept] = {}
        self.sides: list[MemorySide] = []
        self.when_asked: Callable[[], object] = int

    async def open(self, dest: str, service: str, metadata: bytes, *, pipe: bool, timeout: float | None) -> StreamSide:
        mine, other = side_pair()
        await asyncio.sleep(0)
        accept = self.services.get(service)
        answer: Refused | Later | None = Refused(Refusal.REFUSED)
        if accept is not None:
            answer = accept(Offer("me", service, metadata, True, pipe), other)
            self.when_asked()
        if answer is Later.LATER:
            answer = await other.answered
        await asyncio.sleep(0)
        if isinstance(answer, Refused):
            raise StreamRefusedError(answer.reason, why=answer.why, retry_after=answer.retry_after)
        assert answer is None
        self.sides += [mine, other]
        return mine

    def listen(self, service: str, accept: Accept) -> Callable[[], None]:
        assert service not in self.services
        self.services[service] = accept
        return lambda: self.services.pop(service, None) and None
