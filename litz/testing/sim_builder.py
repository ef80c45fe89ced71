"""Dialling and listening on a simulated network."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from typing import Any

from litz.errors import InvalidEndpointError
from litz.testing.sim_network import SimHost, WireSpec
from litz.testing.sim_wire import SimConnection
from litz.wire import AcceptWire, Endpoint, Wire, WireBuilder, WireListener


class SimListener(WireListener):
    """Listens at one address of one host."""

    def __init__(self, host: SimHost, endpoint: Endpoint, accept: AcceptWire) -> None:
        self.host = host
        self._endpoint = endpoint
        self._accept = accept
        self._context = contextvars.copy_context()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return (self._endpoint,)

    def deliver(self, wire: Wire) -> None:
        """Hand over an incoming wire soon, in the context of who listens."""
        self.host.network.loop.call_soon(self._deliver, wire, context=self._context)

    def _deliver(self, wire: Wire) -> None:
        if self.host.listeners.get(self._endpoint.address) is self:
            self._accept(wire)
        else:
            wire.abort()

    def vanish(self) -> None:
        if self.host.listeners.get(self._endpoint.address) is self:
            del self.host.listeners[self._endpoint.address]

    async def aclose(self) -> None:
        self.vanish()


class SimWireBuilder(WireBuilder):
    """Wires of one kind from one host. Addresses: `<kind>://<host>:<port>`; port 0 chooses one.

    dials   how often `build` was called
    local   what `is_local` answers for any address
    nature  the route, latency and bandwidth of its wires: see `WireSpec`
    """

    def __init__(
        self,
        host: SimHost,
        kind: str = "sim",
        *,
        max_frame: int | Sequence[int] = 64 * 1024,
        ordered: bool = True,
        reliable: bool = True,
        secure: bool = True,
        local: bool = True,
        **nature: Any,
    ) -> None:
        self.kind = kind
        self.schemes = (kind,)
        self.host = host
        self.local = local
        self.dials = 0
        self._sizes = (max_frame,) if isinstance(max_frame, int) else tuple(max_frame)
        self._spec = {"ordered": ordered, "reliable": reliable, "secure": secure, **nature}

    def endpoint(self, host: str, port: int = 1) -> Endpoint:
        """The endpoint of this kind at `host`."""
        return Endpoint(self.kind, f"{self.kind}://{host}:{port}")

    def is_local(self, endpoint: Endpoint) -> bool:
        return self.local

    async def listen(self, endpoint: Endpoint, accept: AcceptWire, **options: Any) -> SimListener:
        """Raises `OSError` when the address is taken or the host is down."""
        if options:
            raise TypeError(f"simulated listeners take no options: {sorted(options)}")
        name, port = _split(endpoint)
        if name != self.host.name:
            raise OSError(f"cannot listen at {endpoint} on host {self.host.name}")
        if not self.host.alive:
            raise OSError(f"host {name} is down")
        real = self.endpoint(name, port or self.host.network.next_port() + 9000)
        if real.address in self.host.listeners:
            raise OSError(f"address {real} is in use")
        listener = self.host.listeners[real.address] = SimListener(self.host, real, accept)
        return listener

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        """Takes one round trip, and whatever `SimNetwork.dial_faults` has for it. No time limit of its own:
        to a host that is cut off or frozen it waits until that is healed."""
        network = self.host.network
        self.dials += 1
        network.dials[self.host.name, endpoint.address] += 1
        target, _port = _split(endpoint)
        fault = network.take_dial_fault(target)
        mode = fault.mode if fault is not None else ""
        delay = fault.delay if fault is not None else 0.0
        if fault is not None:
            network.hits[f"dial: {mode}"] += 1
            network.note("dial", mode)
        if mode == "hang":
            await network.wait_for_change()
        await self._travel(self.host.name, target, delay if mode == "late" else 0.0)
        machine = network.find_host(target)
        listener = machine.listeners.get(endpoint.address) if machine is not None else None
        if listener is None or machine is None or mode == "refuse":
            await self._travel(target, self.host.name)
            raise ConnectionRefusedError(f"nobody listens at {endpoint}")
        connection = self._connect(machine)
        listener.deliver(connection.acceptor)
        try:
            await self._travel(target, self.host.name, delay if mode == "slow" else 0.0)
            if mode == "orphan":
                connection.half_open()
                raise ConnectionResetError(f"the connection to {endpoint} was reset while it was set up")
        except BaseException:
            connection.dialler.abort()
            raise
        return connection.dialler

    def _connect(self, machine: SimHost) -> SimConnection:
        network = self.host.network
        size = self._sizes[0] if len(self._sizes) == 1 else network.rng.choice(self._sizes)
        return network.connect(self.host, machine, WireSpec(kind=self.kind, max_frame=size, **self._spec))

    async def _travel(self, source: str, target: str, extra: float = 0.0) -> None:
        """One way between two hosts, waiting while that way is shut."""
        network = self.host.network
        while True:
            if not self.host.alive:
                raise ConnectionAbortedError(f"host {self.host.name} is down")
            far = network.find_host(target if source == self.host.name else source)
            stuck = self.host.frozen or (far is not None and far.frozen) or network.is_cut(source, target)
            if not stuck:
                break
            network.hits["dial: stuck"] += 1
            await network.wait_for_change()
        link = network.link(source, target)
        await asyncio.sleep(link.latency + link.jitter * network.rng.random() + extra)


def _split(endpoint: Endpoint) -> tuple[str, int]:
    name, colon, port = endpoint.address.partition("://")[2].rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise InvalidEndpointError(f"{endpoint.address!r} is no simulated endpoint; write sim://host:1")
    return name, int(port)
