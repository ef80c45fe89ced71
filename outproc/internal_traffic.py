"""Internal messages of one node: what its parts post to those of other nodes, and who gets what comes.

A message on an internal lane is a topic and its data (docs/protocol.md). Nothing is kept per dest unless something
of it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from string import ascii_lowercase, digits
from typing import TYPE_CHECKING, Final

from litz.dest_watch import DestWatch
from litz.errors import ProtocolError
from litz.message import Buffer
from litz.node_port import MAX_TOPIC, PortSubscriber
from outproc.log_budget import LogBudget
from outproc.session.fixed_lanes import INTERNAL_BULK, INTERNAL_SIGNAL
from outproc.session.internal_lanes import INTERNAL_LIMITS, InternalSendLane, lane_out
from outproc.session.log import Body, Parts
from outproc.session.receive_lane import Delivery

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport

LOG_LIMIT: Final = 64 << 20
"""Bytes of internal messages, over all dests, that wait or are not acknowledged. A lane that holds nothing takes one
message even then, so that nothing waits in a circle."""

JOINED_BELOW: Final = 16 << 10
"""Smaller messages are joined, which costs less than to keep their buffers apart."""

_TOPIC_LETTERS: Final = frozenset(ascii_lowercase + digits + "-.")


def checked_topic(topic: str) -> str:
    """The topic, if it is one. Raises ValueError."""
    if not 1 <= len(topic) <= MAX_TOPIC or not _TOPIC_LETTERS.issuperset(topic):
        raise ValueError(f"a topic is 1 to {MAX_TOPIC} of a-z, 0-9, '-' and '.', not {topic!r}")
    return topic


def split_topic(message: bytes) -> tuple[str, memoryview]:
    """Topic and data of an internal message. Raises `ProtocolError`."""
    view = memoryview(message)
    end = 1 + message[0] if message else 1
    if not 2 <= end <= len(message):
        raise ProtocolError("an internal message without its topic")
    try:
        return checked_topic(str(view[1:end], "ascii")), view[end:]
    except ValueError as error:
        raise ProtocolError("an internal message with a topic that is no word") from error


class InternalTraffic:
    """See the module."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, limit: int = LOG_LIMIT) -> None:
        self._loop = loop
        self.budget = LogBudget(limit)
        self.subscribers: dict[str, PortSubscriber] = {}
        self._refused: dict[DestTransport, dict[tuple[str, int], None]] = {}
        """Topics and lanes for which a post was refused since there was room."""
        self._watching_budget = False
        self.wires = DestWatch()
        """For those who wait for wires of a dest."""
        self.features: dict[str, frozenset[str]] = {}
        """What peers announced, while a session with them stands."""
        self.denied: Mapping[str, frozenset[str]] = {}
        """Topics that a dest may not speak about: as if nobody here wanted them."""
        self.unknown_topics = 0
        """Messages that were dropped because nobody here wants their topic, or not from that dest."""

    def subscribe(self, topic: str, subscriber: PortSubscriber) -> None:
        """Raises ValueError for a topic that is taken."""
        if checked_topic(topic) in self.subscribers:
            raise ValueError(f"the topic {topic!r} is taken")
        self.subscribers[topic] = subscriber

    # -- lane_out --------------------------------------------------------------------------------------

    def post(self, transport: DestTransport, topic: str, buffers: Sequence[Buffer], *, bulk: bool) -> bool:
        """Append to the internal lane of the session that stands. False: there is none, or no room."""
        session = transport.session
        if session.pair is None or session.ended or session.final:
            return False
        number = INTERNAL_BULK if bulk else INTERNAL_SIGNAL
        name = checked_topic(topic).encode()
        size = 1 + len(name) + sum(map(len, buffers))
        if size > INTERNAL_LIMITS[number].max_message:
            raise ValueError(f"an internal message of {size} bytes; the limit is {INTERNAL_LIMITS[number].max_message}")
        lane = lane_out(session.send_lanes, number)
        assert isinstance(lane, InternalSendLane)
        if not self._has_room(lane):
            self._refused.setdefault(transport, {})[topic, number] = None
            return False
        lane.post(_body(bytes((len(name),)) + name, buffers, size))
        self.budget.settle(lane)
        if lane.wire is None:
            transport.bind_lanes()
        transport.outbound.arm()
        return True

    def _has_room(self, lane: InternalSendLane) -> bool:
        if not lane.has_room:
            return False
        if lane.log.count and not self.budget.fits(lane.limits.max_message):
            if not self._watching_budget:
                self._watching_budget = True
                self.budget.on_room(self._budget_has_room)
            return False
        return True

    def _budget_has_room(self) -> None:
        self._watching_budget = False
        # Not from inside an ack of somebody else.
        self._loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        for transport in list(self._refused):
            self.wrote(transport)

    def wrote(self, transport: DestTransport) -> None:
        """Something of `transport` was handed to wires or acknowledged: whoever was refused may post again."""
        refused = self._refused.get(transport)
        if refused is None:
            return
        lanes = transport.session.send_lanes
        roomy = []
        for topic, number in refused:
            lane = lanes.get(number)
            if not isinstance(lane, InternalSendLane) or self._has_room(lane):
                roomy.append((topic, number))
        for which in roomy:
            del refused[which]
        if not refused:
            self._refused.pop(transport, None)
        # Everybody: who posts about a topic is not always the one who hears of it (a relay's nodes and hubs).
        for subscriber in self._everybody() if roomy else ():
            self._tell(subscriber.writable, transport.dest)

    # -- receiving ------------------------------------------------------------------------------------

    def receive(self, dest: str, delivery: Delivery) -> None:
        """Hand over what came. Raises `ProtocolError` for a message that is malformed; those after it are lost."""
        if delivery.correlations is not None or delivery.keys is not None:
            raise ProtocolError("an internal message with a correlation or a key")
        for body in delivery.bodies:
            topic, data = split_topic(body)
            subscriber = self.subscribers.get(topic)
            if subscriber is None or (self.denied and topic in self.denied.get(dest, ())):
                self.unknown_topics += 1
                continue
            try:
                subscriber.received(dest, data)
            except ProtocolError:
                raise
            except Exception as error:
                self._report(error)

    # -- news of sessions -----------------------------------------------------------------------------

    def session_began(self, dest: str, features: frozenset[str]) -> None:
        """A session with `dest`, which announced `features`, has its pair of halves."""
        if features:
            self.features[dest] = features
        for subscriber in self._everybody():
            self._tell(subscriber.session_began, dest)

    def session_ended(self, transport: DestTransport) -> None:
        """The session of the transport is over, and what its internal lanes held."""
        for lane in transport.session.send_lanes.values():
            if isinstance(lane, InternalSendLane):
                self.budget.forget(lane)
        self._refused.pop(transport, None)
        self.features.pop(transport.dest, None)
        for subscriber in self._everybody():
            self._tell(subscriber.session_ended, transport.dest)

    def wires_changed(self, dest: str) -> None:
        """A wire joined or left."""
        self.wires.tell(dest)
        for subscriber in self._everybody():
            self._tell(subscriber.wires_changed, dest)

    def _everybody(self) -> list[PortSubscriber]:
        """Each once, whatever its topics."""
        return list({id(each): each for each in self.subscribers.values()}.values()) if self.subscribers else []

    def _tell(self, listener: Callable[[str], None], dest: str) -> None:
        try:
            listener(dest)
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        # A builder of the user, say: it must not cost the session its wire.
        self._loop.call_exception_handler({"message": "litz: an error in a wire builder", "exception": error})


def _body(head: bytes, buffers: Sequence[Buffer], size: int) -> Body:
    if size < JOINED_BELOW:
        return b"".join((head, *buffers))
    return Parts((head, *(bytes(buffer) if isinstance(buffer, bytearray) else buffer for buffer in buffers)))
