"""What a node of a hub sends again after its peer's process was gone without a word (`on_restart`).

In process nothing is of unknown outcome: what waited on its way to another thread was never taken, so it goes to the
next manager of that id as if it had been sent to it, in order, and unmarked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inproc.lane import Level, OutLane
from litz.events import EndReason, LaneReceived, Outcome, ResentReceipt
from litz.message import Channel, Message
from litz.payload import PayloadType
from litz.restarts import resends

if TYPE_CHECKING:
    from inproc.transport import InprocTransport


def _asks(message: Message) -> bool:
    return message.detail is not None and message.detail.request_id is not None


@dataclass(slots=True)
class Kept:
    """What one ended session leaves to the next: messages of each lane, and who waits for them (how many of them, up to
    which level)."""

    messages: dict[PayloadType, list[tuple[Message, int]]] = field(default_factory=dict)
    waiting: dict[PayloadType, list[tuple[int, Level, asyncio.Future[None]]]] = field(default_factory=dict)

    def receipts(self, ended: InprocTransport, session: int) -> tuple[ResentReceipt, ...]:
        """The old receipts, with those that they get in the next `session`."""
        return tuple(
            ResentReceipt(
                (ended.out[payload_type].channel, message.number),
                Outcome.NEVER_ACCEPTED,
                (Channel(ended.dest, session, int(payload_type)), number),
            )
            for payload_type, messages in self.messages.items()
            for number, (message, _) in enumerate(messages)
        )

    def give(self, following: InprocTransport) -> None:
        """To the next session's transport, to which nothing else was given yet."""
        for payload_type, messages in self.messages.items():
            lane = following.out[payload_type]
            for message, size in messages:
                lane.accept(message.data, message.detail, size)
            lane.acks += self.waiting.get(payload_type, [])
            lane.news()


def keep(ended: InprocTransport, reason: EndReason) -> Kept:
    """Take out of the lanes of an ended transport what the next session is to send. All that is left there is lost."""
    kept = Kept()
    node = ended.node
    if node.closed or node.leaving is not None or not resends(node.options.on_restart, ended.dest, reason):
        return kept  # who leaves begins nothing any more
    for payload_type, lane in ended.out.items():
        messages = [item for item in lane.backlog if not _asks(item[0])]
        if lane.lossy or not messages:
            continue
        kept.messages[payload_type] = messages
        lost = [item for item in lane.backlog if _asks(item[0])]
        kept.waiting[payload_type] = _waiting(lane, messages, lost)
        lane.backlog.clear()
        lane.backlog.extend(lost)
    return kept


def _waiting(
    lane: OutLane, messages: list[tuple[Message, int]], lost: list[tuple[Message, int]]
) -> list[tuple[int, Level, asyncio.Future[None]]]:
    """Take out of `lane` those who wait for messages that are kept, and for none that is lost."""
    first_lost = min((message.number for message, _ in lost), default=lane.next)
    moved, left = [], []
    for ack in lane.acks:
        target, level, future = ack
        if lane.received < target <= first_lost:
            moved.append((sum(message.number < target for message, _ in messages), level, future))
        else:
            left.append(ack)
    lane.acks = left
    return moved


def received(ended: InprocTransport) -> tuple[LaneReceived, ...]:
    """What the session brought, lane by lane."""
    return tuple(
        LaneReceived(int(payload_type), queue.received)
        for payload_type, queue in ended.queues.items()
        if payload_type.reliable and queue.received
    )
