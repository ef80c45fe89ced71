"""The byte pipes of one manager: opens them, binds services, and ends their handlers when the manager closes."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from litz.dest import validate_dest
from litz.errors import ManagerStateError
from litz.pipe_transport import PipeTransport
from litz.pipes import Accepted, AnyProtocol, PipeHandler, PipeListener
from litz.pipes import listen_pipe_connections as _listen_connections
from litz.pipes import listen_pipes as _listen
from litz.pipes import open_pipe_connection as _open_connection
from litz.stream_options import DEFAULT_OPTIONS, checked_metadata, checked_service
from litz.stream_port import Offer, StreamCarrier
from litz.within import late_open, within

if TYPE_CHECKING:
    from litz.manager import TransportManager


class PipeHost:
    """What a manager keeps for the pipes of its users. Made when it is entered, in its loop."""

    def __init__(self, manager: TransportManager, carrier: StreamCarrier) -> None:
        self.carrier = carrier
        self._manager = weakref.ref(manager)
        self._listeners: weakref.WeakSet[PipeListener] = weakref.WeakSet()
        self._closed = False

    async def open(
        self,
        protocol_factory: Callable[[], AnyProtocol],
        dest: str,
        service: str,
        *,
        metadata: bytes,
        timeout: float | None,
        reopen: bool,
    ) -> tuple[PipeTransport, AnyProtocol]:
        """See `PipeVerbs.open_pipe_connection`."""
        validate_dest(dest)
        service, metadata = checked_service(service), checked_metadata(metadata)
        seconds = DEFAULT_OPTIONS.open_timeout if timeout is None else timeout
        async with within(seconds, *late_open(dest, service)):
            if reopen:
                await self._manager_here().get_or_create_transport(dest, reopen=True)
            return await _open_connection(
                self.carrier, protocol_factory, dest, service, metadata=metadata, timeout=None
            )

    def listen(self, service: str, handler: PipeHandler, limit: int, max_pipes: int) -> PipeListener:
        """See `PipeVerbs.listen_pipes`."""
        name = checked_service(service)
        return self._kept(_listen(self.carrier, name, handler, limit=limit, max_pipes=max_pipes))

    def listen_connections(
        self, service: str, accept: Callable[[Offer], Accepted | Awaitable[Accepted]], max_pipes: int
    ) -> PipeListener:
        """See `PipeVerbs.listen_pipe_connections`."""
        return self._kept(_listen_connections(self.carrier, checked_service(service), accept, max_pipes=max_pipes))

    def _kept(self, listener: PipeListener) -> PipeListener:
        self._listeners.add(listener)
        return listener

    def _manager_here(self) -> TransportManager:
        manager = self._manager()
        if manager is None:
            raise ManagerStateError("the manager of this pipe is gone")
        return manager

    async def close(self) -> None:
        """The manager closes, and the carrier has told all pipes, or is about to: end the handlers, and wait for their
        end."""
        closing = [asyncio.ensure_future(listener.aclose()) for listener in list(self._listeners)]
        if closing:
            await asyncio.gather(*closing)
