"""The verbs of streams, for every manager. Their docstrings are the law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from litz.pipe_verbs import PipeOpener
    from litz.stream_host import Listener, MakeForm
    from litz.stream_listener import AcceptStream, StreamHandler
    from litz.stream_opening import OpeningStream
    from litz.stream_options import StreamOptions
    from litz.stream_port import StreamCarrier


class StreamOpener(Protocol):
    """Who does it: `litz.stream_host.StreamHost`, or two of them behind a routing manager."""

    @property
    def carrier(self) -> StreamCarrier: ...

    @property
    def form(self) -> MakeForm: ...

    @property
    def pipes(self) -> PipeOpener: ...

    def open(
        self,
        dest: str,
        service: str,
        metadata: object,
        options: StreamOptions | None,
        *,
        timeout: float | None,
        reopen: bool,
    ) -> OpeningStream: ...

    def listen(
        self,
        service: str,
        handler: StreamHandler,
        options: StreamOptions | None,
        accept: AcceptStream | None,
    ) -> Listener: ...


class StreamVerbs(ABC):  # noqa: B024 - a part of TransportManager, which is abstract
    """What a manager offers beyond messages: streams, opened to a service of a dest."""

    __slots__ = ()

    def _stream_host(self) -> StreamOpener:
        """Who opens and listens, if the manager may be used here and now."""
        raise NotImplementedError(f"{type(self).__name__} carries no streams")

    @property
    def stream_carrier(self) -> StreamCarrier:
        """What carries the streams of this manager, for code that brings its own kind of stream (pipes do). Raises
        `ManagerStateError`."""
        return self._stream_host().carrier

    def open_stream(
        self,
        dest: str,
        service: str,
        *,
        metadata: bytes = b"",
        options: StreamOptions | None = None,
        timeout: float | None = None,
        reopen: bool = False,
    ) -> OpeningStream:
        """Open a stream to `service` of `dest`: `async with manager.open_stream(...) as stream`, or `await` it.

        One round trip; waits for the first session like `send`. `metadata` (at most 4,096 bytes) goes with it, for the
        service to read before it takes the stream. A stream lives as long as the session: cut wires do not end it.

        Cancellation: at any moment; the peer's end is aborted, if there is one.
        timeout: seconds for the open (default: `StreamOptions.open_timeout`); `TimeoutError` then.
        reopen: also to a dest that said goodbye, as in `send`.

        Raises `StreamRefusedError` (an OSError; `why` says whether there is no such service or not for this node, a
        limit is reached, the service said no, or the peer does not speak streams), `ConnectError`,
        `SessionEndedError`, `InvalidDestError`, ValueError, `ManagerStateError`.
        """
        return self._stream_host().open(dest, service, metadata, options, timeout=timeout, reopen=reopen)

    def listen_streams(
        self,
        service: str,
        handler: StreamHandler,
        *,
        options: StreamOptions | None = None,
        accept: AcceptStream | None = None,
        start: bool = True,
    ) -> Listener:
        """Take the streams that peers open to `service`: `handler(stream)` runs for each, in a task of the manager's.

        When the handler returns, the stream ends gracefully (`Stream.aclose`). An exception aborts it, tells the peer
        its kind, and goes to the loop's exception handler, once (of one peer and kind the first five, then one a
        minute, with a count: `litz.seldom`); that the stream itself was aborted or lost is no failure.
        A handler that raises CancelledError on its own has failed like any other. When the manager closes,
        handlers are cancelled and their ends awaited.

        accept  asked about each stream before it is taken, with its `litz.stream_port.Offer`: None takes it, a text
                refuses it with that reason
        start   False: the service is bound, and opens wait until `start()` of the listener: as many as
                `StreamOptions.waiting_opens`, each as long as its opener likes

        Order: streams are taken in the order in which a peer opened them; their handlers run side by side.
        Raises `ConsumerConflictError` if the service is taken, ValueError, `ManagerStateError`.
        """
        listener = self._stream_host().listen(service, handler, options, accept)
        if start:
            listener.start()
        return listener


class PeerStreamVerbs(ABC):
    """The verbs of streams, bound to one dest."""

    __slots__ = ()

    @abstractmethod
    def open_stream(
        self,
        service: str,
        *,
        metadata: bytes = b"",
        options: StreamOptions | None = None,
        timeout: float | None = None,
        reopen: bool = False,
    ) -> OpeningStream:
        """See `StreamVerbs.open_stream`."""
