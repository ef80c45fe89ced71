"""What a manager tells about itself: ordered, numbered, typed. Current state comes first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from litz.errors import Attempt
from litz.message import Channel, Receipt


class Outcome(Enum):
    """What is known of a message that will not be confirmed."""

    NEVER_ACCEPTED = "never accepted"
    """The peer did not take it: sending it again cannot double it."""

    UNKNOWN = "outcome unknown"
    """It was transmitted and the peer's answer is not known: it may have been processed."""


@dataclass(frozen=True, slots=True)
class LostReceipt:
    """One message that was accepted by `send` and was not confirmed when its session ended."""

    receipt: Receipt
    outcome: Outcome

    @property
    def channel(self) -> Channel:
        """The dest, session and lane it was accepted for."""
        return self.receipt[0]

    @property
    def number(self) -> int:
        """Its position in the lane, from 0."""
        return self.receipt[1]


@dataclass(frozen=True, slots=True)
class ResentReceipt:
    """One message that was not confirmed when its session ended, and that the next session sends (`on_restart`)."""

    receipt: Receipt
    """As it was accepted."""
    outcome: Outcome
    """Of the session that ended. NEVER_ACCEPTED: it arrives as any other. UNKNOWN: marked, `message.redelivered`."""
    again: Receipt
    """Its place in the next session: under this it is confirmed, or named again if it is lost or dropped there."""


@dataclass(frozen=True, slots=True)
class LaneReceived:
    """How far a lane from the peer had come: every number below `received` was delivered to this side's queue, or was a
    gap of which `MessagesSkipped` told."""

    lane: int
    received: int


class EndReason(Enum):
    """Why a session ended."""

    CLOSED_HERE = "closed here"
    CLOSED_BY_PEER = "closed by peer"
    PEER_RESTARTED = "peer restarted"
    EXPIRED = "expired"
    FAULT = "peer broke the session's rules"
    REPLACED = "this id was taken over by a newer incarnation"
    UNKNOWN_TO_PEER = "the peer no longer knows the session"
    OVERFLOW = "a log was full and its policy is to end the session"


class DropReason(Enum):
    """Why messages were dropped before they were transmitted."""

    OLDEST = 1
    NEWEST = 2
    SUPERSEDED = 3
    STALE = 4
    TOO_LARGE = 5
    """The peer, once it was there, said that it takes no messages of that size."""


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. `dest` is the peer it is about."""

    dest: str


@dataclass(frozen=True, slots=True)
class Connecting(Event):
    """The first dial of a dest began."""


@dataclass(frozen=True, slots=True)
class ConnectFailed(Event):
    """A dial failed. `retry_in` seconds from now the next one starts; None: not by itself."""

    error: Exception
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class DestCold(Event):
    """Every dial failed for `seconds`, `failures` times because of `cause`: from now on the dest is only probed, now
    and then, first in about `retry_in` seconds. Told once; `DestWarm` tells that it is over."""

    cause: str
    failures: int
    seconds: float
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class DestWarm(Event):
    """A dest that was cold, or was given up, is dialled as usual again, because of `reason`."""

    reason: str


@dataclass(frozen=True, slots=True)
class DestGivenUp(Event):
    """Nothing is dialled by itself any more, because of `cause`: the budget of this dest is used up, or every endpoint
    leads to what will not do. Until somebody here asks for it again, an endpoint is added, or the peer comes."""

    cause: str
    error: Exception


@dataclass(frozen=True, slots=True)
class LookUpFailed(Event):
    """A part of where the dest is could not be found out, or was no endpoint; the rest is dialled. Told once, until
    something else fails. `endpoint` of each attempt is who was asked: "directory", "websocket builder"."""

    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class SessionStarted(Event):
    """A new session with the peer began; its lanes count from 0. `session` numbers it. `incarnation` names the life of
    the peer: another one than before means that it is another process."""

    session: int
    verified: bool
    incarnation: str = ""


@dataclass(frozen=True, slots=True)
class WireUp(Event):
    """A wire joined the session."""

    kind: str
    wire: str
    dialled: bool


@dataclass(frozen=True, slots=True)
class WireDown(Event):
    """A wire left the session. The session lives on."""

    kind: str
    wire: str
    cause: str
    wires_left: int


@dataclass(frozen=True, slots=True)
class LaneMoved(Event):
    """A lane is carried by `wire` from now on, for `reason`. `before`: the wire that carried it, "" if it had none."""

    lane: int
    wire: str
    before: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MessagesDropped(Event):
    """At the sender: a policy dropped these messages before they were transmitted."""

    lane: int
    first: int
    last: int
    reason: DropReason


@dataclass(frozen=True, slots=True)
class MessagesSkipped(Event):
    """At the receiver: the typed gap. The sender's policy dropped numbers `first` to `last`."""

    lane: int
    first: int
    last: int
    reason: DropReason


@dataclass(frozen=True, slots=True)
class SessionEnded(Event):
    """The session ended. `lost` is the exact list of receipts not confirmed, but for those that the next session sends
    again: `resent`. Each of both says what is known of it (P2).

    `received`: what came from the peer in it, lane by lane. `incarnation`: the life of the peer that it was with, "" if
    it never came up.
    """

    session: int
    reason: EndReason
    detail: str
    lost: tuple[LostReceipt, ...]
    resent: tuple[ResentReceipt, ...] = ()
    received: tuple[LaneReceived, ...] = ()
    incarnation: str = ""


@dataclass(frozen=True, slots=True)
class PeerDraining(Event):
    """The peer has announced that it leaves, for `reason`: what it had been sent still flows, and new sends to it raise
    `PeerDrainingError`. `returning_in`: seconds after which it means to be back, None: it did not say so."""

    reason: str
    returning_in: float | None


@dataclass(frozen=True, slots=True)
class PeerViolation(Event):
    """A peer broke the protocol and lost the wire for it. `dest` is what it claimed to be, or ''."""

    wire: str
    detail: str


@dataclass(frozen=True, slots=True)
class WireUnusable(Event):
    """The entry point `name` of the group `litz.wires` gives no wire builder, because of `error`: repair, upgrade or
    uninstall `distribution`. All other kinds of wire work. Told to each reader first. `dest` is ''."""

    name: str
    distribution: str
    error: Exception


@dataclass(frozen=True, slots=True)
class NetworkChanged(Event):
    """Addresses or the default route of this host have changed: `what`, in words. Of the wires that it concerns `asked`
    are asked for a sign of life, and `given_up` cannot live on; what is not up is dialled soon. `dest` is ''."""

    what: str
    asked: int
    given_up: int = 0


@dataclass(frozen=True, slots=True)
class Woke(Event):
    """The machine slept for `slept` seconds. Every wire is being probed, and what is not up is dialled at once. `dest`
    is ''."""

    slept: float


@dataclass(frozen=True, slots=True)
class EventGap(Event):
    """This reader was too slow: `missed` events were dropped for it. `dest` is ''."""

    missed: int
