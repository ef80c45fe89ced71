"""The transport manager for peers in the same process: objects pass by reference, the law is the same."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Self, Unpack

from inproc.health import NothingToCheck
from inproc.hub import Hub
from inproc.lame_duck import all_received, drain_finally
from inproc.lane import Level
from inproc.node import Node
from inproc.options import InprocOptions
from inproc.patience import patiently
from inproc.send_arguments import lane_of, level_of
from litz.bound_peer import BoundPeer
from litz.departures import check_drain, check_returning
from litz.dest import validate_dest
from litz.errors import ConnectError, ManagerStateError, RequestTimeoutError
from litz.events import LostReceipt
from litz.manager import (
    Confirm,
    EventStream,
    HealthCheckHandle,
    MessageStream,
    Peer,
    ThreadsafeManager,
    Transport,
    WhenDown,
)
from litz.message import Detail, Receipt
from litz.payload import PayloadType
from litz.restarts import RestartPolicy
from litz.retry import Retry
from litz.routing import LocalTransportManager
from litz.send_arguments import check_when_down, checked_key
from litz.serving_verb import Handler, ServeArguments
from litz.snapshot import DestState, ManagerSnapshot
from litz.stream_form import AsObjects
from litz.stream_host import StreamHost
from litz.threadsafe import HomeLoop, LoopThreadsafe
from litz.within import LATE_DRAIN, late_send, late_wire, within

YIELD_EVERY: Final = 256
"""A tight loop of `await send` lets the others run after this many."""


class InprocTransportManager(LocalTransportManager):
    """Sends to the other managers on one `Hub`, in this or in other threads of the process.

    Data may be any object and is passed by reference: the receiver gets the very object. A message counts as
    accepted when it is in the peer's handler queue (same event loop) or on its way there (another one).
    `confirm="durable"` raises ValueError: there is no store. See `InprocOptions` for the keyword options.
    """

    def __init__(
        self,
        local_id: str,
        hub: Hub,
        *,
        queue_messages: int = 16_384,
        queue_bytes: int = 16 * 1024 * 1024,
        pending_requests: int = 65_536,
        connect_timeout: float = 0.0,
        close_timeout: float = 5.0,
        max_dests: int = 65_536,
        max_streams: int = 4_096,
        on_restart: RestartPolicy = "surface",
    ) -> None:
        self._local_id = validate_dest(local_id)
        self._hub = hub
        self._options = InprocOptions(
            queue_messages=queue_messages,
            queue_bytes=queue_bytes,
            pending_requests=pending_requests,
            connect_timeout=connect_timeout,
            close_timeout=close_timeout,
            max_dests=max_dests,
            max_streams=max_streams,
            on_restart=on_restart,
        )
        self._home = HomeLoop(f"the in-process manager {local_id!r}")
        self._node: Node | None = None
        self._streams: StreamHost | None = None
        self._until_yield = YIELD_EVERY

    # -- life ---------------------------------------------------------------------------------------------

    @property
    def local_id(self) -> str:
        return self._local_id

    @property
    def incarnation(self) -> int:
        """Higher for each manager that enters the hub."""
        return self._entered().incarnation

    async def __aenter__(self) -> Self:
        self._home.bind()
        try:
            self._node = Node(self._local_id, self._hub, self._options)
        except BaseException:
            self._home.open = False
            raise
        self._streams = StreamHost(self, self._node.streams, AsObjects)
        return self

    async def aclose(self, *, returning_in: float | None = None) -> None:
        check_returning(returning_in)
        node = self._node
        if node is not None:
            await self._home.close(partial(self._close, returning_in), self._orphaned)

    async def _close(self, returning_in: float | None) -> None:
        node = self._entered()
        self._home.open = False
        dials = tuple(node.dials)
        node.shut(returning_in)
        if dials:
            await asyncio.wait(dials)
        try:
            async with asyncio.timeout(self._options.close_timeout):
                if self._streams is not None:
                    await self._streams.close()
                await node.inbox.wait_served()
        except TimeoutError:
            warnings.warn(
                f"handlers of {self._local_id} did not end within {self._options.close_timeout} s of aclose()",
                RuntimeWarning,
                stacklevel=2,
            )

    def _orphaned(self) -> None:
        """The loop was closed without `aclose`; any thread may say so."""
        node = self._entered()
        self._home.open = False
        node.closed = True
        node.peer_is_dead(node)

    def __del__(self) -> None:
        home = getattr(self, "_home", None)
        if home is not None and home.open:
            warnings.warn(f"{self!r} was dropped without aclose()", ResourceWarning, source=self, stacklevel=2)
            node = self._entered()
            if node.loop.is_closed():
                self._orphaned()
            else:
                node.loop.call_soon_threadsafe(node.shut)

    def __repr__(self) -> str:
        state = "open" if self._home.open else "new" if self._node is None else "closed"
        dests = len(self._node.transports) if self._node is not None else 0
        return f"<in-process manager {self._local_id}: {state}, {dests} dests>"

    def _entered(self) -> Node:
        if self._node is None:
            raise ManagerStateError(f"{self!r} is not entered yet; use it inside `async with`")
        return self._node

    def _use(self, reopening: str | None = None) -> Node:
        """The node, if the manager may be used here and now. `reopening`: a dest whose goodbye counts no more."""
        self._home.check()
        node = self._entered()
        if reopening is not None:
            node.departures.back(reopening)
        return node

    # -- sending ------------------------------------------------------------------------------------------

    async def send(
        self,
        dest: str,
        data: Any,
        *,
        payload_type: PayloadType = PayloadType.RPC_RELIABLE,
        confirm: Confirm | None = None,
        key: str | None = None,
        when_down: WhenDown | None = None,
        timeout: float | None = None,
        reopen: bool = False,
    ) -> Receipt:
        node = self._use(dest if reopen else None)
        level = level_of(confirm, payload_type)
        if when_down is not None:
            check_when_down(when_down)
        detail = None if key is None else Detail(key=checked_key(key))
        if timeout is not None:
            async with within(timeout, *late_send(dest, confirm)):
                return await self._send(
                    node, dest, data, lane=payload_type, level=level, detail=detail, when_down=when_down
                )
        return await self._send(node, dest, data, lane=payload_type, level=level, detail=detail, when_down=when_down)

    async def _send(
        self,
        node: Node,
        dest: str,
        data: Any,
        *,
        lane: PayloadType,
        level: Level | None,
        detail: Detail | None,
        when_down: WhenDown | None,
    ) -> Receipt:
        self._until_yield -= 1
        if self._until_yield <= 0:
            self._until_yield = YIELD_EVERY
            await asyncio.sleep(0)
        while True:
            if node.closed:
                raise ManagerStateError(f"{self!r} is closed")
            if when_down == "fail" and not self.is_connected(validate_dest(dest)):
                raise ConnectError(f"{dest} is not connected and when_down is 'fail'", dest=dest)
            transport = node.connected(dest)
            if transport is None:
                queues = when_down == "queue" or (when_down is None and node.comes_back(dest))
                transport = node.queueing(dest) if queues else await patiently(node, dest, when_down)
            out = lane_of(transport, lane)
            receipt = await out.wait_accepted(data, detail)
            if receipt is not None:
                break
        if level is not None:
            await out.acked(receipt[1] + 1, level)
        return receipt

    def send_nowait(
        self,
        dest: str,
        data: Any,
        *,
        payload_type: PayloadType = PayloadType.RPC_RELIABLE,
        key: str | None = None,
        reopen: bool = False,
    ) -> Receipt:
        node = self._use(dest if reopen else None)
        transport = node.connected(dest)
        if transport is None:
            transport = node.queueing(dest)
        return lane_of(transport, payload_type).accept_now(data, None if key is None else Detail(key=checked_key(key)))

    async def request(
        self,
        dest: str,
        data: Any,
        *,
        timeout: float | None = None,
        when_down: WhenDown | None = None,
        reopen: bool = False,
    ) -> Any:
        node = self._use(dest if reopen else None)
        if when_down is not None:
            check_when_down(when_down)
        future: asyncio.Future[Any] = node.loop.create_future()
        request_id = node.requests.open(future)
        try:
            async with asyncio.timeout(timeout) as limit:
                await self._send(
                    node,
                    dest,
                    data,
                    lane=PayloadType.RPC_RELIABLE,
                    level=None,
                    detail=Detail(request_id=request_id),
                    when_down=when_down,
                )
                return await future
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise RequestTimeoutError(f"no reply from {dest} within {timeout} s; it may have run") from error
        finally:
            node.give_up(dest, request_id)
            if future.done() and not future.cancelled():
                future.exception()  # it may have failed while we were being cancelled

    async def drain(
        self,
        dest: str | None = None,
        *,
        timeout: float | None = None,
        final: bool = False,
        reason: str = "",
        returning_in: float | None = None,
    ) -> tuple[LostReceipt, ...]:
        node = self._use()
        check_drain(dest, final=final, reason=reason, returning_in=returning_in)
        if final:
            return await drain_finally(node, timeout, reason, returning_in)
        async with within(timeout, *LATE_DRAIN):
            await all_received(node, dest)
        return ()

    def peer(self, dest: str) -> Peer:
        return BoundPeer(self, validate_dest(dest))

    def _stream_host(self) -> StreamHost:
        self._use()
        assert self._streams is not None
        return self._streams

    # -- receiving ----------------------------------------------------------------------------------------

    def messages(self, *, sender: str | None = None) -> MessageStream:
        return self._use().inbox.messages(sender=sender)

    async def serve(self, handler: Handler, **how: Unpack[ServeArguments]) -> None:
        await self._use().inbox.serve(handler, **how)

    # -- dests --------------------------------------------------------------------------------------------

    def reaches(self, dest: str) -> bool:
        return self._hub.has(dest)

    async def get_or_create_transport(
        self, dest: str, *, reopen: bool = False, retry: Retry | None = None
    ) -> Transport:
        return await patiently(self._use(dest if reopen else None), dest, retry)

    async def close_transport(self, dest: str, *, reason: str = "") -> tuple[LostReceipt, ...]:
        return self._use().close_dest(dest, reason, ConnectError(f"{dest} was closed here", dest=dest))

    async def close_all(self, *, reason: str = "") -> None:
        for dest in self.list_dests():
            await self.close_transport(dest, reason=reason)

    @property
    def dest_count(self) -> int:
        return len(self._use().transports)

    def list_dests(self) -> list[str]:
        return list(self._use().transports)

    def has_dest(self, dest: str) -> DestState | None:
        transport = self._use().transports.get(dest)
        return transport.state if transport is not None else None

    def is_connected(self, dest: str) -> bool:
        transport = self._use().transports.get(dest)
        return transport is not None and transport.link is not None and not transport.link.ended

    async def wait_connected(self, dest: str, *, timeout: float | None = None) -> None:
        node = self._use()
        validate_dest(dest)
        async with within(timeout, *late_wire(dest)):
            while not self.is_connected(dest):
                await node.watch.changed(dest)

    def add_endpoints(self, dest: str, hints: Iterable[str]) -> None:
        """Nothing to add: the hub knows the way. The id is checked all the same."""
        self._use()
        validate_dest(dest)

    async def reconnect(self, dest: str, kind: str | None = None) -> None:
        await self._use(dest).connect(dest)

    def start_health_checker(self, interval: float | None = None) -> HealthCheckHandle:
        """There is nothing to check: a session in one process has no wire that could fail."""
        self._use()
        return NothingToCheck()

    # -- sight --------------------------------------------------------------------------------------------

    def snapshot(self) -> ManagerSnapshot:
        node = self._node
        dests = tuple(t.snapshot() for t in node.transports.values()) if node is not None else ()
        return ManagerSnapshot(
            local_id=self._local_id,
            running=self._home.open,
            endpoints=(),
            logged_bytes=sum(lane.logged_bytes for dest in dests for lane in dest.lanes),
            inbox_bytes=node.inbox.pending_bytes if node is not None else 0,
            dests=dests,
            departed=node.departures.snapshot(node.loop.time()) if node is not None else (),
            draining=node is not None and node.leaving is not None,
            history=node.events.history.others(node.transports) if node is not None else (),
        )

    def events(self, *, limit: int = 1024) -> EventStream:
        return self._use().events.follow(limit=limit)

    @property
    def threadsafe(self) -> ThreadsafeManager:
        return LoopThreadsafe(self, self._home)
