"""The inbox: the handler queue of one manager. Messages come in batches and go out one by one."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Final

from litz.errors import ConsumerConflictError
from litz.inbox_queue import InboxQueue
from litz.limiter import Limiter
from litz.manager import Handler
from litz.message_stream import InboxStream
from litz.order import Order, at_once
from litz.payload import PayloadType
from litz.serving import Service
from litz.turns import Batch, Lane, Sender, Turns, again

__all__ = ["Inbox", "InboxQueue"]

CANCELS_KEPT: Final = 1024
"""Cancellations per sender that came before their request."""


class Inbox:
    """The handler queue of one manager.

    Signals overtake bulk, senders take turns by batches, lanes of a sender too; a lane is FIFO, also over
    successive sessions. It refuses nothing: the credit of the sessions bounds it, `pending_bytes` tells.
    All methods belong to the manager's loop.
    """

    def __init__(self) -> None:
        self._senders: dict[str, Sender] = {}
        self._general = Turns()
        self._claims: dict[str, Turns] = {}
        self._service: Service | None = None
        self.squeezed = False
        """A consumer has more work than it wants: peers are to be granted little, whatever room there is."""
        self._pending_bytes = 0
        self._closed = False

    def queue(self, sender: str, payload_type: PayloadType) -> InboxQueue:
        """A new queue for one lane of one session with `sender`. Its batches come after those that earlier
        sessions of that lane left. Close it when the session ends."""
        owner = self._senders.get(sender)
        if owner is None:
            owner = self._senders[sender] = Sender(sender, self._claims.get(sender, self._general))
        if payload_type is PayloadType.RPC_SIGNAL:
            lane = owner.signals
        elif (found := owner.lanes.get(payload_type)) is not None:
            lane = found
        else:
            lane = owner.lanes[payload_type] = Lane(owner, signal=False)
        queue = InboxQueue(self, lane)
        owner.queues[queue] = None
        if self._closed:
            queue.close()
        return queue

    @property
    def pending_bytes(self) -> int:
        """Bytes of all batches not finished. O(1)."""
        return self._pending_bytes

    def left_by(self, sender: str) -> tuple[int, int]:
        """Of ended sessions with `sender`: how many lanes still hold messages that nobody has processed, and how many
        bytes. Their credit is over, so it bounds them no more."""
        owner = self._senders.get(sender)
        left = owner.left if owner is not None else ()
        return len(left), sum(queue.pending_bytes for queue in left)

    @property
    def busy(self) -> bool:
        """Whether a consumer has not yet processed all that living sessions brought. Costs what there are senders."""
        return any(
            queue.pending
            for owner in self._senders.values()
            if self._service is not None or owner.turns.stream is not None
            for queue in owner.queues
        )

    @property
    def closed(self) -> bool:
        return self._closed

    def messages(self, *, sender: str | None = None) -> InboxStream:
        """The stream of `TransportManager.messages`. Raises `ConsumerConflictError`."""
        if self._service is not None:
            raise ConsumerConflictError("serve() runs on this manager; stop it before asking for messages()")
        if sender is None:
            return self._stream(self._general, None)
        if sender in self._claims:
            raise ConsumerConflictError(f"somebody reads the messages of {sender} already; close that stream")
        turns = self._claims[sender] = Turns()
        owner = self._senders.get(sender)
        if owner is not None:
            self._move(owner, turns)
        return self._stream(turns, sender)

    def _stream(self, turns: Turns, sender: str | None) -> InboxStream:
        if turns.stream is not None:
            raise ConsumerConflictError("somebody reads messages() already; close that stream first")
        stream = InboxStream(self, turns, partial(self._left, turns, sender))
        turns.stream = weakref.ref(stream)
        return stream

    def _left(self, turns: Turns, sender: str | None) -> None:
        turns.stream = None
        if sender is not None:
            del self._claims[sender]
            owner = self._senders.get(sender)
            if owner is not None:
                owner.move(self._general)
                self.forget_idle(owner)

    def _move(self, owner: Sender, turns: Turns) -> None:
        """Serve `owner` from `turns`. What the general stream has in hand stays its own, the rest moves."""
        for batch in owner.currents:
            rest = batch.queue.split(batch, batch.handed)
            if rest is not None:
                owner.give_back(rest)
        owner.currents.clear()
        owner.held = False
        owner.move(turns)

    async def serve(
        self,
        handler: Handler,
        *,
        concurrency: int | None = None,
        order: Order | None = None,
        admission: Limiter | None = None,
        workers: int = 256,
    ) -> None:
        """`TransportManager.serve`: at most `workers` senders are served at once. Returns when the inbox is
        closed. Requests are answered through `message.source.reply` and `message.source.fail`."""
        if not callable(handler):
            raise TypeError(f"serve takes a function of one message, not a {type(handler).__name__}")
        if workers < 1 or (concurrency is not None and concurrency < 1):
            raise ValueError("concurrency and workers are at least 1")
        width = at_once(concurrency, order, admission)
        if self._service is not None:
            raise ConsumerConflictError("serve() runs on this manager already")
        if self._claims or self._general.stream is not None:
            raise ConsumerConflictError("somebody reads messages() of this manager; close that stream first")
        if self._closed:
            return
        self._service = Service(
            self, self._general, handler, concurrency=width, workers=workers, order=order, admission=admission
        )
        try:
            await self._service.run()
        finally:
            self._service.ended.set()
            self._service = None

    def squeeze(self, squeezed: bool) -> None:
        """Set `squeezed`. It is looked at when the next credit is given; each lane then has one message left, so taking
        it back needs no news of its own."""
        self.squeezed = squeezed

    def cancel_request(self, sender: str, request_id: int) -> None:
        """The peer gave up its request: cancels the handler that runs for it, or keeps `serve` from starting
        it. Unknown and finished ones are fine."""
        owner = self._senders.get(sender)
        if owner is None:
            return
        running = owner.running.get(request_id)
        if running is not None:
            running.cancel()
            return
        owner.cancelled[request_id] = None
        if len(owner.cancelled) > CANCELS_KEPT:
            del owner.cancelled[next(iter(owner.cancelled))]

    def drop(self, sender: str) -> None:
        """Throw away what `sender` has in the inbox, the message in hand excepted. Its queues are closed."""
        owner = self._senders.get(sender)
        if owner is None:
            return
        lanes = [owner.signals, *owner.lanes.values()]
        queues = dict(owner.queues)
        queues.update((batch.queue, None) for lane in lanes for batch in lane.batches)
        for batch in owner.currents:
            queues[batch.queue] = None
            batch.queue.split(batch, batch.handed)
        for lane in lanes:
            lane.batches.clear()
        owner.bulk.clear()
        for queue in queues:
            queue.discard()
        self.forget_idle(owner)

    def close(self) -> None:
        """The manager closes: every stream ends, `serve` cancels its handlers and returns. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._service is not None:
            self._service.stop()
        for turns in (self._general, *self._claims.values()):
            self.park(turns)
            turns.notify()

    async def wait_served(self) -> None:
        """After `close`: returns when no handler of `serve` runs any more. Give it a deadline."""
        if self._service is not None:
            await self._service.ended.wait()

    def __repr__(self) -> str:
        return f"<inbox: {len(self._senders)} senders, {self._pending_bytes} bytes>"

    # -- for queues and consumers ------------------------------------------------------------------------

    def add_bytes(self, size: int) -> None:
        self._pending_bytes += size

    def park(self, turns: Turns) -> None:
        """Make the stream of `turns`, if there is one, look around at its next step."""
        stream: InboxStream | None = turns.stream() if turns.stream is not None else None
        if stream is not None:
            stream.park()

    def let_go(self, batch: Batch) -> bool:
        """`batch` is no longer being consumed. False: its sender has moved away from this consumer."""
        owner = batch.queue.lane.sender
        if batch not in owner.currents:
            return False
        owner.currents.remove(batch)
        return True

    def finish(self, batch: Batch) -> None:
        """All of `batch` is processed and nobody has it."""
        if not batch.finished:
            batch.queue.finish(batch)
        self.forget_idle(batch.queue.lane.sender)

    def put_back(self, batch: Batch, index: int, *, seen: bool = True) -> None:
        """Its consumer leaves. Messages from `index` on were not processed: they come first for the next one,
        and those that had been handed out are marked, if anybody has `seen` them."""
        owner = batch.queue.lane.sender
        handed = batch.handed
        batch.settled = index
        rest = None if batch.finished else batch.queue.split(batch, index)
        held = self.let_go(batch)
        if rest is not None:
            if seen and handed > index:
                rest.spell_out(0)
            for position in range(handed - index if seen else 0):
                rest.items[position] = again(rest.items[position])
            owner.give_back(rest)
        if held:
            owner.release(first=True)
        elif rest is not None:
            owner.offer(first=True)
        self.finish(batch)

    def retire(self, owner: Sender) -> None:
        """Whoever served this sender ends, and has put back what it had: others may go on with it."""
        if owner.held:
            owner.release(first=True)
        self.forget_idle(owner)

    def forget_idle(self, owner: Sender) -> None:
        """Forget a sender without sessions and messages."""
        if owner.idle and self._senders.get(owner.name) is owner:
            del self._senders[owner.name]
