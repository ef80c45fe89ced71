"""One outbox that sends to this inbox, with the queues that its messages wait in."""

from __future__ import annotations

from typing import Any

from litz.errors import NotARequestError
from litz.inbox import InboxQueue
from litz.message import Message
from litz.payload import PayloadType
from outproc.outbox.incoming import Incoming
from outproc.outbox.store import Key


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

    async def reply(self, message: Message, data: Any) -> None:
        """Nobody waits for an answer to a durable message."""
        raise NotARequestError(f"{self.sender} does not wait for an answer to durable message {message.number}")

    async def fail(self, message: Message, error: BaseException) -> None:
        """Nobody waits for an answer."""

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
