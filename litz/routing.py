"""One manager over two: peers in this process by reference, all others through bytes."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import Any, Self, Unpack

from litz.bound_peer import BoundPeer
from litz.departures import check_drain, check_returning, draining_error
from litz.errors import ConsumerConflictError, ManagerStateError, PayloadError
from litz.events import LostReceipt
from litz.manager import (
    Confirm,
    EventStream,
    HealthCheckHandle,
    MessageStream,
    Peer,
    ThreadsafeManager,
    Transport,
    TransportManager,
    WhenDown,
)
from litz.message import Message, Receipt
from litz.order import keys_of
from litz.payload import PayloadType
from litz.retry import Retry
from litz.routed_codec import Codec, EncodingSource, as_it_is, encoded
from litz.routed_host import RoutedStreamHost
from litz.routed_streams import Feed, RoutedEvents, RoutedStream
from litz.serving_verb import Handler, ServeArguments
from litz.snapshot import DestState, ManagerSnapshot
from litz.threadsafe import HomeLoop, LoopThreadsafe
from litz.within import LATE_DRAIN, late_wire, within


class LocalTransportManager(TransportManager):
    """A manager for peers in this process; it can tell which they are."""

    @abstractmethod
    def reaches(self, dest: str) -> bool:
        """Whether `dest` is in this process now. Any thread."""


class RoutingTransportManager(TransportManager):
    """Sends to peers in this process through `inproc`, to all others through `outproc`.

    Both have the id `local_id` and are entered and closed with it. In process, objects pass by reference; what
    leaves the process is encoded by `codec` and decoded on arrival (both ends need it), replies too. Without
    a codec only buffers can leave: anything else raises `PayloadError`, which names the object.
    A dest is looked up on every send: one that comes into this process is sent to directly from then on, and
    order holds for each of the two ways.
    """

    def __init__(
        self,
        local_id: str,
        *,
        inproc: LocalTransportManager,
        outproc: TransportManager,
        codec: Codec | None = None,
    ) -> None:
        if not local_id == inproc.local_id == outproc.local_id:
            ids = f"{local_id!r}, {inproc.local_id!r} and {outproc.local_id!r}"
            raise ValueError(f"the three managers are one node and need one id, not {ids}")
        self._inproc = inproc
        self._outproc = outproc
        self._codec = codec
        self._home = HomeLoop(f"the routing manager {local_id!r}")
        self._feeds: dict[str | None, list[Feed]] = {}
        self._streams: dict[str | None, None] = {}
        self._serving = False
        self._leaves = False
        self._stream_hosts: RoutedStreamHost | None = None

    # -- life ---------------------------------------------------------------------------------------------

    @property
    def local_id(self) -> str:
        return self._inproc.local_id

    async def __aenter__(self) -> Self:
        self._home.bind()
        try:
            await self._inproc.__aenter__()
            try:
                await self._outproc.__aenter__()
            except BaseException:
                await self._inproc.aclose()
                raise
        except BaseException:
            self._home.open = False
            raise
        return self

    async def aclose(self, *, returning_in: float | None = None) -> None:
        check_returning(returning_in)
        await self._home.close(partial(self._close, returning_in), lambda: None)

    async def _close(self, returning_in: float | None) -> None:
        self._home.open = False
        both = (self._inproc, self._outproc)
        await asyncio.gather(*(manager.aclose(returning_in=returning_in) for manager in both))
        if self._stream_hosts is not None:
            await self._stream_hosts.close()
        tasks = [feed.task for feeds in self._feeds.values() for feed in feeds if feed.task is not None]
        if tasks:
            await asyncio.wait(tasks)

    def __repr__(self) -> str:
        return f"<routing manager {self.local_id}: {self._inproc!r}, {self._outproc!r}>"

    # -- sending ------------------------------------------------------------------------------------------

    def _route(self, dest: str, data: Any) -> tuple[TransportManager, Any]:
        """Which manager carries it, and what it carries."""
        self._home.check()
        if self._leaves:
            raise draining_error(self.local_id)
        if self._inproc.reaches(dest):
            return self._inproc, data
        return self._outproc, self._encode(dest, data)

    def _encode(self, dest: str, data: Any) -> Any:
        if self._codec is not None:
            return self._codec.encode(data)
        parts = data if type(data) is list else [data]
        for part in parts:
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise PayloadError(
                    f"{part!r:.80} ({type(part).__name__}) cannot leave this process, and {dest} is outside of it; "
                    f"send bytes, or give RoutingTransportManager a codec"
                )
        return data

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
        manager, data = self._route(dest, data)
        return await manager.send(
            dest,
            data,
            payload_type=payload_type,
            confirm=confirm,
            key=key,
            when_down=when_down,
            timeout=timeout,
            reopen=reopen,
        )

    def send_nowait(
        self,
        dest: str,
        data: Any,
        *,
        payload_type: PayloadType = PayloadType.RPC_RELIABLE,
        key: str | None = None,
        reopen: bool = False,
    ) -> Receipt:
        manager, data = self._route(dest, data)
        return manager.send_nowait(dest, data, payload_type=payload_type, key=key, reopen=reopen)

    async def request(
        self,
        dest: str,
        data: Any,
        *,
        timeout: float | None = None,
        when_down: WhenDown | None = None,
        reopen: bool = False,
    ) -> Any:
        manager, data = self._route(dest, data)
        reply = await manager.request(dest, data, timeout=timeout, when_down=when_down, reopen=reopen)
        return reply if manager is self._inproc or self._codec is None else self._codec.decode(reply)

    async def drain(
        self,
        dest: str | None = None,
        *,
        timeout: float | None = None,
        final: bool = False,
        reason: str = "",
        returning_in: float | None = None,
    ) -> tuple[LostReceipt, ...]:
        self._home.check()
        check_drain(dest, final=final, reason=reason, returning_in=returning_in)
        both = (self._inproc, self._outproc)
        if final:
            self._leaves = True  # the two begin a turn of the loop later
            leave = [each.drain(timeout=timeout, final=True, reason=reason, returning_in=returning_in) for each in both]
            local, distant = await asyncio.gather(*leave)
            return local + distant
        async with within(timeout, *LATE_DRAIN):
            for manager in both:
                await manager.drain(dest)
        return ()

    def peer(self, dest: str) -> Peer:
        return BoundPeer(self, self._outproc.peer(dest).dest)

    def _stream_host(self) -> RoutedStreamHost:
        self._home.check()
        if self._leaves:
            raise draining_error(self.local_id)
        if self._stream_hosts is None:
            both = (self._inproc, self._outproc)
            self._stream_hosts = RoutedStreamHost(self, self._inproc.reaches, both, self._codec)
        return self._stream_hosts

    # -- receiving ----------------------------------------------------------------------------------------

    def _decoded(self, message: Message) -> Message:
        """A message from outside, as the consumer wants it."""
        if self._codec is None:
            return message
        try:
            data = self._codec.decode(message.data)
        except Exception as error:
            raise PayloadError(f"message {message.number} from {message.sender} cannot be decoded") from error
        return Message((data, message.number, EncodingSource(message.source, self._codec), message.detail))

    def messages(self, *, sender: str | None = None) -> MessageStream:
        self._home.check()
        if self._serving:
            raise ConsumerConflictError("serve() runs on this manager; stop it before asking for messages()")
        if sender in self._streams:
            raise ConsumerConflictError("somebody reads these messages already; close that stream first")
        feeds = self._feeds.get(sender)
        if not feeds:
            local = Feed(self._inproc.messages(sender=sender), as_it_is)
            feeds = self._feeds[sender] = [local, Feed(self._outproc.messages(sender=sender), self._decoded)]
        self._streams[sender] = None
        return RoutedStream(feeds, lambda: self._streams.pop(sender, None))

    async def serve(self, handler: Handler, **how: Unpack[ServeArguments]) -> None:
        self._home.check()
        if self._serving or self._streams:
            raise ConsumerConflictError("somebody consumes the messages of this manager already")
        self._serving = True
        try:
            feeds, self._feeds = self._feeds, {}
            for feed in [feed for found in feeds.values() for feed in found]:
                await feed.leave(again=False)

            def from_outside(message: Message) -> Any:
                result = handler(self._decoded(message))
                if self._codec is None or result is None or not message.is_request:
                    return result
                return encoded(result, self._codec) if hasattr(result, "__await__") else self._codec.encode(result)

            with_decoded = keys_of(how.get("order"), self._decoded)
            loop = asyncio.get_running_loop()
            await self._both(
                loop.create_task(self._inproc.serve(handler, **how)),
                loop.create_task(self._outproc.serve(from_outside, **how | {"order": with_decoded})),
            )
        finally:
            self._serving = False

    async def _both(self, *tasks: asyncio.Task[None]) -> None:
        """Wait for both, end both, and raise what one raised, unless it is that the manager closed."""
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            if error is not None and (self._home.open or not isinstance(error, ManagerStateError)):
                raise error

    # -- dests --------------------------------------------------------------------------------------------

    def _home_of(self, dest: str) -> TransportManager:
        self._home.check()
        return self._inproc if self._inproc.has_dest(dest) or self._inproc.reaches(dest) else self._outproc

    async def get_or_create_transport(
        self, dest: str, *, reopen: bool = False, retry: Retry | None = None
    ) -> Transport:
        return await self._home_of(dest).get_or_create_transport(dest, reopen=reopen, retry=retry)

    async def close_transport(self, dest: str, *, reason: str = "") -> tuple[LostReceipt, ...]:
        self._home.check()
        local = await self._inproc.close_transport(dest, reason=reason)
        return local + await self._outproc.close_transport(dest, reason=reason)

    async def close_all(self, *, reason: str = "") -> None:
        self._home.check()
        await asyncio.gather(self._inproc.close_all(reason=reason), self._outproc.close_all(reason=reason))

    @property
    def dest_count(self) -> int:
        return len(self.list_dests())

    def list_dests(self) -> list[str]:
        """Those in this process first."""
        self._home.check()
        return list(dict.fromkeys([*self._inproc.list_dests(), *self._outproc.list_dests()]))

    def has_dest(self, dest: str) -> DestState | None:
        self._home.check()
        return self._inproc.has_dest(dest) or self._outproc.has_dest(dest)

    def is_connected(self, dest: str) -> bool:
        self._home.check()
        return self._inproc.is_connected(dest) or self._outproc.is_connected(dest)

    async def wait_connected(self, dest: str, *, timeout: float | None = None) -> None:
        self._home.check()
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(manager.wait_connected(dest)) for manager in (self._inproc, self._outproc)]
        try:
            async with within(timeout, *late_wire(dest)):
                done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in waits:
                task.cancel()
            await asyncio.wait(waits)

    def add_endpoints(self, dest: str, hints: Iterable[str]) -> None:
        self._home.check()
        self._outproc.add_endpoints(dest, hints)

    async def reconnect(self, dest: str, kind: str | None = None) -> None:
        await self._home_of(dest).reconnect(dest, kind)

    def start_health_checker(self, interval: float | None = None) -> HealthCheckHandle:
        self._home.check()
        return self._outproc.start_health_checker(interval)

    # -- sight --------------------------------------------------------------------------------------------

    def snapshot(self) -> ManagerSnapshot:
        local, distant = self._inproc.snapshot(), self._outproc.snapshot()
        return ManagerSnapshot(
            local_id=self.local_id,
            running=self._home.open,
            endpoints=local.endpoints + distant.endpoints,
            logged_bytes=local.logged_bytes + distant.logged_bytes,
            inbox_bytes=local.inbox_bytes + distant.inbox_bytes,
            dests=local.dests + distant.dests,
            outbox=distant.outbox,
            inbox=distant.inbox,
            departed=local.departed + distant.departed,
            draining=distant.draining,
            history=tuple(sorted(local.history + distant.history, key=lambda entry: entry.until)),
        )

    def events(self, *, limit: int = 1024) -> EventStream:
        self._home.check()
        return RoutedEvents([self._inproc.events(limit=limit), self._outproc.events(limit=limit)])

    @property
    def threadsafe(self) -> ThreadsafeManager:
        return LoopThreadsafe(self, self._home)


__all__ = ["Codec", "LocalTransportManager", "RoutingTransportManager"]
