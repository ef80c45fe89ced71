"""The circuits of a hub: who is connected to whom, what waits for whom, and how much everybody may send. Pure.

The driver calls a method for what it hears, then for each peer in `take_due` posts what `next_signal` and `next_bulk`
give, telling `posted` for each, until there is nothing or the peer's lane is full (then again when it is not).

A circuit is two legs, one towards each node. Credit goes from hop to hop: the hub grants a node one window above what
it has passed on, so what waits here is bounded per circuit, and a slow pair stops nobody else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from litz.errors import ProtocolError
from litz.message import Buffer
from outproc.wires.relay.messages import (
    BY_HUB,
    FRAME_COST,
    OVERHEAD,
    Accept,
    Close,
    CloseCode,
    Data,
    Message,
    Open,
    Refuse,
    RefuseCode,
    Window,
    encode_accept,
    encode_close,
    encode_data,
    encode_open,
    encode_refuse,
    encode_window,
)
from outproc.wires.relay.rotation import PairRotation

FIRST_WINDOW: Final = 2 * FRAME_COST
"""What a node may send on a new circuit. Most are idle; one that uses up what it has gets more, to the limit."""

MAX_REFUSALS: Final = 64
"""Refusals that wait for one peer. Whoever asks faster than it listens hears nothing."""


@dataclass(frozen=True, slots=True)
class SwitchLimits:
    """Counts are of circuits, sizes in bytes."""

    max_circuits: int
    max_circuits_per_peer: int
    max_circuits_per_pair: int
    window: int
    max_buffered: int


class Leg:
    """One side of a circuit, as the hub sees it: what goes to `peer`, and what it may send."""

    __slots__ = (
        "accepted", "circuit", "credit", "far", "granted", "head", "other", "passed", "peer", "queue", "queued",
        "sent", "tail", "taken", "window",
    )  # fmt: skip

    def __init__(self, peer: str, circuit: int, far: str) -> None:
        self.peer = peer
        self.circuit = circuit
        self.far = far
        """The node at the other end."""
        self.other: Leg | None = None
        """None: the other one is over, and this one only ends."""
        self.accepted = False
        self.head: bytes | None = None
        """What goes before all data: OPEN or ACCEPT."""
        self.queue: deque[memoryview] = deque()
        self.queued = 0
        self.tail: bytes | None = None
        """What goes last: CLOSE or REFUSE."""
        self.credit = self.sent = 0
        self.granted = self.window = FIRST_WINDOW
        self.taken = self.passed = 0

    def cost(self) -> int | None:
        """Of the message that is next; None: nothing can be sent."""
        if self.head is not None:
            return OVERHEAD
        if self.queue:
            price = len(self.queue[0]) + OVERHEAD
            return price if self.sent + price <= self.credit else None
        return OVERHEAD if self.tail is not None else None

    def __repr__(self) -> str:
        return f"<leg {self.circuit} to {self.peer}, {self.queued} bytes wait>"


class _Peer:
    """What the hub keeps of one node, while it has anything for it."""

    __slots__ = ("heard", "legs", "made", "refusals", "rotation", "windows")

    def __init__(self) -> None:
        self.legs: dict[int, Leg] = {}
        self.rotation: PairRotation[Leg] = PairRotation()
        self.windows: dict[Leg, None] = {}
        self.refusals: deque[bytes] = deque()
        self.heard = -1
        """The highest circuit that it has opened: numbers are never used twice in a session."""
        self.made = BY_HUB - 1
        """The highest circuit that was opened towards it."""


class Switch:
    """See the module."""

    def __init__(self, limits: SwitchLimits) -> None:
        self.limits = limits
        self.circuits = 0
        self.buffered = 0
        """Bytes that wait, over all circuits."""
        self.unused = 0
        """Bytes that were granted and have not come."""
        self._peers: dict[str, _Peer] = {}
        self._due: dict[str, None] = {}

    # -- what nodes say -------------------------------------------------------------------------------

    def open(self, sender: str, message: Open, refusal: tuple[RefuseCode, str] | None) -> None:
        """`sender` wants a circuit; `refusal` if the driver does not want it. Raises `ProtocolError`."""
        caller = self._peers.setdefault(sender, _Peer())
        if not caller.heard < message.circuit < BY_HUB:
            raise ProtocolError(f"{sender} opened circuit {message.circuit} after {caller.heard}")
        caller.heard = message.circuit
        refusal = refusal or self._no_room(sender, message.name)
        if refusal is not None:
            if len(caller.refusals) < MAX_REFUSALS:
                caller.refusals.append(encode_refuse(message.circuit, *refusal))
                self._due[sender] = None
            return
        callee = self._peers.setdefault(message.name, _Peer())
        callee.made += 1
        near, far = Leg(sender, message.circuit, message.name), Leg(message.name, callee.made, sender)
        near.other, far.other = far, near
        near.credit = message.credit
        self.unused += near.granted + far.granted
        far.head = encode_open(far.circuit, far.granted, sender)
        caller.legs[near.circuit], callee.legs[far.circuit] = near, far
        self.circuits += 1
        self._ready(far)

    def _no_room(self, sender: str, dest: str) -> tuple[RefuseCode, str] | None:
        if self.circuits >= self.limits.max_circuits:
            return RefuseCode.BUSY, "the hub has as many circuits as it may"
        for name, other in ((sender, dest), (dest, sender)):
            legs = self._legs_of(name)
            if len(legs) >= self.limits.max_circuits_per_peer:
                return RefuseCode.BUSY, f"{name} has as many circuits as it may"
            # Or one caller could use up what all others may have to `dest`.
            if sum(leg.far == other for leg in legs) >= self.limits.max_circuits_per_pair:
                return RefuseCode.BUSY, "these two have as many circuits as they may"
        return None

    def receive(self, sender: str, message: Message) -> None:
        """Anything but OPEN. What is about a circuit that is over is ignored. Raises `ProtocolError`."""
        peer = self._peers.get(sender)
        leg = peer.legs.get(message.circuit) if peer is not None else None
        if leg is None or leg.other is None:
            return
        match message:
            case Data():
                self._data(leg, leg.other, message.frame)
            case Window():
                leg.credit = max(leg.credit, message.credit)
                self._ready(leg)
            case Accept():
                self._accept(leg, leg.other, message.credit)
            case Close():
                if message.code is CloseCode.ABORTED:
                    self._drop_queue(leg.other)
                self._end(leg, message.code, message.text)
            case Refuse():
                if leg.accepted or leg.circuit < BY_HUB:
                    raise ProtocolError(f"{sender} refused a circuit that it had opened")
                leg.other.tail = encode_refuse(leg.other.circuit, message.code, message.text)
                self._end(leg, CloseCode.DONE, "")
            case Open():
                raise ProtocolError("an OPEN is not said about a circuit that is there")

    def _accept(self, leg: Leg, other: Leg, credit: int) -> None:
        if leg.accepted or leg.circuit < BY_HUB:
            raise ProtocolError(f"{leg.peer} accepted a circuit that was not offered")
        leg.accepted = other.accepted = True
        leg.credit = credit
        other.head = encode_accept(other.circuit, other.granted)
        self._ready(other)
        self._ready(leg)

    def _data(self, leg: Leg, other: Leg, frame: memoryview) -> None:
        price = len(frame) + OVERHEAD
        if not leg.accepted or leg.taken + price > leg.granted:
            raise ProtocolError(f"{leg.peer} sent more on a circuit than it was granted")
        leg.taken += price
        self.unused -= price
        other.queue.append(frame)
        other.queued += price
        self.buffered += price
        self._ready(other)

    # -- ends -----------------------------------------------------------------------------------------

    def session_ended(self, peer: str) -> None:
        """The session with `peer` is over, and with it all it knew. The other ends are told."""
        for leg in self._legs_of(peer):
            if leg.other is not None:
                self._end(leg, CloseCode.FAR_ENDED, f"the session of {peer} with the hub ended")
        for leg in self._legs_of(peer):
            self._drop_queue(leg)
            self._forget(leg)
        self._peers.pop(peer, None)
        self._due.pop(peer, None)

    def cut(self, peer: str, code: CloseCode, text: str) -> None:
        """End all circuits of `peer`, which is told as well."""
        for leg in self._legs_of(peer):
            if leg.other is not None:
                leg.tail = encode_close(leg.circuit, code, text)
                other = leg.other
                self._drop_queue(leg)
                self._end(leg, code, text)
                self._drop_queue(other)

    def _legs_of(self, name: str) -> list[Leg]:
        peer = self._peers.get(name)
        return list(peer.legs.values()) if peer is not None else []

    def _end(self, leg: Leg, code: CloseCode, text: str) -> None:
        """`leg` is over: what waits for the other one still goes out, and then the end."""
        other = leg.other
        assert other is not None
        self.circuits -= 1
        leg.other = other.other = None
        self.unused -= leg.granted - leg.taken + other.granted - other.taken
        if other.tail is None:
            other.tail = encode_close(other.circuit, code, text)
        self._ready(other)
        if leg.tail is None:
            self._drop_queue(leg)
            self._forget(leg)
        else:
            self._ready(leg)

    def _drop_queue(self, leg: Leg) -> None:
        self.buffered -= leg.queued
        leg.queue.clear()
        leg.queued = 0

    def _forget(self, leg: Leg) -> None:
        peer = self._peers[leg.peer]
        peer.legs.pop(leg.circuit, None)
        peer.rotation.discard(leg.far, leg)
        peer.windows.pop(leg, None)

    # -- what nodes are told --------------------------------------------------------------------------

    def _ready(self, leg: Leg) -> None:
        if leg.cost() is not None:
            self._peers[leg.peer].rotation.add(leg.far, leg)
            self._due[leg.peer] = None

    def take_due(self) -> list[str]:
        """The peers for which there is something new to post, each once."""
        due, self._due = list(self._due), {}
        return due

    def next_signal(self, name: str) -> bytes | None:
        """The next message for the internal signal lane of a peer. Then `signal_posted`."""
        peer = self._peers.get(name)
        if peer is None:
            return None
        leg = next(iter(peer.windows), None)
        return encode_window(leg.circuit, leg.granted) if leg is not None else None

    def signal_posted(self, name: str) -> None:
        """What `next_signal` gave is on its way."""
        windows = self._peers[name].windows
        del windows[next(iter(windows))]

    def next_bulk(self, name: str) -> list[Buffer] | None:
        """The next message for the internal bulk lane of a peer. Then `bulk_posted`."""
        peer = self._peers.get(name)
        if peer is None:
            return None
        if peer.refusals:
            return [peer.refusals[0]]
        leg = peer.rotation.next(Leg.cost)
        if leg is None:
            return None
        if leg.head is not None:
            return [leg.head]
        if leg.queue:
            return encode_data(leg.circuit, [leg.queue[0]])
        assert leg.tail is not None
        return [leg.tail]

    def bulk_posted(self, name: str) -> None:
        """What `next_bulk` gave is on its way."""
        peer = self._peers[name]
        if peer.refusals:
            peer.refusals.popleft()
            return
        leg = peer.rotation.next(Leg.cost)
        assert leg is not None
        price = leg.cost() or 0
        peer.rotation.spent(leg.far, leg, price)
        if leg.head is not None:
            leg.head = None
        elif leg.queue:
            leg.queue.popleft()
            leg.queued -= price
            leg.sent += price
            self.buffered -= price
            if leg.other is not None:
                leg.other.passed += price
                self._grant(leg.other)
        else:
            self._forget(leg)

    def _grant(self, leg: Leg) -> None:
        """Something of `leg` was passed on: it may send more. While the hub has granted as much as it may, one frame at
        a time, and only when nothing of it waits: so every circuit goes on, and nothing waits in a circle."""
        short = leg.granted - leg.taken < FRAME_COST
        if short:
            leg.window = min(2 * leg.window, self.limits.window)
        limit = min(leg.passed + leg.window, leg.granted + self.limits.max_buffered - self.unused - self.buffered)
        if leg.passed == leg.taken:
            limit = max(limit, leg.passed + FRAME_COST)
        fresh = limit - leg.granted
        if fresh > 0 and (short or fresh * 4 >= leg.window):
            self.unused += fresh
            leg.granted = limit
            self._peers[leg.peer].windows[leg] = None
            self._due[leg.peer] = None
