"""What an outbox has in memory about one dest."""

from __future__ import annotations

import asyncio

from litz.message import Channel
from litz.payload import PayloadType
from outproc.confirmations import Confirmations
from outproc.outbox.outgoing import Outgoing
from outproc.outbox.store import Peer


class OutboxDest:
    """One dest of an outbox.

    backlog   messages in the file that are not confirmed
    counted   attempts by sequence that were found last: what is read next may come before they are committed
    last      no message of it that is committed has a higher sequence
    handed    sequence of the last one that is being committed; 0: none is
    outgoing  while its inbox has accepted us
    opening   OPEN was said and is not answered
    reading   for whom the store is being read
    refused   why it takes none in this session, which was told; "": it has not refused
    pending   messages that were accepted and are not known to be committed
    held      nothing is sent before it is done
    visited   when it was last dialled because it had messages (the loop's time)
    """

    __slots__ = (
        "backlog",
        "channel",
        "confirmations",
        "counted",
        "handed",
        "held",
        "last",
        "name",
        "opening",
        "outgoing",
        "peer",
        "pending",
        "reading",
        "refused",
        "visited",
    )

    def __init__(self, name: str, peer: Peer, backlog: int, last: int) -> None:
        self.name = name
        self.peer = peer
        self.backlog = backlog
        self.last = last
        self.handed = 0
        self.counted: dict[int, int] = {}
        self.channel = Channel(name, 0, int(PayloadType.RPC_DURABLE))
        self.confirmations = Confirmations()
        self.outgoing: Outgoing | None = None
        self.opening = False
        self.reading: Outgoing | None = None
        self.refused = ""
        self.visited = 0.0
        self.pending = 0
        self.held: asyncio.Future[None] | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether all that is committed is confirmed; it may still be in the file."""
        return self.peer.acked >= self.last and not self.handed

    @property
    def waits(self) -> bool:
        """Whether there is something in the file that is not confirmed."""
        return self.backlog > 0 and not self.is_confirmed

    def removed(self, count: int) -> None:
        """So many messages are gone from the file."""
        self.backlog -= count
        if not (self.backlog or self.handed):
            self.confirmations.confirmed("drained", self.last + 1)

    def session_over(self) -> None:
        """Nothing of what was said holds any more."""
        self.outgoing = None
        self.reading = None
        self.opening = False
        self.refused = ""
