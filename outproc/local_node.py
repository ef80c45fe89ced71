"""What all transports of one manager share: who it is, its limits, clock, chance, and its ways to tell."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any, Final

from litz.departures import Departures
from litz.errors import SessionEndedError
from litz.event_log import EventLog
from litz.events import Event, LostReceipt
from litz.inbox import Inbox
from litz.message import Receipt
from litz.spaced import Spaced
from outproc.handshake import Entropy, Limits, Node
from outproc.health_checker import HealthChecker
from outproc.held_frames import NodeHeld
from outproc.internal_traffic import InternalTraffic
from outproc.lane_mover import LaneMover
from outproc.leaving_words import FEATURE as LEAVING
from outproc.leaving_words import Leaving
from outproc.log_budget import LogBudget
from outproc.network_watch import NetworkSource, NetworkWatch, system_network
from outproc.options import TransportOptions
from outproc.peer_limits import SessionRate, WiresPerAddress
from outproc.rights import Authorize, Rights
from outproc.security.authenticator import Authenticator
from outproc.session.identity import Half, Incarnation
from outproc.session.internal_lanes import InternalSendLane
from outproc.session.limits import Overflow, SessionLimits, StreamLimits
from outproc.session.log import Body
from outproc.session.pairing import Halves
from outproc.session.resending import FEATURE
from outproc.session.send_lane import SendLane
from outproc.session.session import Session
from outproc.session.stream_window import StreamBudget
from outproc.session.tombstones import Tombstones
from outproc.session_numbers import SessionNumbers
from outproc.stream_hooks import StreamHooks
from outproc.streams.rests import Rests
from outproc.streams.words import FEATURE as STREAMS
from outproc.timers import Timers
from outproc.wake_watch import SleepClocks, system_clocks

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.link import Link


MAX_LEFT: Final = 64
"""Lanes of ended sessions with one dest that may hold messages which nobody has processed; then it gets no further
session."""


@dataclass(slots=True)
class Environment:
    """Where a manager gets time and chance from. Tests and simulations give their own.

    wall_clock  nanoseconds since the Unix epoch, for the incarnation
    entropy     n random bytes that nobody can guess
    rng         jitter of backoffs; no secrets
    clocks      what tells that the machine slept; None: nothing does
    network     opens what tells that addresses or routes have changed; None: nothing does
    """

    wall_clock: Callable[[], int]
    entropy: Entropy
    rng: Random
    clocks: SleepClocks | None = None
    network: Callable[[], NetworkSource] | None = None


def system_environment() -> Environment:
    """Time and chance of the real world."""
    chance = Random(SystemRandom().getrandbits(64))
    return Environment(time.time_ns, os.urandom, chance, system_clocks(), system_network)


FastPath = tuple[Iterator[Receipt], list[Body]]
"""Receipts of the messages that may be accepted without a closer look, and where to append them."""


@dataclass(slots=True)
class LocalNode:
    """One running manager, as its transports see it."""

    local_id: str
    options: TransportOptions
    environment: Environment
    authenticator: Authenticator
    loop: asyncio.AbstractEventLoop
    events: EventLog
    inbox: Inbox
    authorize: Authorize | None = None
    incarnation: Incarnation = field(init=False)
    limits: SessionLimits = field(init=False)
    overflow: dict[int, Overflow] = field(init=False)
    timers: Timers = field(init=False)
    strangers: Spaced = field(init=False)
    """What peers that have not proved their ids make us do: it waits behind everything else."""
    unproved: NodeHeld = field(init=False)
    """What has come from them and waits."""
    health: HealthChecker = field(init=False)
    fast: dict[str, FastPath] = field(default_factory=dict)
    """For each dest with an open quota: what `send` may accept without a closer look."""
    links: dict[Link, None] = field(default_factory=dict)
    ping_after: float = field(init=False)
    network: NetworkWatch | None = None
    tombstones: Tombstones = field(init=False)
    departures: Departures = field(init=False)
    leaving: Leaving | None = field(init=False, default=None)
    """This node leaves: it takes no new work. Once set it stays."""
    log_budget: LogBudget = field(init=False)
    internal: InternalTraffic = field(init=False)
    streams: StreamHooks = field(default_factory=StreamHooks)
    """Whoever carries streams. Set by whoever knows."""
    stream_limits: StreamLimits = field(init=False)
    stream_budget: StreamBudget = field(init=False)
    """What all windows of streams together may grow to."""
    stream_rests: Rests = field(init=False)
    rights: Rights = field(init=False)
    wires_per_address: WiresPerAddress = field(init=False)
    session_rate: SessionRate = field(init=False)
    mover: LaneMover = field(init=False)
    session_numbers: SessionNumbers = field(init=False)
    handshake_node: Node = field(init=False)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    halves: Halves = field(init=False)

    def __post_init__(self) -> None:
        options = self.options
        random_part = int.from_bytes(self.environment.entropy(8), "little")
        self.incarnation = Incarnation(self.environment.wall_clock(), random_part)
        self.halves = Halves(self.incarnation)
        self.limits = options.session_limits()
        self.stream_limits = options.stream_limits()
        self.stream_budget = StreamBudget(options.process_stream_size)
        each = options.session_stream_size
        self.stream_rests = Rests(self.stream_budget, limit=options.process_stream_size, each=each)
        self.overflow = {int(kind): policy for kind, policy in options.overflow.items()}
        self.timers = Timers(self.loop)
        self.strangers = Spaced(self.loop)
        self.unproved = NodeHeld(options.unauthenticated_size)
        self.health = HealthChecker(self.loop, self.spawn)
        self.ping_after = options.ping_after
        self.tombstones = Tombstones(keep=options.tombstones_kept, limit=options.max_tombstones)
        self.departures = Departures(keep=options.tombstones_kept, limit=options.max_tombstones)
        self.log_budget = LogBudget(options.process_log_size)
        self.internal = InternalTraffic(self.loop)
        self.rights = Rights(self.authorize, self.local_id, options.handshake_timeout)
        self.rights.services = lambda: tuple(self.internal.subscribers)
        self.internal.denied = self.rights.denied
        self.wires_per_address = WiresPerAddress(options.wires_per_ip)
        self.session_rate = SessionRate(options.sessions_per_second)
        self.mover = LaneMover(self)
        self.session_numbers = SessionNumbers(options.max_tombstones)
        self.handshake_node = Node(
            id=self.local_id,
            incarnation=self.incarnation,
            limits=Limits(max_frame=1 << 20, max_message=options.max_message),
            authenticator=self.authenticator,
            features=(FEATURE, LEAVING, STREAMS),
        )

    def now(self) -> float:
        """The loop's clock, seconds."""
        return self.loop.time()

    @property
    def inbox_full(self) -> bool:
        """Whether the handler queue holds as much as this process may; then peers are granted little (P5)."""
        return self.inbox.pending_bytes >= self.options.process_window_size

    @property
    def narrowed(self) -> bool:
        """Whether peers are granted little: the handler queue is full, or its consumer has more than it wants."""
        return self.inbox.squeezed or self.inbox_full

    def overrun_by(self, dest: str) -> bool:
        """Whether so much of ended sessions with `dest` waits to be read that it gets no further one: each would come
        with credit of its own, so whoever begins and ends sessions would fill any memory (P5)."""
        lanes, size = self.inbox.left_by(dest)
        return lanes >= MAX_LEFT or (self.inbox_full and size > self.options.max_message)

    def budget_of(self, lane: SendLane) -> LogBudget:
        """Where the log of `lane` counts."""
        return self.internal.budget if isinstance(lane, InternalSendLane) else self.log_budget

    def new_session(self, index: int) -> Session:
        """A session that has no pair yet."""
        session = Session(self.new_half(), self.limits, index=index, overflow=self.overflow, streams=self.stream_limits)
        session.streams.budget.shared = self.stream_budget
        return session

    def wrote(self, transport: DestTransport) -> None:
        """Something of `transport` was handed to wires or acknowledged: whoever was refused room may look again."""
        self.internal.wrote(transport)
        self.streams.wrote(transport)

    def session_ended(self, transport: DestTransport, error: SessionEndedError) -> None:
        """The session of the transport, which stood, is over, and what rode on it."""
        self.internal.session_ended(transport)
        self.streams.session_ended(transport, error)

    def new_half(self) -> Half:
        """A half that was never used before (R2)."""
        return self.halves.new()

    def set_ping_after(self, seconds: float) -> None:
        """Ping wires after so many seconds of silence from now on. Raises ValueError."""
        if not 0 < seconds < float("inf"):
            raise ValueError("the interval of the health check is above 0 seconds, and not infinite")
        self.ping_after = seconds
        if self.health.wake_watch is not None:
            self.health.wake_watch.ping_after = seconds
        for link in self.links:
            link.liveness.silent_after = seconds
            self.health.schedule(link, link.liveness.next_check() if link.in_session else None)

    def note_lost(self, lost: Sequence[LostReceipt]) -> None:
        """A session ended and these were not confirmed: the final drain lists them, if it has begun."""
        if self.leaving is not None:
            self.leaving.lost += lost

    def emit(self, event: Event) -> None:
        self.events.emit(event)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Start a task that this node owns: `aclose` cancels it and awaits its end. It must not raise."""
        task = self.loop.create_task(coroutine, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task
