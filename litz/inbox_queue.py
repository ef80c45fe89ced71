"""One lane of one session in an inbox: what was put on it, and how far the consumer has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from litz.message import Message, Source
from litz.turns import Batch, Lane, payload_size

if TYPE_CHECKING:
    from litz.inbox import Inbox

# Small batches are joined while they wait: a batch costs the consumer ten times what a message costs.
JOIN_MESSAGES: Final = 256
JOIN_BYTES: Final = 64 * 1024


class InboxQueue:
    """What one session of one sender puts on one lane, and how far the consumer has come with it.

    Made by `Inbox.queue`, one per session and lane. Counts start at 0 with the queue. All methods belong to
    the manager's loop; none awaits.
    """

    __slots__ = (
        "_closed",
        "_done",
        "_done_bytes",
        "_inbox",
        "_last_number",
        "_open",
        "_put",
        "_put_bytes",
        "_watchers",
        "lane",
        "on_drained",
    )

    def __init__(self, inbox: Inbox, lane: Lane) -> None:
        self._inbox = inbox
        self.lane = lane
        self.on_drained: Callable[[], None] | None = None
        """Called each time a batch of this queue is finished. Cheap, must not raise, may call `put`."""
        # Not finished, in the order put. They may finish in another order; counts are cumulative.
        self._open: list[Batch] = []
        self._put = 0
        self._put_bytes = 0
        self._done = 0
        self._done_bytes = 0
        self._last_number = -1
        self._watchers: list[tuple[int, Callable[[], None]]] = []
        self._closed = False

    def put(self, messages: list[Message], size: int) -> None:
        """Add a batch: made `Message` tuples of this lane, numbers ascending, `size` bytes in all.

        The list belongs to the inbox afterwards (it may grow). Nothing is refused: the caller has given
        credit for it. After `close` of queue or inbox, or `drop`, the batch is thrown away."""
        if messages:
            self._put_items(messages, size, messages[-1].number, 0, None)

    def put_payloads(self, payloads: list[Any], first: int, source: Source, size: int) -> None:
        """`put` for the payloads of consecutive messages from number `first` on, without any detail. They are made
        into messages one by one, when they are handed out."""
        if payloads:
            self._put_items(payloads, size, first + len(payloads) - 1, first, source)

    def _put_items(self, items: list[Any], size: int, last_number: int, first: int, source: Source | None) -> None:
        if self._closed:
            return
        self._put += len(items)
        self._put_bytes += size
        self._inbox.add_bytes(size)
        if self._open:
            last = self._open[-1]
            if (
                len(last.items) < JOIN_MESSAGES
                and last.size + size <= JOIN_BYTES
                and not last.finished
                and not last.hidden
                # Who consumes several batches at once looks no more at one that it has handed out to the end, and what
                # comes now is not for the one from whom the sender has moved away.
                and (last.left or (not last.concurrent and last in self.lane.sender.currents))
                and last.continues(first, source)
            ):
                last.items += items
                last.size += size
                last.last_number = last_number
                if last.concurrent:
                    self.lane.sender.offer()
                return
        batch = Batch(self, items, size, last_number, first=first, source=source)
        self._open.append(batch)
        self.lane.add(batch)
        if self.lane.signal:
            self._inbox.park(self.lane.sender.turns)

    @property
    def received(self) -> int:
        """Messages put, without those dropped since."""
        return self._put

    @property
    def processed(self) -> int:
        """Messages processed, cumulative: all before that one are processed too."""
        return self._done + self._open[0].progress if self._open else self._done

    @property
    def processed_bytes(self) -> int:
        """Bytes of the batches that are finished; a batch half done counts as not done."""
        return self._done_bytes

    @property
    def last_processed_number(self) -> int:
        """`number` of the last message counted by `processed`, -1 before the first."""
        if self._open and (progress := self._open[0].progress):
            return self._open[0].number_at(progress - 1)
        return self._last_number

    @property
    def pending(self) -> int:
        """Messages put and not processed (the one in the consumer's hands included)."""
        return self._put - self.processed

    @property
    def pending_bytes(self) -> int:
        """Bytes put minus `processed_bytes`."""
        return self._put_bytes - self._done_bytes

    def watch(self, callback: Callable[[], None]) -> None:
        """Call `callback()` once, as soon as `processed` has grown after this call. Never called from within
        `watch`; not called when the inbox closes or the sender is dropped. Must be cheap and not raise; it
        may call `watch` again."""
        self._watchers.append((self.processed, callback))
        self._inbox.park(self.lane.sender.turns)

    def drop_oldest(self) -> bool:
        """Throw away the oldest message that was not handed out yet (latency-first lanes). False: there is none. It
        counts neither as pending nor as processed afterwards."""
        for opened in self._open:
            batch: Batch | None = opened
            if opened.left and (opened.concurrent or opened in self.lane.sender.currents):
                # Who consumes it walks it: what was not handed out gets a batch of its own.
                batch = self._cut_behind_consumer(opened)
            if batch is not None and batch.left:
                index = batch.handed
                if batch.source is not None:
                    batch.spell_out(index)
                size = min(batch.size, payload_size(batch.items[index].data))
                del batch.items[index]
                batch.size -= size
                self._put -= 1
                self._put_bytes -= size
                self._inbox.add_bytes(-size)
                if not batch.items:
                    self._forget_empty(batch)
                return True
        return False

    def _cut_behind_consumer(self, batch: Batch) -> Batch | None:
        """Take what was not handed out of a batch that is being consumed, and put it back in its lane; None: there is
        nothing. The bytes of what is processed are done, what is in hand keeps its own."""
        # Who consumes several at once finishes a batch with its last message: so there must be one to come.
        index = batch.handed + (batch.concurrent and batch.settled == batch.handed)
        rest = self.split(batch, index)
        if rest is None:
            return None
        batch.size = min(rest.size, batch.size_of(batch.progress))
        done = rest.size - batch.size
        rest.size = min(done, rest.size_of(0))
        done -= rest.size
        self._done_bytes += done
        self._inbox.add_bytes(-done)
        sender = self.lane.sender
        sender.give_back(rest)
        sender.offer()
        return rest

    def _forget_empty(self, batch: Batch) -> None:
        """All of `batch` was dropped. Where others wait nobody need look at it any more: empty ones would pile up for
        as long as nobody consumes. What of it was processed out of order counts with all that is before it."""
        waiting, opened = self.lane.batches, self._open
        if len(waiting) > 1 and batch in waiting:
            waiting.remove(batch)
            position = opened.index(batch)
            if not position:
                self.finish(batch)  # and with it those behind it that are finished already
                return
            del opened[position]
            batch.finished = True
            self._put_bytes -= batch.size
            self._inbox.add_bytes(-batch.size)
            if batch.hidden:
                opened[position - 1].hidden += batch.hidden
                opened[position - 1].last_number = batch.last_number

    def close(self) -> None:
        """The session ended: no more puts. What is in the queue is consumed all the same (it was confirmed as
        received). Idempotent."""
        if not self._closed:
            self._closed = True
            self.lane.sender.queues.pop(self, None)
            if self._open:
                self.lane.sender.left[self] = None
            self._inbox.forget_idle(self.lane.sender)

    # -- for the consumers -----------------------------------------------------------------------------

    @property
    def watched(self) -> bool:
        return bool(self._watchers)

    def split(self, batch: Batch, index: int) -> Batch | None:
        """Cut `batch` before `index`; returns the rest, which no consumer has. All bytes go with the rest."""
        if index >= len(batch.items):
            return None
        rest = batch.rest(index)
        rest.hidden, batch.hidden = batch.hidden, 0
        self._open.insert(self._open.index(batch) + 1, rest)
        return rest

    def finish(self, batch: Batch) -> None:
        """All of `batch` is processed."""
        batch.finished = True
        opened = self._open
        while opened and opened[0].finished:
            first = opened.pop(0)
            self._done += len(first.items) + first.hidden
            self._done_bytes += first.size
            self._inbox.add_bytes(-first.size)
            if first.items or first.hidden:
                self._last_number = first.last_number
        if self._closed and not opened:
            self.lane.sender.left.pop(self, None)
        self.tell()
        if self.on_drained is not None:
            self.on_drained()

    def tell(self) -> None:
        """Call the watchers that waited for less than what is processed by now."""
        if not self._watchers:
            return
        processed = self.processed
        due = [callback for seen, callback in self._watchers if seen < processed]
        if due:
            self._watchers = [watcher for watcher in self._watchers if watcher[0] >= processed]
            for callback in due:
                callback()

    def discard(self) -> None:
        """Forget all that is open and take no more."""
        for batch in self._open:
            batch.finished = True
            self._inbox.add_bytes(-batch.size)
        self._put = self._done
        self._put_bytes = self._done_bytes
        self._open.clear()
        self._watchers.clear()
        self.on_drained = None
        self.close()
