"""Dials dests through hubs, accepts what hubs bring, and serves as hub where the node is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from litz.dest import validate_dest
from litz.errors import InvalidEndpointError, ManagerStateError
from litz.node_port import NodePort
from litz.wire import Endpoint, Wire, WireBuilder
from outproc.relay_options import RelayOptions
from outproc.wires.relay.client import RelayClient
from outproc.wires.relay.hub import RelayHub
from outproc.wires.relay.keeper import HubKeeper
from outproc.wires.relay.messages import FEATURE, FROM_HUB, TO_HUB
from outproc.wires.relay.wire import KIND


class RelayWireBuilder(WireBuilder):
    """Reaches any dest through the hubs that both have a session with. Endpoints are `relay:HUB`.

    via  the hubs to use, which are then dialled and kept; None: every node with a session here that serves as one
    """

    kind = KIND
    schemes = (KIND,)

    def __init__(self, *, via: Iterable[str] | None = None) -> None:
        if isinstance(via, str):
            raise TypeError(f"via is a list of hubs, not one string {via!r}")
        self._via = tuple(dict.fromkeys(validate_dest(hub) for hub in via)) if via is not None else None
        self._port: NodePort | None = None
        self._client: RelayClient | None = None
        self.hub: RelayHub | None = None
        """What serves others, None: this node does not."""
        self._usable: dict[str, None] = {}
        self._keeper: HubKeeper | None = None

    def attach(self, port: NodePort) -> None:
        if self._port is not None:
            raise ManagerStateError("a RelayWireBuilder belongs to one manager; give each its own")
        self._port = port
        loop = asyncio.get_running_loop()
        self._client = RelayClient(port, loop, self._is_hub)
        port.subscribe(FROM_HUB, _Watch(self, self._client))
        options = port.settings.get(KIND)
        if isinstance(options, RelayOptions):
            port.announce(FEATURE)
            self.hub = RelayHub(port, loop, options)
            port.subscribe(TO_HUB, self.hub)
        self._keeper = HubKeeper(port, loop, self._client.usable)
        for hub in self._via or ():
            if hub != port.local_id:
                port.want(hub)
                self._keeper.keep(hub)

    def _is_hub(self, dest: str) -> bool:
        assert self._port is not None
        return FEATURE in self._port.features(dest) and (self._via is None or dest in self._via)

    def look_again(self, dest: str) -> None:
        """A session or wire of `dest` came or went: if it is a hub, dests may be reached, or not any more."""
        assert self._client is not None
        assert self._port is not None
        if self._keeper is not None and dest in (self._via or ()) and not self._client.usable(dest):
            self._keeper.keep(dest)
        usable = self._is_hub(dest) and self._client.usable(dest)
        if usable == (dest in self._usable):
            return
        if usable:
            self._usable[dest] = None
        else:
            self._usable.pop(dest)
        self._port.endpoints_changed()

    async def aclose(self) -> None:
        if self._keeper is not None:
            self._keeper.close()

    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        """One for each hub that can be used now."""
        return [Endpoint(KIND, f"{KIND}:{hub}") for hub in self._usable if hub != dest]

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        """Raises `UnknownDestError` if the hub has no session with `dest` or does not allow it, `BusyError` at a limit,
        TimeoutError, and `WireClosedError` without a wire to the hub."""
        if self._client is None:
            raise ManagerStateError("a RelayWireBuilder works only in a manager")
        hub = endpoint.address.partition(":")[2]
        if not hub:
            raise InvalidEndpointError(f"{endpoint} names no hub; write relay:HUB")
        if hub == dest:
            raise InvalidEndpointError(f"{endpoint}: a hub is not reached through itself")
        return await self._client.open(hub, dest)


class _Watch:
    """Hears for the client, and tells the builder which hubs can be used."""

    def __init__(self, builder: RelayWireBuilder, client: RelayClient) -> None:
        self._builder = builder
        self.received = client.received
        self.writable = client.writable
        self._client = client

    def session_began(self, dest: str) -> None:
        self._builder.look_again(dest)

    def session_ended(self, dest: str) -> None:
        self._client.session_ended(dest)
        self._builder.look_again(dest)

    def wires_changed(self, dest: str) -> None:
        self._client.wires_changed(dest)
        self._builder.look_again(dest)
