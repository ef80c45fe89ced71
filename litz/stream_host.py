"""The streams of one manager: opens them, binds services, and ends their handlers when the manager closes."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from litz.dest import validate_dest
from litz.errors import ManagerStateError
from litz.stream import Stream
from litz.stream_core import StreamCore
from litz.stream_form import StreamForm
from litz.stream_listener import AcceptStream, Standing, StreamHandler, StreamListener
from litz.stream_opening import OpeningStream
from litz.stream_options import DEFAULT_OPTIONS, StreamOptions, checked_metadata, checked_service
from litz.stream_port import Offer, StreamCarrier, StreamSide

if TYPE_CHECKING:
    from litz.manager import Peer, TransportManager

MakeForm = Callable[[StreamOptions], StreamForm]
"""How messages become entries, for one stream."""


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


class StreamHost:
    """What a manager keeps for the streams of its users. Made when it is entered, in its loop.

    carrier  carries them
    form     what its entries are: `AsBytes` or `AsObjects`
    """

    def __init__(self, manager: TransportManager, carrier: StreamCarrier, form: Callable[[int], StreamForm]) -> None:
        self.carrier = carrier
        self._manager = weakref.ref(manager)
        self._local_id = manager.local_id
        self._form = form
        self._listeners: dict[StreamListener, None] = {}

    def open(
        self,
        dest: str,
        service: str,
        metadata: object,
        options: StreamOptions | None,
        *,
        timeout: float | None,
        form: MakeForm | None = None,
    ) -> OpeningStream:
        """See `litz.stream_verbs.StreamVerbs.open_stream`. `form`: in place of the carrier's own."""
        validate_dest(dest)
        offer = Offer(self._local_id, checked_service(service), checked_metadata(metadata), verified=True, pipe=False)
        chosen = options or DEFAULT_OPTIONS
        return OpeningStream(partial(self._open, dest, offer, chosen, timeout, form or self._form_of))

    async def _open(
        self, dest: str, offer: Offer, options: StreamOptions, timeout: float | None, form: MakeForm
    ) -> Stream:
        seconds = options.open_timeout if timeout is None else timeout
        side = await self.carrier.open(dest, offer.service, offer.metadata, pipe=False, timeout=seconds)
        core = StreamCore(side, offer, form(options), options, opened_here=True)
        core.opened()
        side.use(core)
        return Stream(core, self._peer)

    def listen(
        self,
        service: str,
        handler: StreamHandler,
        options: StreamOptions | None,
        accept: AcceptStream | None,
        *,
        form: MakeForm | None = None,
    ) -> StreamListener:
        """See `litz.stream_verbs.StreamVerbs.listen_streams`; it is not started."""
        make = partial(self._make, form or self._form_of)
        listener = StreamListener(checked_service(service), handler, options or DEFAULT_OPTIONS, accept, make)
        unbind = self.carrier.listen(service, listener.offered)
        self._listeners[listener] = None
        listener.unbind = unbind
        return listener

    def _make(
        self, form: MakeForm, side: StreamSide, offer: Offer, options: StreamOptions
    ) -> tuple[StreamCore, Callable[[], Stream]]:
        core = StreamCore(side, offer, form(options), options, opened_here=False)
        return core, partial(Stream, core, self._peer)

    def _form_of(self, options: StreamOptions) -> StreamForm:
        return self._form(options.max_message)

    def _peer(self, dest: str) -> Peer:
        manager = self._manager()
        if manager is None:
            raise ManagerStateError(f"the manager of {self._local_id} is gone")
        return manager.peer(dest)

    async def close(self) -> None:
        """The manager closes, and the carrier has told all streams, or is about to: end the handlers, and wait for
        their end."""
        listeners, self._listeners = self._listeners, {}
        for listener in listeners:
            await asyncio.shield(listener.shut())
