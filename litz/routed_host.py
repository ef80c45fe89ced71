"""The streams of a routing manager: of peers in this process over one manager, of all others over the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from litz.pipe_host import PipeHost
from litz.stream import Stream
from litz.stream_form import ObjectCodec, StreamForm, Through
from litz.stream_host import Listener, MakeForm, StreamHost
from litz.stream_listener import AcceptStream, Standing, StreamHandler, StreamListener
from litz.stream_opening import OpeningStream
from litz.stream_options import StreamOptions
from litz.stream_port import Accept, StreamCarrier, StreamSide

if TYPE_CHECKING:
    from litz.manager import TransportManager


class RoutedListener:
    """One service on both managers. See `litz.stream_listener.StreamListener`."""

    def __init__(self, both: tuple[StreamListener, StreamListener]) -> None:
        self._both = both

    @property
    def service(self) -> str:
        return self._both[0].service

    @property
    def streams(self) -> list[Stream]:
        return [stream for listener in self._both for stream in listener.streams]

    @property
    def waiting(self) -> int:
        return sum(listener.waiting for listener in self._both)

    def start(self) -> None:
        for listener in self._both:
            listener.start()

    async def stop(self, streams: Standing = "live", *, timeout: float | None = None) -> None:
        await asyncio.gather(*(listener.stop(streams, timeout=timeout) for listener in self._both))

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop("drain" if kind is None else "abort")

    def __repr__(self) -> str:
        return f"<{self._both[0]!r} and {self._both[1]!r}>"


class RoutedCarrier:
    """Both carriers as one."""

    def __init__(self, reaches: Callable[[str], bool], inside: StreamCarrier, outside: StreamCarrier) -> None:
        self._reaches = reaches
        self._inside = inside
        self._outside = outside

    async def open(self, dest: str, service: str, metadata: bytes, *, pipe: bool, timeout: float | None) -> StreamSide:
        carrier = self._inside if self._reaches(dest) else self._outside
        return await carrier.open(dest, service, metadata, pipe=pipe, timeout=timeout)

    def listen(self, service: str, accept: Accept) -> Callable[[], None]:
        stop = self._inside.listen(service, accept)
        try:
            stop_too = self._outside.listen(service, accept)
        except BaseException:
            stop()
            raise
        return partial(_call_both, stop, stop_too)


class RoutedStreamHost:
    """Opens over the manager that reaches the dest now, and listens on both. Messages that leave the process go through
    the codec, if there is one."""

    def __init__(
        self,
        manager: TransportManager,
        reaches: Callable[[str], bool],
        both: tuple[TransportManager, TransportManager],
        codec: ObjectCodec | None,
    ) -> None:
        inner = [each._stream_host() for each in both]
        forms: list[MakeForm] = [inner[0].form, inner[1].form]
        if codec is not None:
            forms[1] = _through(codec, forms[1])
        self._reaches = reaches
        self._inside = StreamHost(manager, inner[0].carrier, forms[0])
        self._outside = StreamHost(manager, inner[1].carrier, forms[1])
        self.carrier = RoutedCarrier(reaches, inner[0].carrier, inner[1].carrier)
        self.form = forms[1]
        self.pipes = PipeHost(manager, self.carrier)

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
        host = self._inside if self._reaches(dest) else self._outside
        return host.open(dest, service, metadata, options, timeout=timeout, reopen=reopen)

    def listen(
        self,
        service: str,
        handler: StreamHandler,
        options: StreamOptions | None,
        accept: AcceptStream | None,
    ) -> Listener:
        """See `litz.stream_verbs.StreamVerbs.listen_streams`."""
        inside = self._inside.listen(service, handler, options, accept)
        try:
            outside = self._outside.listen(service, handler, options, accept)
        except BaseException:
            inside.unbind()
            raise
        return RoutedListener((inside, outside))

    async def close(self) -> None:
        """End the handlers, and wait for their end."""
        await asyncio.gather(self._inside.close(), self._outside.close(), self.pipes.close())


def _call_both(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


def _through(codec: ObjectCodec, form: MakeForm) -> MakeForm:
    def make(max_message: int) -> StreamForm:
        return Through(codec, form(max_message))

    return make
