"""A simulated network of named hosts: who reaches whom, how fast, and which connections exist."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from litz.testing.sim_loop import SimLoop
from litz.testing.sim_pipe import Link
from litz.testing.sim_wire import SimConnection

if TYPE_CHECKING:
    from litz.testing.sim_builder import SimListener, SimWireBuilder


@dataclass(frozen=True, slots=True)
class WireSpec:
    """What a simulated wire is like: see the attributes of `litz.wire.Wire`.

    route      what its path says
    latency    seconds one way that it takes longer than the link of its hosts says
    bandwidth  bytes a second that it takes, if the link takes more; None: what the link takes
    urgent     whether it has an urgent channel. That overtakes it, and is overtaken
    buffer     bytes that the system and the network hold of it, if the link would hold more; None: what the link holds
    spikes     the part of its frames that take 0.2 s longer, with all that is behind them if it is ordered
    """

    kind: str = "sim"
    max_frame: int = 64 * 1024
    ordered: bool = True
    reliable: bool = True
    secure: bool = True
    route: Literal["direct", "reflexive", "relay"] = "direct"
    latency: float = 0.0
    bandwidth: float | None = None
    urgent: bool = False
    buffer: int | None = None
    spikes: float = 0.0


@dataclass(slots=True)
class DialFault:
    """What happens to the next `count` dials to `target` (None: to any host).

    refuse  `ConnectionRefusedError` after a round trip
    hang    nothing, until the dial is cancelled (or `SimNetwork.release_dials` is called)
    late    it takes `delay` seconds longer, then succeeds
    slow    it is accepted at once, but the dialler learns it `delay` seconds later
    orphan  it is accepted, but the dialler gets `ConnectionResetError`; the accepted end is half open
    """

    mode: str
    target: str | None = None
    delay: float = 1.0
    count: int = 1


DIAL_FAULTS = ("refuse", "hang", "late", "slow", "orphan")


class SimHost:
    """One machine, from one start of it to its crash: a restarted host is a new object of the same name."""

    def __init__(self, network: SimNetwork, name: str) -> None:
        self.network = network
        self.name = name
        self.alive = True
        self.frozen = False
        self.clock_offset = 0.0
        """How many seconds this host's wall clock is ahead."""
        self.listeners: dict[str, SimListener] = {}

    def wall_time(self) -> float:
        """This host's wall clock, in seconds since 1970."""
        loop = self.network.loop
        return (loop.wall_time() if isinstance(loop, SimLoop) else loop.time()) + self.clock_offset

    def builder(
        self,
        kind: str = "sim",
        *,
        max_frame: int | Sequence[int] = 64 * 1024,
        ordered: bool = True,
        reliable: bool = True,
        secure: bool = True,
        local: bool = True,
        **nature: Any,
    ) -> SimWireBuilder:
        """A builder that dials from this host and listens on it. Of several `max_frame` each wire gets one
        at random. `kind` is also the scheme of its endpoints; `nature`: the route and what follows it in `WireSpec`."""
        from litz.testing.sim_builder import SimWireBuilder

        return SimWireBuilder(
            self, kind, max_frame=max_frame, ordered=ordered, reliable=reliable, secure=secure, **nature
        )

    def freeze(self) -> None:
        """Its network stands still, without notice: nothing comes in or goes out, until `thaw`. (Its code goes
        on running: all hosts share one loop.)"""
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        self.network.recheck()

    def crash(self, *, tell_peers: bool | None = None) -> None:
        """All wires of the host die, its listeners vanish, and it can no longer dial.

        Nothing more is called at this host: cancel what ran there. Peers get a reset, or with
        `tell_peers=False` keep half-open wires; None: at random for each.
        """
        self.alive = False
        self.network.remove_host(self)
        for listener in list(self.listeners.values()):
            listener.vanish()
        for connection in list(self.network.connections):
            tell = self.network.rng.random() < 0.5 if tell_peers is None else tell_peers
            if connection.source is self:
                connection.dialler.crash(tell_peer=tell)
            if connection.target is self:
                connection.acceptor.crash(tell_peer=tell)
        self.network.recheck()

    def __repr__(self) -> str:
        state = "frozen" if self.frozen else "up" if self.alive else "crashed"
        return f"<host {self.name} {state}, listening at {list(self.listeners)}>"


class SimNetwork:
    """Hosts, links and connections, all driven by one seed.

    loop         a `SimLoop` for replay (any loop works, without replay)
    connections  those of which at least one end lives, oldest first
    hits         how often each fault really hit something
    dials        how often each (host, address) was dialled
    dial_faults  waiting for dials, first in first out
    default_link how a link is until it is changed
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, seed: int | str = 0, link: Link | None = None) -> None:
        self.loop = loop
        self.rng = random.Random(f"network {seed}")
        self.hits: Counter[str] = Counter()
        self.dials: Counter[tuple[str, str]] = Counter()
        self.dial_faults: list[DialFault] = []
        self.connections: list[SimConnection] = []
        self.note: Callable[..., None] = loop.note if isinstance(loop, SimLoop) else _ignore
        self.default_link = link or Link()
        self._links: dict[tuple[str, str], Link] = {}
        self._hosts: dict[str, SimHost] = {}
        self._cuts: set[tuple[str, str]] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._connection_count = 0
        self._ports = 0

    # -- hosts and links -----------------------------------------------------------------------------

    def host(self, name: str) -> SimHost:
        """The running host of that name; it is started if there is none (also after a crash)."""
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = SimHost(self, name)
        return host

    def find_host(self, name: str) -> SimHost | None:
        return self._hosts.get(name)

    @property
    def hosts(self) -> tuple[SimHost, ...]:
        """All running hosts, in the order they were started."""
        return tuple(self._hosts.values())

    def remove_host(self, host: SimHost) -> None:
        if self._hosts.get(host.name) is host:
            del self._hosts[host.name]

    def link(self, source: str, target: str) -> Link:
        """How frames travel from `source` to `target`. Change it as you like."""
        link = self._links.get((source, target))
        if link is None:
            link = self._links[source, target] = replace(self.default_link)
        return link

    def links(self) -> tuple[Link, ...]:
        """All links that were used or asked for so far."""
        return tuple(self._links.values())

    # -- partitions ----------------------------------------------------------------------------------

    def partition(self, one: Iterable[str], other: Iterable[str], *, one_way: bool = False) -> None:
        """Nothing passes any more from `one` to `other` (nor back, unless `one_way`), without notice."""
        pairs = [(a, b) for a in one for b in other]
        self._cuts.update(pairs)
        if not one_way:
            self._cuts.update((b, a) for a, b in pairs)

    def heal(self) -> None:
        """End all partitions. What waited on reliable wires arrives now."""
        self._cuts.clear()
        self.recheck()

    def is_cut(self, source: str, target: str) -> bool:
        return (source, target) in self._cuts

    def recheck(self) -> None:
        """Something was healed: look again at every connection, and let waiting dials try again."""
        for connection in list(self.connections):
            connection.kick()
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    release_dials = recheck

    async def wait_for_change(self) -> None:
        """Return after the next `recheck`."""
        future: asyncio.Future[None] = self.loop.create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    # -- connections ---------------------------------------------------------------------------------

    def connect(self, source: SimHost, target: SimHost, spec: WireSpec) -> SimConnection:
        """Two live wires at once, without a dial: `.dialler` at `source`, `.acceptor` at `target`."""
        self._connection_count += 1
        connection = SimConnection(self, source, target, spec, self._connection_count)
        self.connections.append(connection)
        return connection

    def connection_ended(self, connection: SimConnection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)

    def take_dial_fault(self, target: str) -> DialFault | None:
        """The fault that the next dial to `target` has; it is used up."""
        for fault in self.dial_faults:
            if fault.target is None or fault.target == target:
                fault.count -= 1
                if fault.count <= 0:
                    self.dial_faults.remove(fault)
                return fault
        return None

    def next_port(self) -> int:
        self._ports += 1
        return self._ports


def _ignore(*facts: object) -> None:
    """On a loop without a trace."""
