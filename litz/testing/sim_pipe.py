"""One direction of a simulated wire: buffer at the sender, frames in flight, delivery at the receiver."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from litz.message import Buffer
from litz.wire import LossReason, WireLoss


@dataclass(slots=True)
class Link:
    """How frames travel from one host to another. May be changed at any time; counts from the next frame on.

    latency, jitter  seconds one way: `latency` plus a random part of `jitter`
    bandwidth        bytes a second; None: unlimited. It makes `buffered_bytes` grow
    system_buffer    bytes the system and the network hold for the sender; what is beyond waits in its wire
    drop, duplicate  probability per frame, on wires that are not reliable
    reorder          probability that a frame is held back, on wires that are not ordered
    """

    latency: float = 0.001
    jitter: float = 0.0
    bandwidth: float | None = None
    system_buffer: int = 64 * 1024
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0


SPIKE = 0.2
"""Seconds."""


class PipeWorld(Protocol):
    """What a pipe needs of the network."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def rng(self) -> random.Random: ...
    @property
    def hits(self) -> Counter[str]: ...
    @property
    def note(self) -> Callable[..., None]: ...


class PipeSender(Protocol):
    """The wire that writes into a pipe."""

    def pipe_drained(self) -> None:
        """What is buffered became less."""

    def pipe_flushed(self) -> None:
        """The end has been handed to the system, after all frames."""


class PipeReceiver(Protocol):
    """The wire that a pipe delivers to."""

    @property
    def takes_frames(self) -> bool: ...

    def pipe_frame(self, frame: bytes) -> None: ...

    def pipe_ended(self, loss: WireLoss) -> None: ...


class Pipe:
    """See the head of this module. `blocked` is asked whenever something could be delivered.

    Nothing is ever delivered from inside a call: always from a timer of its own.
    """

    def __init__(
        self,
        world: PipeWorld,
        link: Link,
        number: int,
        *,
        ordered: bool,
        reliable: bool,
        blocked: Callable[[], bool],
    ) -> None:
        self.link = link
        self.sender: PipeSender
        self.receiver: PipeReceiver
        self.buffered = 0
        self.in_flight = 0
        self.stalled = False
        """Commanded: nothing arrives, without notice, until it is set back and `kick` called."""
        self.own_latency = 0.0
        """Seconds one way that this wire takes longer than its link, by its nature."""
        self.own_bandwidth: float | None = None
        """Bytes a second that this wire takes at most, by its nature."""
        self.own_buffer: int | None = None
        """Bytes that the system and the network hold of this wire, if that is less than the link says."""
        self.own_spikes = 0.0
        """The part of the frames that take `SPIKE` longer, by the nature of this wire."""
        self.broken = False
        """For good: what is written from now on reaches nobody."""
        self.extra_delay = 0.0
        self.tamper: Callable[[bytes], bytes] | None = None
        """What arrives is what this makes of a frame."""
        self._world = world
        self._number = number
        self._ordered = ordered
        self._reliable = reliable
        self._blocked = blocked
        self._queue: deque[tuple[int, Sequence[Buffer] | None]] = deque()
        self._flight: list[tuple[float, float, bytes | WireLoss]] = []
        self._sequence = 0
        self._free_at = 0.0
        self._last_due = 0.0
        self._send_timer: asyncio.TimerHandle | None = None
        self._deliver_timer: asyncio.TimerHandle | None = None

    # -- the sender's end ----------------------------------------------------------------------------

    def push(self, size: int, buffers: Sequence[Buffer]) -> None:
        self._queue.append((size, buffers))
        self.buffered += size
        self._pump()

    def finish(self) -> None:
        """The end, after all that is buffered: the receiver sees a close by its peer."""
        self._queue.append((0, None))
        self._pump()

    def drop_buffered(self) -> None:
        self._queue.clear()
        self.buffered = 0
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _pump(self) -> None:
        """Hand to the system what it takes."""
        before = self.buffered
        queue = self._queue
        while queue:
            size, buffers = queue[0]
            held = self.link.system_buffer if self.own_buffer is None else min(self.own_buffer, self.link.system_buffer)
            if buffers is not None and self.in_flight and self.in_flight + size > held:
                break
            now = self._world.loop.time()
            if self._free_at > now:
                if self._send_timer is None:
                    self._send_timer = self._world.loop.call_at(self._free_at, self._send_due)
                break
            queue.popleft()
            if buffers is None:
                if not self.broken:
                    self._fly(WireLoss(LossReason.REMOTE), self._last_due)
                self.sender.pipe_flushed()
                continue
            self.buffered -= size
            self.in_flight += size
            rate = self._rate
            if rate is not None:
                self._free_at = now + size / rate
            # Joined as late as a real wire might: a buffer that was changed after `write` shows.
            self._transmit(b"".join(buffers), max(now, self._free_at))
        if self.buffered < before:
            self.sender.pipe_drained()

    def _send_due(self) -> None:
        self._send_timer = None
        self._pump()

    # -- the network ---------------------------------------------------------------------------------

    def _transmit(self, frame: bytes, sent_at: float) -> None:
        if self.broken:
            self._world.hits["frame lost on a dead wire"] += 1
            return
        rng, link, hits = self._world.rng, self.link, self._world.hits
        if not self._reliable:
            if self._blocked() or (link.drop and rng.random() < link.drop):
                hits["frame dropped"] += 1
                self.in_flight -= len(frame)
                return
            if link.duplicate and rng.random() < link.duplicate:
                hits["frame doubled"] += 1
                self.in_flight += len(frame)
                self._fly(frame, self._due(sent_at))
        self._fly(frame, self._due(sent_at))

    def _due(self, sent_at: float) -> float:
        rng, link = self._world.rng, self.link
        due = sent_at + link.latency + self.own_latency + self.extra_delay
        if link.jitter:
            due += rng.random() * link.jitter
        if self.own_spikes and rng.random() < self.own_spikes:
            self._world.hits["latency spike"] += 1
            due += SPIKE
        if self._ordered:
            return max(due, self._last_due)
        if link.reorder and rng.random() < link.reorder:
            due += rng.random() * 4 * (link.latency + link.jitter)
        if due < self._last_due:
            self._world.hits["frame reordered"] += 1
        return due

    def _fly(self, item: bytes | WireLoss, due: float) -> None:
        if isinstance(item, WireLoss):
            due = max(due, self._world.loop.time() + self.link.latency + self.extra_delay)
        self._last_due = max(self._last_due, due)
        self._sequence += 1
        heapq.heappush(self._flight, (due, self._sequence, item))
        self._arm()

    def next_in_flight(self) -> bytes:
        """The frame that arrives next, empty if none is on its way."""
        item = self._flight[0][2] if self._flight else b""
        return item if isinstance(item, bytes) else b""

    def arrived_of_next(self) -> int:
        """Bytes of the frame that arrives next which are there already: a slow wire brings it bit by bit."""
        item, rate = self.next_in_flight(), self._rate
        if not item or rate is None or self._blocked():
            return 0
        missing = (self._flight[0][0] - self._world.loop.time()) * rate
        return max(0, len(item) - max(0, int(missing)))

    @property
    def _rate(self) -> float | None:
        """Bytes a second; None: unlimited."""
        return min((rate for rate in (self.link.bandwidth, self.own_bandwidth) if rate is not None), default=None)

    def replace_next(self, frames: Sequence[bytes]) -> None:
        """Something on the way makes `frames` of the frame that arrives next; they arrive together, in this order."""
        old = self.next_in_flight()
        if not old:
            raise ValueError("no frame is on its way")
        due, sequence, _ = heapq.heappop(self._flight)
        for index, frame in enumerate(frames):
            # Before all that was sent after it.
            heapq.heappush(self._flight, (due, sequence + index / (len(frames) + 1), frame))
            self.in_flight += len(frame)
        self.in_flight -= len(old)
        self._pump()
        self._arm()

    def sever(self, loss: WireLoss | None, notice_after: float = 0.0) -> None:
        """Death. A random suffix of what is in flight is lost, and all that is written later.

        With `loss` the receiver is told after what still arrives, `notice_after` seconds from now or later;
        without, it is never told.
        """
        if self.broken:
            return
        self.broken = True
        self._flight.sort()
        keep = self._world.rng.randint(0, len(self._flight))
        self._world.hits["frame lost in flight"] += len(self._flight) - keep
        del self._flight[keep:]  # still sorted, so still a heap
        if loss is not None:
            due = max(self._world.loop.time() + notice_after, self._flight[-1][0] if self._flight else 0.0)
            self._sequence += 1
            self._flight.append((due, self._sequence, loss))
        self._arm()

    def end(self, loss: WireLoss) -> None:
        """A close that loses nothing already handed to the system; all that is written later is lost."""
        if not self.broken:
            self._fly(loss, self._last_due)
            self.broken = True

    # -- the receiver's end --------------------------------------------------------------------------

    def kick(self) -> None:
        """Look again: the receiver started, or a fault was healed."""
        self._arm()

    def discard(self) -> None:
        """The receiver is dead: nothing more will be delivered."""
        self.broken = True
        self._flight.clear()
        if self._deliver_timer is not None:
            self._deliver_timer.cancel()
            self._deliver_timer = None

    def _arm(self) -> None:
        if not self._flight or self._blocked() or not self.receiver.takes_frames:
            return
        due = max(self._flight[0][0], self._world.loop.time())
        if self._deliver_timer is not None:
            if self._deliver_timer.when() <= due:
                return
            self._deliver_timer.cancel()
        self._deliver_timer = self._world.loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        self._deliver_timer = None
        now = self._world.loop.time()
        flight = self._flight
        try:
            while flight and flight[0][0] <= now and self.receiver.takes_frames and not self._blocked():
                item = heapq.heappop(flight)[2]
                if isinstance(item, WireLoss):
                    self._world.note(self._number, item.reason.value)
                    self.receiver.pipe_ended(item)
                    return
                if not self.broken:
                    self.in_flight -= len(item)
                if self.tamper is not None:
                    item = self.tamper(item)
                self._world.note(self._number, len(item), item)
                self.receiver.pipe_frame(item)
        finally:
            self._pump()
            self._arm()
