"""The outboxes that send to this inbox: how far each is, and the queues that its messages wait in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from litz.errors import NotARequestError
from litz.inbox import InboxQueue
from litz.message import Detail, Message, Origin
from litz.payload import PayloadType
from outproc.outbox.incoming import Incoming, Taken
from outproc.outbox.options import InboxOptions
from outproc.outbox.store import Key, Position

MAX_PER_SENDER: Final = 256
"""Files of one sender: each restored or renewed one is another. It may not use up what others have."""


class Producer:
    """One outbox that sends here: what its messages share (`litz.message.Source`), and how far they are."""

    def __init__(self, key: Key, incoming: Incoming) -> None:
        self.key = key
        self.sender = key[0]
        self.payload_type = PayloadType.RPC_DURABLE
        self.verified = False
        self.incoming = incoming
        self.queues: list[InboxQueue] = []
        """Of each session one, oldest first; the last one is still put into while its session stands."""
        self.watched = False
        self.owes_ack = False

    def origin(self, number: int) -> Origin:
        """The outbox file and the message's sequence: the same over restarts of the sender."""
        return Origin(self.key[1].hex(), 0, int(PayloadType.RPC_DURABLE), number)

    async def reply(self, message: Message, data: Any) -> None:
        """Nobody waits for an answer to a durable message."""
        raise NotARequestError(f"{self.sender} does not wait for an answer to durable message {message.number}")

    async def fail(self, message: Message, error: BaseException) -> None:
        """Nobody waits for an answer."""

    def put(self, rows: Sequence[Taken]) -> None:
        """Put what was taken into the handler queue."""
        messages = [
            Message((row.body, row.sequence, self, Detail(row.key or None, row.redelivered)))
            if row.key or row.redelivered
            else Message((row.body, row.sequence, self, None))
            for row in rows
        ]
        self.queues[-1].put(messages, sum(len(row.body) for row in rows))

    def progress(self) -> None:
        """Take over how far the consumer is."""
        while self.queues and not self.queues[0].pending:
            self.incoming.processed(max(0, self.queues[0].last_processed_number))
            if len(self.queues) == 1:
                self.incoming.processed(None)
                return
            self.queues.pop(0)
        if self.queues:
            self.incoming.processed(max(0, self.queues[0].last_processed_number))
        else:
            self.incoming.processed(None)


class Producers:
    """Every producer that is known: from the file, or heard since."""

    def __init__(self, options: InboxOptions, found: Mapping[Key, tuple[Position, Sequence[int]]]) -> None:
        self._options = options
        self._positions = dict(found)
        """Of those that were not heard since the start."""
        self._heard: dict[Key, Producer] = {}

    def __iter__(self) -> Iterator[Producer]:
        """Those that were heard."""
        return iter(self._heard.values())

    def get(self, key: Key) -> Producer | None:
        """One that was heard."""
        return self._heard.get(key)

    def find(self, key: Key, max_message: int) -> Producer | None:
        """The producer with this key, now heard; None: it is new, and there is no room for one more."""
        producer = self._heard.get(key)
        if producer is None:
            if key not in self._positions and not self._has_room(key[0]):
                return None
            position, applied = self._positions.pop(key, (None, ()))
            options = self._options
            producer = self._heard[key] = Producer(
                key,
                Incoming(
                    position,
                    applied,
                    messages=options.window_messages,
                    size=options.window_bytes,
                    max_message=max_message,
                ),
            )
        return producer

    def _has_room(self, sender: str) -> bool:
        known = [name for name, _ in (*self._positions, *self._heard)]
        return len(known) < self._options.max_producers and known.count(sender) < MAX_PER_SENDER

    def silent(self, producer: Producer) -> None:
        """Its session is over. If nothing ever came of it, it is not worth remembering."""
        if producer.incoming.unheard:
            self._heard.pop(producer.key, None)
