"""The driver of streams of one node, as its users and its peers see it: a `StreamCarrier`, and the subscriber of the
words that nodes say to each other about streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final
from weakref import WeakKeyDictionary

from litz.dest import validate_dest
from litz.dest_watch import DestWatch
from litz.errors import InvalidDestError, ProtocolError, StreamRefusedError
from litz.stream_counts import StreamCounts
from litz.stream_port import MAX_METADATA, Accept, Refusal, StreamSide
from litz.within import within
from outproc.dest_table import DestTable
from outproc.dest_transport import DestTransport
from outproc.local_node import LocalNode
from outproc.streams.log_room import LogRoom
from outproc.streams.offers import Offers
from outproc.streams.session_streams import RETRY_AFTER, SessionStreams
from outproc.streams.side import OutprocSide
from outproc.streams.words import FEATURE, Open, decode

Reach = Callable[[str], Awaitable[DestTransport]]
"""The transport of a dest, once its first session has begun; raises as `send` does."""

LATE: Final = "the peer is told that nobody waits any more"


def checked_service(service: str, metadata: bytes) -> None:
    """Raises ValueError for what is no name of a service, or too much metadata."""
    try:
        validate_dest(service)
    except InvalidDestError as error:
        raise ValueError(f"a service is named like a destination: {error}") from error
    if len(metadata) > MAX_METADATA:
        raise ValueError(f"metadata of {len(metadata)} bytes; at most {MAX_METADATA} go with an open: send the rest")


class Streams:
    """See the module. Belongs to the loop."""

    def __init__(self, node: LocalNode, dests: DestTable, reach: Reach, watch: DestWatch) -> None:
        self._node = node
        self._dests = dests
        self._reach = reach
        self._watch = watch
        self.offers = Offers(node)
        self.room = LogRoom(node.loop, node.options.process_stream_size)
        self._sessions: dict[str, SessionStreams] = {}
        """Of dests with a session in which a stream was opened."""
        self._counts: WeakKeyDictionary[DestTransport, StreamCounts] = WeakKeyDictionary()

    # -- users --------------------------------------------------------------------------------------

    async def open(self, dest: str, service: str, metadata: bytes, *, pipe: bool, timeout: float | None) -> StreamSide:
        """`StreamCarrier.open`."""
        checked_service(service, metadata)
        async with within(timeout, f"{dest} did not open a stream to {service!r}", LATE):
            transport = await self._standing(dest)
            side, answer = self._begin(transport, service, metadata, pipe=pipe)
            try:
                await answer
            except BaseException:
                side.release()  # also when it was opened, and the cancel came first
                raise
            return side

    def _begin(
        self, transport: DestTransport, service: str, metadata: bytes, *, pipe: bool
    ) -> tuple[OutprocSide, asyncio.Future[None]]:
        dest = transport.dest
        if FEATURE not in self._node.internal.features.get(dest, frozenset()):
            raise StreamRefusedError(f"{dest} has no streams; upgrade it", why=Refusal.UNSUPPORTED)
        overrun = self._node.stream_rests.overrun(dest)
        if overrun:
            text = f"{overrun}: receive it, or let go of these streams (process_stream_size, session_stream_size)"
            raise StreamRefusedError(text, why=Refusal.BUSY, retry_after=RETRY_AFTER)
        return self._of(transport).open(service, metadata, pipe=pipe)

    async def _standing(self, dest: str) -> DestTransport:
        """The transport of `dest`, with a session that stands. Raises what a send would."""
        while True:
            transport = await self._reach(dest)
            closed = transport.outbound.closed
            if closed is not None:
                raise closed.with_traceback(None)
            session = transport.session
            if session.pair is not None and not (session.ended or session.final):
                return transport
            # A session has ended, and the next one has not begun: it is dialled.
            await self._watch.changed(dest)

    def listen(self, service: str, accept: Accept) -> Callable[[], None]:
        """`StreamCarrier.listen`."""
        checked_service(service, b"")
        return self.offers.listen(service, accept)

    # -- sessions -----------------------------------------------------------------------------------

    def _of(self, transport: DestTransport) -> SessionStreams:
        streams = self._sessions.get(transport.dest)
        if streams is None:
            streams = SessionStreams(transport, self.room, self.counts(transport), self._node.options.max_streams)
            self._sessions[transport.dest] = streams
        return streams

    def of(self, dest: str) -> SessionStreams | None:
        """The streams of the session with `dest`, if there ever was one in it."""
        return self._sessions.get(dest)

    def forget(self, dest: str) -> SessionStreams | None:
        """The session is over."""
        return self._sessions.pop(dest, None)

    def all(self) -> Iterator[SessionStreams]:
        """Of all sessions."""
        return iter(list(self._sessions.values()))

    def counts(self, transport: DestTransport) -> StreamCounts:
        """What happened to streams with a dest, as long as it is known here."""
        return self._counts.setdefault(transport, StreamCounts())

    def had_any(self, transport: DestTransport) -> bool:
        """Whether there ever was a stream with it, or nearly."""
        return transport in self._counts

    # -- a `PortSubscriber` -------------------------------------------------------------------------

    def received(self, sender: str, data: memoryview) -> None:
        """The peer says words about streams, in the session that stands."""
        words = decode(data)
        transport = self._dests.get(sender)
        if transport is None or transport.session.pair is None:
            return
        streams = self._sessions.get(sender)
        for word in words:
            if isinstance(word, Open):
                streams = streams or self._of(transport)
                side = streams.offered(word, waiting=self._node.options.max_offers)
                if side is not None:
                    self.offers.decide(streams, side, word)
            elif streams is not None:
                streams.hear(word)
            else:
                raise ProtocolError("a word about a stream that nobody opened")

    def session_began(self, dest: str) -> None:
        self._watch.tell(dest)

    def session_ended(self, dest: str) -> None:
        """The hooks hear of it, with its error."""

    def wires_changed(self, dest: str) -> None:
        streams = self._sessions.get(dest)
        if streams is not None:
            streams.link()

    def writable(self, dest: str) -> None:
        streams = self._sessions.get(dest)
        if streams is not None:
            streams.post()
