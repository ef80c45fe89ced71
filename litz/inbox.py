"""The inbox: the handler queue of one manager. Messages come in batches and go out one by one."""

from __future__ import annotations

from collections.abc import Callable

from litz.manager import Handler
from litz.message import Message
from litz.message_stream import InboxStream
from litz.payload import PayloadType


class InboxQueue:
    """What one session of one sender puts on one lane, and how far the consumer has come with it.

    Made by `Inbox.queue`, one per session and lane. Counts start at 0 with the queue. All methods belong to
    the manager's loop; none awaits.
    """

    on_drained: Callable[[], None] | None
    """Called each time a batch of this queue is finished. Cheap, must not raise, may call `put`."""

    def put(self, messages: list[Message], size: int) -> None:
        """Add a batch: made `Message` tuples of this lane, numbers ascending, `size` bytes in all.

        The list belongs to the inbox afterwards (it may grow). Nothing is refused: the caller has given credit
        for it. After `close` of queue or inbox, or `drop`, the batch is thrown away."""
        raise NotImplementedError

    @property
    def processed(self) -> int:
        """Messages processed, cumulative: all before that one are processed too."""
        raise NotImplementedError

    @property
    def processed_bytes(self) -> int:
        """Bytes of the batches that are finished; a batch half done counts as not done."""
        raise NotImplementedError

    @property
    def last_processed_number(self) -> int:
        """`number` of the last message counted by `processed`, -1 before the first."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """Messages put and not processed (the one in the consumer's hands included)."""
        raise NotImplementedError

    @property
    def pending_bytes(self) -> int:
        """Bytes put minus `processed_bytes`."""
        raise NotImplementedError

    def watch(self, callback: Callable[[], None]) -> None:
        """Call `callback()` once, as soon as `processed` has grown after this call. Never called from within
        `watch`; not called when the inbox closes or the sender is dropped. Must be cheap and not raise; it
        may call `watch` again."""
        raise NotImplementedError

    def drop_oldest(self) -> bool:
        """Throw away the oldest message that was not handed out yet (latency-first lanes). False: there is
        none. It counts neither as pending nor as processed afterwards."""
        raise NotImplementedError

    def close(self) -> None:
        """The session ended: no more puts. What is in the queue is consumed all the same (it was confirmed as
        received). Idempotent."""
        raise NotImplementedError


class Inbox:
    """The handler queue of one manager.

    Signals overtake bulk, senders take turns by batches, lanes of a sender too; a lane is FIFO, also over
    successive sessions. It refuses nothing: the credit of the sessions bounds it, `pending_bytes` tells.
    All methods belong to the manager's loop.
    """

    def __init__(self) -> None:
        raise NotImplementedError

    def queue(self, sender: str, payload_type: PayloadType) -> InboxQueue:
        """A new queue for one lane of one session with `sender`. Its batches come after those that earlier
        sessions of that lane left. Close it when the session ends."""
        raise NotImplementedError

    @property
    def pending_bytes(self) -> int:
        """Bytes of all batches not finished. O(1)."""
        raise NotImplementedError

    def messages(self, *, sender: str | None = None) -> InboxStream:
        """The stream of `TransportManager.messages`. Raises `ConsumerConflictError`."""
        raise NotImplementedError

    async def serve(self, handler: Handler, *, concurrency: int | None = None, workers: int = 256) -> None:
        """`TransportManager.serve`: at most `workers` senders are served at once. Returns when the inbox is
        closed. Requests are answered through `message.source.reply` and `message.source.fail`."""
        raise NotImplementedError

    def cancel_request(self, sender: str, request_id: int) -> None:
        """The peer gave up its request: cancels the handler that runs for it, or keeps `serve` from starting
        it. Unknown and finished ones are fine."""
        raise NotImplementedError

    def drop(self, sender: str) -> None:
        """Throw away what `sender` has in the inbox, the message in hand excepted. Its queues are closed."""
        raise NotImplementedError

    def close(self) -> None:
        """The manager closes: every stream ends, `serve` cancels its handlers and returns. Idempotent."""
        raise NotImplementedError

    async def wait_served(self) -> None:
        """After `close`: returns when no handler of `serve` runs any more. Give it a deadline."""
        raise NotImplementedError
