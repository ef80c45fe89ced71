"""The streams of one manager: opens them, binds services, and ends their handlers when the manager closes."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from litz.dest import validate_dest
from litz.errors import ManagerStateError
from litz.pipe_host import PipeHost
from litz.stream import Stream
from litz.stream_core import StreamCore
from litz.stream_form import StreamForm
from litz.stream_listener import AcceptStream, Standing, StreamHandler, StreamListener
from litz.stream_opening import OpeningStream
from litz.stream_options import DEFAULT_OPTIONS, StreamOptions, checked_metadata, checked_service
from litz.stream_port import Offer, StreamCarrier, StreamSide
from litz.within import late_open, within

if TYPE_CHECKING:
    from litz.manager import Peer, TransportManager

MakeForm = Callable[[int], StreamForm]
"""How messages become entries, for one stream whose messages have so many bytes at most."""


class Listener(Protocol):
    """What `listen_streams` returns: see `litz.stream_listener.StreamListener`."""

    @property
    def service(self) -> str: ...

    @property
    def streams(self) -> list[Stream]: ...

    @property
    def waiting(self) -> int: ...

    def start(self) -> None: ...

    async def stop(self, streams: Standing = "live", *, timeout: float | None = None) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class StreamHost:
    """What a manager keeps for the streams of its users. Made when it is entered, in its loop.

    carrier  carries them
    form     what its entries are: `AsBytes` or `AsObjects`
    """

    def __init__(self, manager: TransportManager, carrier: StreamCarrier, form: MakeForm) -> None:
        self.carrier = carrier
        self.form = form
        self._manager = weakref.ref(manager)
        self._local_id = manager.local_id
        self._listeners: dict[StreamListener, None] = {}
        self.pipes = PipeHost(manager, carrier)

    def open(
        self,
        dest: str,
        service: str,
        metadata: object,
        options: StreamOptions | None,
        *,
        timeout: float | None,
        reopen: bool = False,
    ) -> OpeningStream:
        """See `litz.stream_verbs.StreamVerbs.open_stream`."""
        validate_dest(dest)
        offer = Offer(self._local_id, checked_service(service), checked_metadata(metadata), verified=True, pipe=False)
        chosen = options or DEFAULT_OPTIONS
        seconds = chosen.open_timeout if timeout is None else timeout
        first = self._manager_here() if reopen else None
        return OpeningStream(partial(self._open, dest, offer, chosen, seconds, first))

    async def _open(
        self,
        dest: str,
        offer: Offer,
        options: StreamOptions,
        seconds: float,
        first: TransportManager | None,
    ) -> Stream:
        if first is None:
            side = await self.carrier.open(dest, offer.service, offer.metadata, pipe=False, timeout=seconds)
        else:
            async with within(seconds, *late_open(dest, offer.service)):
                await first.get_or_create_transport(dest, reopen=True)
                side = await self.carrier.open(dest, offer.service, offer.metadata, pipe=False, timeout=None)
        core = StreamCore(side, offer, self.form(options.max_message), options, opened_here=True)
        core.opened()
        side.use(core)
        return Stream(core, self._peer)

    def listen(
        self,
        service: str,
        handler: StreamHandler,
        options: StreamOptions | None,
        accept: AcceptStream | None,
    ) -> StreamListener:
        """See `litz.stream_verbs.StreamVerbs.listen_streams`; it is not started."""
        chosen = options or DEFAULT_OPTIONS
        listener = StreamListener(checked_service(service), handler, chosen, accept, self._make)
        unbind = self.carrier.listen(service, listener.offered)
        self._listeners[listener] = None
        listener.unbind = unbind
        return listener

    def _make(self, side: StreamSide, offer: Offer, options: StreamOptions) -> tuple[StreamCore, Callable[[], Stream]]:
        core = StreamCore(side, offer, self.form(options.max_message), options, opened_here=False)
        return core, partial(Stream, core, self._peer)

    def _peer(self, dest: str) -> Peer:
        return self._manager_here().peer(dest)

    def _manager_here(self) -> TransportManager:
        manager = self._manager()
        if manager is None:
            raise ManagerStateError(f"the manager of {self._local_id} is gone")
        return manager

    async def close(self) -> None:
        """The manager closes, and the carrier has told all streams, or is about to: end the handlers, and wait for
        their end. A cancel ends only the waiting."""
        listeners, self._listeners = self._listeners, {}
        handlers = [task for listener in listeners for task in listener.shut()]
        try:
            await self.pipes.close()
        finally:
            if handlers:
                await asyncio.wait(handlers)
