"""Looks whether the network of this host has changed, and what follows: for a whole node at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from litz.errors import WireClosedError
from litz.events import NetworkChanged
from litz.wire import Endpoint
from outproc.hastening import hasten, spread
from outproc.netlink import Netlink
from outproc.network_news import Calm, NetworkChange, NetworkState, address_in, change_between
from outproc.source_address import SourceAddresses

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport
    from outproc.link import Link
    from outproc.local_node import LocalNode
    from outproc.timers import Timers

POLL: Final = 5.0
"""Seconds between two looks where the system has no news, or the loop cannot wait for them."""


class NetworkSource(Protocol):
    """Where the state of the network comes from, and perhaps news that it has changed."""

    def fileno(self) -> int | None:
        """A descriptor that is readable when there are news; None: there are none, look now and then."""

    def drain(self) -> bool:
        """Forget the news so far; whether there were any. Raises OSError if there will be no more."""

    def state(self) -> NetworkState:
        """The network now. Quick, and does not block. Raises OSError if it cannot be told."""

    def close(self) -> None:
        """Free the descriptor. Idempotent."""


def system_network() -> NetworkSource:
    """That of this system: the kernel's news on Linux, a slow poll elsewhere."""
    try:
        return Netlink()
    except OSError:
        return SourceAddresses()


class NetworkWatch:
    """Owned by the node, whose close ends it. Looks at nothing before it is `needed`.

    make     opens the source
    changed  called once for each change that is left when it has been calm for a moment. Must not raise
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        timers: Timers,
        make: Callable[[], NetworkSource],
        changed: Callable[[NetworkChange], None],
    ) -> None:
        self._loop = loop
        self._make = make
        self._changed = changed
        self._source: NetworkSource | None = None
        self._reading: int | None = None
        self._known = NetworkState()
        self._calm = Calm()
        self._timer = timers.timer(self._due)
        self._closed = False

    def needed_for(self, remote: str) -> None:
        """There is a wire to the address `remote`: begin if it is on another host."""
        address = address_in(remote)
        if address is not None and not address.is_loopback:
            self.needed()

    def needed(self) -> None:
        """Something here leads beyond this host: begin, unless it has begun."""
        if self._source is not None or self._closed:
            return
        self._source = self._make()
        try:
            self._known = self._source.state()
        except OSError:
            self._poll()  # then what there is at the first look that succeeds is new
            return
        self._read()

    def _read(self) -> None:
        assert self._source is not None
        descriptor = self._source.fileno()
        try:
            if descriptor is not None:
                self._loop.add_reader(descriptor, self.news)
                self._reading = descriptor
        except NotImplementedError:  # this loop (that of Windows) cannot wait for descriptors
            pass
        if self._reading is None:
            self._timer.at(self._loop.time() + POLL)

    def _stop_reading(self) -> None:
        descriptor, self._reading = self._reading, None
        if descriptor is not None:
            self._loop.remove_reader(descriptor)

    def _poll(self) -> None:
        """The news have ended, if there were any: look now and then."""
        self._stop_reading()
        self._known = NetworkState()  # what this way of looking does not see is not gone
        if self._source is not None:
            self._source.close()
        self._source = SourceAddresses()
        self._timer.at(self._loop.time() + POLL)

    def news(self) -> None:
        """There are some. They are left where they are until it is time to look: a storm costs nothing."""
        self._stop_reading()
        self._calm.news(self._loop.time())
        self._timer.at(self._calm.due)

    def _due(self, now: float) -> None:
        assert self._source is not None
        try:
            if self._source.drain():
                self._calm.news(now)
        except OSError:
            self._poll()
            return
        due = self._calm.due
        if due is not None and due > now:
            self._timer.at(due)
            return
        try:
            state = self._source.state()
        except OSError:  # no descriptor is left, perhaps: what was known counts until it can be told again
            self._timer.at(now + POLL)
            return
        self._calm.looked(now)
        self._read()
        change = change_between(self._known, state)
        self._known = state
        if change is not None:
            self._changed(change)

    def close(self) -> None:
        """Look no more. Idempotent."""
        self._closed = True
        self._stop_reading()
        self._timer.at(None)
        source, self._source = self._source, None
        if source is not None:
            source.close()


def adapt(
    node: LocalNode,
    transports: Sequence[DestTransport],
    change: NetworkChange,
    is_local: Callable[[Endpoint], bool],
) -> None:
    """The network has changed: tell it, ask each wire that it concerns for a sign of life at once, and dial soon what
    is not up and leads beyond this host. Healthy wires are not touched (P4)."""
    now = node.now()
    links = [link for transport in transports for link in transport.links]
    concerned = [link for link in links if change.concerns(link.wire.path.local, link.wire.path.remote)]
    over = [link for link in concerned if link.wire.bound and change.lacks(link.wire.path.local)]
    node.emit(NetworkChanged("", str(change), len(concerned) - len(over), len(over)))
    for link in concerned:
        link.liveness.woke(node.options.wake_timeout)
        node.health.schedule(link, now)
    for link in over:
        _give_up(link)
    within = spread(len(transports), node.options.backoff_cap)
    for transport in transports:
        _dial_soon(node, transport, now, within, lambda endpoint: not is_local(endpoint))


def _give_up(link: Link) -> None:
    link.failure = WireClosedError("its local address is gone")
    link.abort()
    link.owner.silent(link)


def _dial_soon(
    node: LocalNode, transport: DestTransport, now: float, within: float, leads_away: Callable[[Endpoint], bool]
) -> None:
    dialler, rng = transport.dialler, node.environment.rng
    if dialler.closed or not dialler.wanted or (transport.links and not dialler.pool.slots):
        return
    dialler.look_ups.outdate()
    if not dialler.pool.slots:  # where it is could not be found out, perhaps because the directory is elsewhere
        node.health.schedule(dialler, now + rng.random() * within)
    elif hasten(dialler.pool, now, within, rng, leads_away):
        dialler.pump()
