"""The contract of a transport manager. Its docstrings are the law for every implementation.

`litz.testing.check_transport_manager` checks an implementation against them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Literal, Self

from litz.blocking_stream import BlockingStream
from litz.events import Event, LostReceipt
from litz.message import Message, Receipt
from litz.payload import PayloadType
from litz.pipe_verbs import PeerPipeVerbs, PipeVerbs
from litz.retry import Retry
from litz.serving_verb import Handler, ServingVerb
from litz.snapshot import DestState, ManagerSnapshot
from litz.stream_verbs import PeerStreamVerbs

Confirm = Literal["received", "processed", "durable"]
"""How far a message must have come before a confirmed `send` returns.

received   the peer owns it, in its inbound queue
processed  the peer's handler returned, or its consumer asked for the next message
durable    the peer's inbox committed it (only where one is configured)
"""

WhenDown = Literal["wait", "queue", "fail"] | Retry
"""What `send` does about a dest without a session or wire.

wait   no session yet: wait for the first one (raises `ConnectError` if that dial fails).
       A session without wires: queue.
queue  accept at once in every state, and dial in the background. A message accepted before the
       first session is sent by it; if the dest cannot be reached it stays until it can.
fail   raise `ConnectError` at once unless a wire is up.
Retry  as wait, and go on waiting when it fails: `litz.retry.Retry`. Dials are shared and keep their own time."""


class MessageStream(ABC, AsyncIterator[Message]):
    """What `messages()` returns: an async iterator, and an async context manager around one.

    A message counts as processed when the next one is asked for, or when the stream is left. Left by an
    exception out of `async with`, the last one handed out is not: the next consumer gets it again, with
    `redelivered`. Cancelling `__anext__` loses nothing. One task at a time.

    Ends with StopAsyncIteration only when the manager was closed.
    """

    @abstractmethod
    async def __anext__(self) -> Message: ...

    def __aiter__(self) -> Self:
        return self

    @abstractmethod
    async def aclose(self) -> None:
        """Leave the stream; the last message handed out counts as processed. Idempotent."""

    async def __aenter__(self) -> Self:
        return self

    @abstractmethod
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class EventStream(ABC, AsyncIterator[tuple[int, Event]]):
    """What `events()` returns: pairs of (number, event), numbers ascending by one. The current state comes
    first, as if it had just happened. A reader that falls behind by more than the limit gets one
    `EventGap` for what it missed. Ends when the manager is closed."""

    def __aiter__(self) -> Self:
        return self

    @abstractmethod
    async def __anext__(self) -> tuple[int, Event]: ...

    @abstractmethod
    def close(self) -> None:
        """Stop following. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class HealthCheckHandle(ABC):
    """A running health-check task."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop it and wait for its end. Idempotent."""


class Transport(ABC):
    """What a manager keeps for one dest. Outlives every wire; a closed one stays closed."""

    @property
    @abstractmethod
    def dest(self) -> str: ...

    @property
    @abstractmethod
    def state(self) -> DestState: ...


class TransportManager(PipeVerbs, ServingVerb):
    """Sends by destination id, and keeps what it takes to do so.

    Used as `async with Manager(...) as manager`, in one event loop. Every method not said to be
    thread-safe belongs to that loop's thread; any number of its tasks may call any method concurrently.
    Use before entering or after closing raises `ManagerStateError`; one that is dropped unclosed warns
    (`ResourceWarning`).
    """

    # -- life ---------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def local_id(self) -> str:
        """The id of this node."""

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @abstractmethod
    async def aclose(self, *, returning_in: float | None = None) -> None:
        """Say goodbye to every peer and free everything (P7). `returning_in`: this node means to be back after about
        so many seconds, so peers keep what they send to it and dial it again, from then on; without it they do not.
        Returns within the close deadline; leaves no task, socket, timer or thread. Does not wait for unconfirmed
        messages: `drain` first if they matter; each session that still has some ends with their exact list in
        `SessionEnded`. Idempotent; from any thread and any loop; cancelling the caller does not stop it."""

    # -- sending ------------------------------------------------------------------------------------

    @abstractmethod
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
        """Send `data` to `dest`.

        Returns when the message is *accepted into the log* of its lane: from then on it reaches the peer's
        handler queue exactly once and in order (P1), or you are told that it did not (P2). `RPC_DURABLE` is
        accepted when it is committed to the outbox. With
        `confirm` it returns when that level of acknowledgement has come.

        Order: calls of one task to one dest and payload type are delivered in call order. Concurrent calls
        are delivered in the order in which they were accepted; waiters for space are served first come,
        first served.
        Cancellation: before acceptance nothing is sent; after it the message is sent all the same.
        timeout: seconds for the whole call; on expiry `TimeoutError`, like a cancellation.
        reopen: also to a dest that said goodbye, which is then a dest like any other again. Without it that raises
        `PeerClosedError` until the dest comes back by itself. One that said it would be back soon is merely detached.

        Raises `PeerClosedError`, `PeerDrainingError` (the dest leaves: send elsewhere), `DrainingError` (this node
        leaves), `InvalidDestError`, `PayloadError`, `MessageTooLargeError`, `ConnectError`,
        `BackpressureError` (a lane whose policy is to refuse), `SessionEndedError` (only with
        `confirm`), `MessageDroppedError` (only with `confirm`), `ManagerStateError`.
        """

    @abstractmethod
    def send_nowait(
        self,
        dest: str,
        data: Any,
        *,
        payload_type: PayloadType = PayloadType.RPC_RELIABLE,
        key: str | None = None,
        reopen: bool = False,
    ) -> Receipt:
        """Accept `data` now or raise `BackpressureError`; `PeerClosedError` while the dest is being closed, and after
        its goodbye unless `reopen`. A dest without a session behaves as with `when_down="queue"`."""

    @abstractmethod
    async def request(
        self,
        dest: str,
        data: Any,
        *,
        timeout: float | None = None,
        when_down: WhenDown | None = None,
        reopen: bool = False,
    ) -> Any:
        """Send `data` as a request and return the peer's reply.

        Cancelling (or the timeout, in seconds, with `RequestTimeoutError`) reaches the peer's handler, which
        is cancelled. Raises `RemoteError` (the handler raised; its kind and text are given),
        `OutcomeUnknownError` (the reply cannot come any more; the request may have run), and what
        `send` raises.
        """

    @abstractmethod
    async def drain(
        self,
        dest: str | None = None,
        *,
        timeout: float | None = None,
        final: bool = False,
        reason: str = "",
        returning_in: float | None = None,
    ) -> tuple[LostReceipt, ...]:
        """Wait until everything accepted so far, for `dest` or for all, is acknowledged as received. Raises
        `SessionEndedError` if that cannot happen any more, `TimeoutError` after `timeout` seconds. Returns ().

        final: this node leaves, for `reason`, and means to be back after about `returning_in` seconds (None: it does
        not). From this call on, in the turn in which it is made:
        - Nothing new is accepted here: `send` and its like raise `DrainingError`, also those that wait for space.
          New sessions that others begin are answered *busy*.
        - All peers are told: they get `PeerDraining`, and their new sends to this node raise `PeerDrainingError`.
        - What they had accepted before still arrives and is handled, requests are answered, at both ends, and what
          was accepted here goes out, until all of it is acknowledged.
        It returns then, or after `timeout` seconds (default: the close deadline). What is not confirmed by then ends
        loudly, with a goodbye. The list returned is exact: each receipt that a `SessionEnded` listed since the drain
        began, and no other; nothing else is unconfirmed. `aclose` then says goodbye to the peers that are left, with
        the same `returning_in` unless told otherwise. Raises `ManagerStateError`, and ValueError with `dest`. Other
        calls share the first one's drain, deadline and list; cancelling any does not stop it; `aclose` ends it.
        """

    @abstractmethod
    def peer(self, dest: str) -> Peer:
        """A handle bound to one dest: the same verbs without the first argument, and without the look-up."""

    # -- receiving ----------------------------------------------------------------------------------

    @abstractmethod
    def messages(self, *, sender: str | None = None) -> MessageStream:
        """The messages that arrive, signals first, peers in turn; with `sender` only those of one peer, which the
        general stream then does not get. Only one stream at a time for each of these, and none while
        `serve` runs: `ConsumerConflictError`."""

    # -- dests --------------------------------------------------------------------------------------

    @abstractmethod
    async def get_or_create_transport(
        self, dest: str, *, reopen: bool = False, retry: Retry | None = None
    ) -> Transport:
        """The transport of `dest`; dials if there is none. `reopen`, `retry` as in `send`. Concurrent callers by the
        thousand cause one dial; all get the same transport or the same error; cancelling one disturbs no other (P3)."""

    @abstractmethod
    async def close_transport(self, dest: str, *, reason: str = "") -> tuple[LostReceipt, ...]:
        """Say goodbye to `dest` and forget it. A dial under way is cancelled; its waiters get
        `ConnectError`. Returns the receipts that were not confirmed. Unknown dests are fine."""

    @abstractmethod
    async def close_all(self, *, reason: str = "") -> None:
        """`close_transport` for every dest, at once. The manager stays usable."""

    @property
    @abstractmethod
    def dest_count(self) -> int: ...

    @abstractmethod
    def list_dests(self) -> list[str]:
        """Every dest that is connecting, connected, detached or closing, oldest first."""

    @abstractmethod
    def has_dest(self, dest: str) -> DestState | None:
        """The state of `dest`, None if there is nothing. Truthy exactly when something is there."""

    @abstractmethod
    def is_connected(self, dest: str) -> bool:
        """Whether a session with `dest` has a wire now."""

    @abstractmethod
    async def wait_connected(self, dest: str, *, timeout: float | None = None) -> None:
        """Return when a session with `dest` has a wire. Does not dial. `TimeoutError` after `timeout`."""

    @abstractmethod
    def add_endpoints(self, dest: str, hints: Iterable[str]) -> None:
        """Endpoint URLs of `dest` to try besides those of the directory. Kept until `close_transport`, for a bounded
        number of dests."""

    @abstractmethod
    async def reconnect(self, dest: str, kind: str | None = None) -> None:
        """Dial now what is not up (of one kind, or of all), whatever the backoff says. Returns when a wire
        (of that kind) is up; concurrent calls share one attempt. Healthy wires are not touched. Also after a goodbye
        of `dest`, as with `reopen=True`. Raises `ConnectError`."""

    @abstractmethod
    def start_health_checker(self, interval: float | None = None) -> HealthCheckHandle:
        """Start the task that pings silent wires and redials failed ones, every `interval` seconds of silence
        (default: the configured one). A manager starts one when entered; calling this again replaces
        its interval and returns a handle to the same task."""

    # -- sight --------------------------------------------------------------------------------------

    @abstractmethod
    def snapshot(self) -> ManagerSnapshot: ...

    @abstractmethod
    def events(self, *, limit: int = 1024) -> EventStream:
        """Follow what happens. `limit` events are kept for a slow reader."""

    @property
    @abstractmethod
    def threadsafe(self) -> ThreadsafeManager:
        """The same verbs for other threads, blocking."""


class Peer(PeerStreamVerbs, PeerPipeVerbs):
    """One dest of a manager. Cheap; makes nothing happen by itself; valid as long as the manager is."""

    @property
    @abstractmethod
    def dest(self) -> str: ...

    @abstractmethod
    async def send(
        self,
        data: Any,
        *,
        payload_type: PayloadType = PayloadType.RPC_RELIABLE,
        confirm: Confirm | None = None,
        key: str | None = None,
        when_down: WhenDown | None = None,
        timeout: float | None = None,
        reopen: bool = False,
    ) -> Receipt: ...

    @abstractmethod
    def send_nowait(
        self,
        data: Any,
        *,
        payload_type: PayloadType = PayloadType.RPC_RELIABLE,
        key: str | None = None,
        reopen: bool = False,
    ) -> Receipt: ...

    @abstractmethod
    async def request(
        self, data: Any, *, timeout: float | None = None, when_down: WhenDown | None = None, reopen: bool = False
    ) -> Any: ...

    @abstractmethod
    async def drain(self, *, timeout: float | None = None) -> tuple[LostReceipt, ...]: ...

    @abstractmethod
    def messages(self) -> MessageStream: ...


class ThreadsafeManager(ABC):
    """For threads other than the manager's. Every call blocks; `timeout` in seconds."""

    @abstractmethod
    def send(self, dest: str, data: Any, *, timeout: float | None = None, **options: Any) -> Receipt: ...

    @abstractmethod
    def request(self, dest: str, data: Any, *, timeout: float | None = None, reopen: bool = False) -> Any: ...

    @abstractmethod
    def open_stream(self, dest: str, service: str, *, timeout: float | None = None, **options: Any) -> BlockingStream:
        """`StreamVerbs.open_stream`, with blocking verbs."""

    @abstractmethod
    def call(self, awaitable: Callable[[], Awaitable[Any]], *, timeout: float | None = None) -> Any:
        """Run `awaitable()` in the manager's loop and return its result."""


__all__ = [
    "Confirm",
    "EventStream",
    "Handler",
    "HealthCheckHandle",
    "MessageStream",
    "Peer",
    "ThreadsafeManager",
    "Transport",
    "TransportManager",
    "WhenDown",
]
