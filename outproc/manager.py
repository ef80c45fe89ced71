"""`OutprocTransportManager`: send by destination id across processes and machines."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Self, Unpack

from litz.bound_peer import BoundPeer
from litz.departures import check_drain, check_returning
from litz.dest import validate_dest
from litz.dest_watch import DestWatch
from litz.errors import ManagerStateError
from litz.event_log import EventLog, EventReader
from litz.events import Event, LostReceipt
from litz.history import History
from litz.inbox import Inbox
from litz.manager import (
    Confirm,
    HealthCheckHandle,
    MessageStream,
    ThreadsafeManager,
    TransportManager,
    WhenDown,
)
from litz.message import Receipt
from litz.payload import PayloadType
from litz.retry import Retry
from litz.serving_verb import Handler, ServeArguments
from litz.snapshot import DestState, ManagerSnapshot
from litz.stream_form import AsBytes
from litz.stream_host import StreamHost
from litz.threadsafe import HomeLoop, LoopThreadsafe
from litz.wire import EndpointFilter, Wire, WireBuilder, WireListener
from litz.within import late_send, late_wire, within
from outproc.addressing import Addressing, Directory
from outproc.begin_anew import hinted
from outproc.body import body_of
from outproc.closing import GRACE, close_node
from outproc.dest_transport import DestTransport
from outproc.dispatch import Dispatch
from outproc.durable import Durable
from outproc.durable_port import DurableInbox, DurableOutbox
from outproc.endpoint_filter import allow_endpoint
from outproc.installed_wires import Installed, installed_wires
from outproc.local_node import Environment, FastPath, LocalNode, system_environment
from outproc.manager_arguments import check_arguments, check_listen, checked_builders
from outproc.options import TransportOptions
from outproc.outbound import SMALL
from outproc.relay_options import RelayOptions
from outproc.rights import Authorize
from outproc.security.authenticator import Authenticator, NoAuthenticator
from outproc.snapshots import snapshot_of
from outproc.state_events import state_events
from outproc.wire_ping import WirePing, ping_wires

_RPC = PayloadType.RPC_RELIABLE


class OutprocTransportManager(TransportManager):
    """See `litz.manager.TransportManager` for the law.

    local_id       the id of this node
    directory      where dests are: a mapping of ids to lists of URLs, or a `Directory`
    authenticator  proves ids. Without one ids are claims and only loopback and Unix sockets can be listened on
    builders       wire builders; default: one of every kind that is installed
    options        limits and times
    relay          makes this node a hub: those with a session here reach each other through it
    authorize      asked whether a peer that proved its id may have a session, a service, a relay: `outproc.rights`
    allow_endpoint asked about each address before it is dialled, with where it was learned; a pure function. The
                   default refuses what is of no use to peers: see `outproc.endpoint_filter`
    outbox, inbox  the files of durable messages that this node sends and takes: see `outproc.outbox`
    environment    clocks and chance, for tests
    """

    def __init__(
        self,
        local_id: str,
        *,
        directory: Mapping[str, Sequence[str]] | Directory | None = None,
        authenticator: Authenticator | None = None,
        builders: Iterable[WireBuilder] | None = None,
        options: TransportOptions | None = None,
        relay: RelayOptions | None = None,
        authorize: Authorize | None = None,
        allow_endpoint: EndpointFilter = allow_endpoint,
        outbox: DurableOutbox | None = None,
        inbox: DurableInbox | None = None,
        environment: Environment | None = None,
    ) -> None:
        self._local_id = validate_dest(local_id)
        check_arguments(directory, authenticator, options, relay, allow_endpoint, authorize=authorize)
        self._authorize = authorize
        self._options = TransportOptions() if options is None else options
        self._authenticator = NoAuthenticator() if authenticator is None else authenticator
        if self._options.seal == "always" and self._authenticator.proves == "nothing":
            raise ValueError("seal='always' needs an authenticator: pass one, or leave seal at 'auto'")
        self._environment = environment or system_environment()
        used = installed_wires() if builders is None else Installed(checked_builders(builders))
        self._addressing = Addressing(used.builders, directory, allow_endpoint, used.broken)
        self._relay = relay
        if relay is not None and "relay" not in self._addressing.kinds:
            raise ValueError("relay= needs a RelayWireBuilder among the builders; add one, or leave builders out")
        self._home = HomeLoop(f"OutprocTransportManager({local_id!r})")
        self._inbox = Inbox()
        self._durable = Durable(outbox, inbox, self._options)
        self._events = EventLog(self._current_events, History(self._environment.wall_clock))
        self._fast: dict[str, FastPath] = {}
        self._listeners: list[WireListener] = []
        self._watch = DestWatch()
        self._entered: Dispatch | None = None

    # -- life ---------------------------------------------------------------------------------------

    @property
    def local_id(self) -> str:
        return self._local_id

    async def __aenter__(self) -> Self:
        await self._durable.open(self._environment)
        loop = self._home.bind()
        self._entered = Dispatch(self._make_node(loop), self, self._addressing, self._durable, self._watch)
        self._entered.stream_host = StreamHost(self, self._entered.streams, AsBytes)
        self._entered.attach_builders(self._relay)
        self._entered.node.health.start()
        return self

    async def aclose(self, *, returning_in: float | None = None) -> None:
        check_returning(returning_in)
        await self._home.close(partial(self._close, returning_in), self._orphaned)

    async def _close(self, returning_in: float | None) -> None:
        self._home.open = False
        self._durable.stop_taking()
        self._fast.clear()
        loop, whole = asyncio.get_running_loop(), self._options.close_timeout
        deadline = loop.time() + whole
        if self._entered is not None:
            running = self._entered
            parts = (running.node, running.dests, running.reception, self._listeners, self._addressing.builders)
            await close_node(*parts, returning_in=returning_in)
            running.lame_duck.closed()
        self._inbox.close()
        self._events.close()
        self._watch.tell_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(max(deadline, loop.time() + whole * GRACE)):
                if self._entered is not None:
                    await self._entered.stream_host.close()
                await self._inbox.wait_served()
        await self._durable.aclose(max(deadline - loop.time(), whole * GRACE))

    def _orphaned(self) -> None:
        self._home.open = False

    def __del__(self) -> None:
        home = getattr(self, "_home", None)
        if home is not None and home.open:
            warnings.warn(f"{self!r} was never closed; use `async with`, or `await aclose()`", ResourceWarning, 1)

    def _running(self, reopening: str | None = None) -> Dispatch:  # reopening: its goodbye does not count any more
        self._home.check()
        if self._entered is None:
            raise ManagerStateError("the manager is not running")
        if reopening is not None:
            self._entered.reopen(reopening)
        return self._entered

    # -- sending ------------------------------------------------------------------------------------

    async def send(  # noqa: PLR0917 - filling in keyword-only defaults costs 100 ns a call
        self,
        dest: str,
        data: Any,
        payload_type: PayloadType = _RPC,
        confirm: Confirm | None = None,
        key: str | None = None,
        when_down: WhenDown | None = None,
        timeout: float | None = None,
        reopen: bool = False,
    ) -> Receipt:
        if type(data) is bytes and len(data) <= SMALL and payload_type is _RPC and confirm is key is when_down is None:
            # The fast path: no await, no call of Python code, no object but the receipt.
            try:
                receipts, bodies = self._fast[dest]
            except KeyError:
                pass
            else:
                # Not a loop: the cheapest way to take one of an iterator that may be at its end.
                for receipt in receipts:
                    bodies.append(data)
                    return receipt
        running = self._running(dest if reopen else None)
        if timeout is None:
            return await running.send(dest, data, payload_type, confirm=confirm, key=key, when_down=when_down)
        async with within(timeout, *late_send(dest, confirm)):
            return await running.send(dest, data, payload_type, confirm=confirm, key=key, when_down=when_down)

    def send_nowait(
        self, dest: str, data: Any, *, payload_type: PayloadType = _RPC, key: str | None = None, reopen: bool = False
    ) -> Receipt:
        if type(data) is bytes and len(data) <= SMALL and payload_type is _RPC and key is None:
            try:
                receipts, bodies = self._fast[dest]
            except KeyError:
                pass
            else:
                # Not a loop: the cheapest way to take one of an iterator that may be at its end.
                for receipt in receipts:
                    bodies.append(data)
                    return receipt
        return self._running(dest if reopen else None).send_nowait(dest, data, payload_type, key)

    async def request(
        self,
        dest: str,
        data: Any,
        *,
        timeout: float | None = None,
        when_down: WhenDown | None = None,
        reopen: bool = False,
    ) -> bytes:
        running = self._running(dest if reopen else None)
        return await running.requests.request(
            dest, body_of(data, self._options.max_message), timeout=timeout, when_down=when_down
        )

    async def drain(
        self,
        dest: str | None = None,
        *,
        timeout: float | None = None,
        final: bool = False,
        reason: str = "",
        returning_in: float | None = None,
    ) -> tuple[LostReceipt, ...]:
        running = self._running()
        check_drain(dest, final=final, reason=reason, returning_in=returning_in)
        return await (running.lame_duck.drain(timeout, reason, returning_in) if final else running.drain(dest, timeout))

    def peer(self, dest: str) -> BoundPeer:
        return BoundPeer(self, validate_dest(dest))

    def _stream_host(self) -> StreamHost:
        return self._running().stream_host

    # -- receiving ----------------------------------------------------------------------------------

    def messages(self, *, sender: str | None = None) -> MessageStream:
        self._running()
        return self._inbox.messages(sender=validate_dest(sender) if sender is not None else None)

    async def serve(self, handler: Handler, **how: Unpack[ServeArguments]) -> None:
        self._running()
        await self._inbox.serve(handler, **how)

    # -- wires --------------------------------------------------------------------------------------

    async def listen(self, url: str, **options: Any) -> WireListener:
        """Listen at `url` ("ws://127.0.0.1:8400", "wss://..." with `ssl=`, "unix:/path"; port 0 picks one) until
        the listener or this manager is closed. `options` are those of the kind of wire.

        Raises `InsecureListenError` beyond loopback without an authenticator (P8), `InvalidEndpointError`, OSError.
        """
        running = self._running()
        endpoint = self._addressing.endpoint(url)
        builder = self._addressing.builder_of(endpoint)
        check_listen(url, self._authenticator, local=builder.is_local(endpoint))
        listener = await builder.listen(endpoint, running.reception.accept, **options)
        if not self._home.open:
            await listener.aclose()
            raise ManagerStateError("the manager was closed while it began to listen")
        self._listeners.append(listener)
        return listener

    @property
    def endpoints(self) -> list[str]:
        """The URLs this node really listens at."""
        return [str(endpoint) for listener in self._listeners for endpoint in listener.endpoints]

    def accept(self, wire: Wire) -> None:
        """Take in a wire that the embedding program accepted itself. It must not have been started."""
        self._running().reception.accept(wire)

    # -- dests --------------------------------------------------------------------------------------

    async def get_or_create_transport(
        self, dest: str, *, reopen: bool = False, retry: Retry | None = None
    ) -> DestTransport:
        return await self._running(dest if reopen else None).dests.connect(validate_dest(dest), retry)

    async def close_transport(self, dest: str, *, reason: str = "") -> tuple[LostReceipt, ...]:
        running = self._running()
        self._addressing.forget(dest)
        transport = running.dests.get(dest)
        if transport is None:
            return ()
        return await asyncio.shield(running.node.spawn(transport.close(reason), f"litz close {dest}"))

    async def close_all(self, *, reason: str = "") -> None:
        await asyncio.gather(*(self.close_transport(dest, reason=reason) for dest in self.list_dests()))

    @property
    def dest_count(self) -> int:
        return len(self._entered.dests) if self._entered is not None else 0

    def list_dests(self) -> list[str]:
        return self._running().dests.names()

    def has_dest(self, dest: str) -> DestState | None:
        return self._running().dests.state(dest)

    def is_connected(self, dest: str) -> bool:
        return self._running().dests.state(dest) is DestState.CONNECTED

    async def wait_connected(self, dest: str, *, timeout: float | None = None) -> None:
        validate_dest(dest)
        async with within(timeout, *late_wire(dest)):
            while not self.is_connected(dest):
                await self._watch.changed(dest)

    def add_endpoints(self, dest: str, hints: Iterable[str]) -> None:
        running = self._running()
        self._addressing.add_hints(validate_dest(dest), hints)
        transport = running.dests.get(dest)
        if transport is not None:
            hinted(transport.dialler, running.node.now())

    async def reconnect(self, dest: str, kind: str | None = None) -> None:
        await self._running(dest).dests.reconnect(validate_dest(dest), kind)

    def start_health_checker(self, interval: float | None = None) -> HealthCheckHandle:
        node = self._running().node
        if interval is not None:
            node.set_ping_after(interval)
        node.health.start()
        return node.health

    async def ping(self, dest: str, *, timeout: float = 2.0) -> tuple[WirePing, ...]:
        """Ping `dest` over each of its wires on its own, and wait at most `timeout` seconds for the answers.

        Dials nothing. Raises `ConnectError` if there is no session with `dest`.
        """
        return await ping_wires(dest, self._running().dests.get(validate_dest(dest)), timeout)

    async def reauthorize(self, dest: str | None = None) -> tuple[str, ...]:
        """Judge who is connected (or only `dest`) anew: keys, certificates, tokens and `authorize` may differ now. Who
        would not be let in any more is dropped. Returns the dests that lost a wire or their session."""
        return await self._running().reauthorize(dest)

    # -- sight --------------------------------------------------------------------------------------

    def snapshot(self) -> ManagerSnapshot:
        running = self._entered
        if running is None:
            return ManagerSnapshot(self._local_id, False, (), 0, 0, ())
        return snapshot_of(running.node, running.dests, tuple(self.endpoints), self._durable, running=self._home.open)

    def events(self, *, limit: int = 1024) -> EventReader:
        self._running()
        return self._events.follow(limit=limit)

    def _current_events(self) -> list[Event]:
        return state_events(self._entered.dests if self._entered is not None else None, self._addressing.broken)

    @property
    def threadsafe(self) -> ThreadsafeManager:
        return LoopThreadsafe(self, self._home)

    # -- for transports -----------------------------------------------------------------------------

    def state_changed(self, transport: DestTransport) -> None:
        """Wires or session of a dest changed: refresh the fast path and wake those who wait."""
        if transport.state not in (DestState.CONNECTED, DestState.DETACHED):
            self._fast.pop(transport.dest, None)
        if transport.state is DestState.CONNECTED and self._entered is not None:
            self._entered.dests.joined(transport)
        self._watch.tell(transport.dest)

    def closed(self, transport: DestTransport) -> None:
        """A transport is closed for good."""
        self._fast.pop(transport.dest, None)
        if self._entered is not None:
            self._entered.dests.forget(transport)

    def _make_node(self, loop: asyncio.AbstractEventLoop) -> LocalNode:
        shared = (self._environment, self._authenticator, loop, self._events, self._inbox, self._authorize)
        return LocalNode(self._local_id, self._options, *shared, fast=self._fast)

    def __repr__(self) -> str:
        state = "open" if self._home.open else "closed" if self._entered is not None else "not entered"
        return f"<OutprocTransportManager {self._local_id}: {state}, {self.dest_count} dests>"
