"""The wire: one live connection to a peer, and the factories that make them.

A wire that exists is connected. A dead one is never revived: a new one is built. What a wire promises is
checked by `litz.testing.check_wire`; run it on your own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Protocol

from litz.errors import InvalidEndpointError
from litz.message import Buffer

if TYPE_CHECKING:
    from litz.node_port import NodePort

HIGH_WATER = 256 * 1024
"""A wire with at least this many bytes buffered is not writable."""

LOW_WATER = 64 * 1024
"""A wire that was not writable becomes writable again when it has at most this many buffered."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach a dest by one kind of wire. Written as a URL.

    kind     the kind of wire, as its builder names it ("websocket")
    address  the URL ("ws://127.0.0.1:8400", "unix:/run/litz.sock")
    """

    kind: str
    address: str

    @property
    def scheme(self) -> str:
        return scheme_of(self.address)

    def __str__(self) -> str:
        return self.address


EndpointSource = Literal["hints", "directory", "builder", "hello", "sdp", "name"]
"""Where an endpoint was learned: `add_endpoints`, the directory, a wire builder, the peer's handshake, its session
description; "name": it is an address to which the name in an endpoint resolved."""

EndpointFilter = Callable[[Endpoint, EndpointSource], bool]
"""Whether an endpoint may be dialled."""


def scheme_of(url: str) -> str:
    """The scheme of an endpoint URL, in lower case. Raises `InvalidEndpointError` when it has none."""
    if not isinstance(url, str):
        raise InvalidEndpointError(f"an endpoint is a URL, such as ws://127.0.0.1:8400, not a {type(url).__name__}")
    scheme, colon, rest = url.partition(":")
    if not colon or not rest or not scheme.isascii() or not scheme[:1].isalpha():
        raise InvalidEndpointError(f"{url!r} is no endpoint URL; write for example ws://127.0.0.1:8400")
    return scheme.lower()


class LossReason(Enum):
    """Why a wire closed."""

    LOCAL = "closed here"
    REMOTE = "closed by the peer"
    RESET = "connection lost"
    PROTOCOL = "the peer broke the wire's protocol"
    TIMEOUT = "timed out"


@dataclass(frozen=True, slots=True)
class WireLoss:
    """The cause of a wire's end."""

    reason: LossReason
    detail: str = ""
    error: BaseException | None = None

    def __str__(self) -> str:
        return f"{self.reason.value} ({self.detail})" if self.detail else self.reason.value


@dataclass(frozen=True, slots=True)
class WirePath:
    """Where a wire runs. `route` is how directly; the addresses are for people."""

    route: Literal["direct", "reflexive", "relay"] = "direct"
    local: str = ""
    remote: str = ""


class WireSink(Protocol):
    """What a wire calls. All three run in the event loop's thread, never from inside `write`, `start`,
    `close` or `abort`, must not raise, and must not block."""

    def frame_received(self, frame: bytes) -> None:
        """One whole frame, exactly as the peer wrote it (buffers joined)."""

    def urgent_received(self, frame: bytes) -> None:
        """The same for a frame that came on `Wire.urgent`. A wire without it never calls this."""

    def wire_writable(self) -> None:
        """The wire, or its urgent channel, takes more after it had not been writable."""

    def wire_closed(self, loss: WireLoss) -> None:
        """The wire is dead. Called exactly once, after which nothing more is called."""


class UrgentChannel(ABC):
    """The second way of a wire that has two: what is written here does not wait behind what was written to the wire.

    Law. Frames keep order and none is missing before the wire's end, as on the wire itself; between the two there is no
    order. It lives and dies with its wire: there is nothing to start or to close. Whoever started the wire takes frames
    of both.
    """

    @abstractmethod
    def write(self, buffers: Sequence[Buffer]) -> None:
        """As `Wire.write`. Raises ValueError for a frame over the `max_frame` of the wire."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether the session should write more here now. False early: what waits here is not urgent any more."""


class Wire(ABC):
    """One live connection to a peer that carries frames.

    Law. Frames arrive whole. If `ordered`, in the order written; if `reliable`, none is missing or doubled
    before the end (after an end any suffix may be missing: only acks of the session prove delivery). A wire that is not
    both carries what is latency first and pings, and no more; whatever it is, a frame arrives unchanged.
    All methods are called in the thread of the event loop that made the wire.
    """

    kind: str = ""
    """The kind of wire: the same word as in its endpoint."""
    ordered: bool = True
    reliable: bool = True
    max_frame: int = 1 << 20
    """The largest frame in bytes that `write` takes."""
    frame_size: int = 1 << 20
    """Bytes that a frame of much data has at most now, `max_frame` or less: larger ones cost less, and what is urgent
    waits longer behind them. May change at any time; what makes a frame larger for another reason is no fault."""
    secure: bool = False
    """Whether the channel itself protects frames end to end (TLS, DTLS, or it never leaves this host)."""
    path: WirePath = WirePath()
    received_bytes: int = 0
    """Bytes that have come so far, of whole frames or not: any of them is a sign of life. A wire that leaves it 0 shows
    life by whole frames only, so that a large frame on a slow link looks like silence."""
    channel_binding: bytes | None = None
    """Bytes that both ends of a protected channel know and nobody else can choose (RFC 5929, RFC 9266);
    part of the signed transcript, so that a proof cannot be replayed on another channel."""
    peer_certificates: tuple[bytes, ...] = ()
    """Certificates (DER) that this end has verified in TLS: the peer's own first, which it proved to hold the key of,
    then those that lead to an authority, as far as is known. Empty on other channels."""
    bound: bool = False
    """Whether it is of no use once the local address of its path is gone, even if that comes back."""
    urgent: UrgentChannel | None = None
    """A second way for small frames within the same connection, where the kind of wire has one."""

    @abstractmethod
    def start(self, sink: WireSink) -> None:
        """Begin to deliver to `sink`. Called exactly once. Frames that came before wait for it (bounded:
        the wire stops reading); a wire that died before calls `wire_closed` soon after."""

    def hold(self) -> float:
        """A wire that came in will not be started at once. Returns for how many seconds its peer has patience, less a
        little. Called before `start`, from inside the callback that the wire was given to. Default: 3, for a peer of
        litz gives a handshake 5."""
        return 3.0

    @abstractmethod
    def write(self, buffers: Sequence[Buffer]) -> None:
        """Write one frame, given as buffers that are not joined by the caller. Synchronous, copies nothing it
        need not, never blocks and never raises for a dead wire (the frame is dropped; `wire_closed` tells).
        The buffers must not change afterwards. Raises ValueError for a frame over `max_frame`."""

    @property
    @abstractmethod
    def buffered_bytes(self) -> int:
        """Bytes written and not yet handed to the system, on both ways of a wire that has two."""

    @property
    def writable(self) -> bool:
        """Whether the session should write more now. It may write regardless; memory is all it costs."""
        return self.buffered_bytes < HIGH_WATER

    @abstractmethod
    def close(self) -> None:
        """Flush what is buffered, then close; in bounded time also when the peer does not help. Idempotent."""

    @abstractmethod
    def abort(self) -> None:
        """Close now and drop what is buffered. Idempotent. `wire_closed` follows soon."""

    def __repr__(self) -> str:
        return f"<{self.kind} wire {self.path.local or '?'} - {self.path.remote or '?'}>"


class WireListener(ABC):
    """The accepting side of one address."""

    @property
    @abstractmethod
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where it really listens (a port of 0 has become a real one)."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stop listening and free the address. Wires already accepted live on. Idempotent."""


AcceptWire = Callable[[Wire], None]
"""Called with each wire that came in. The wire has not been started."""


class WireBuilder(ABC):
    """Makes wires of one kind. Pass an instance to a manager, or publish the class under the entry-point group
    `litz.wires` (it is called without arguments)."""

    kind: str = ""
    schemes: Sequence[str] = ()
    """URL schemes that name this kind of endpoint."""
    backoff: tuple[float, float] | None = None
    """The first and the highest ceiling, in seconds, of the waits between dials of such endpoints; None: those of the
    manager's options. May be set on an instance, before the manager is made."""

    def attach(self, port: NodePort) -> None:
        """The manager has been entered and will build wires: `port` is how to reach it, and through it other nodes.
        Called once, before anything else, in the loop's thread. Default: nothing is needed."""
        return

    @abstractmethod
    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        """Dial once and return the live wire, not started. May be cancelled at any time (it must then leave
        nothing behind); the manager sets the deadline. Raises `OSError` or a `LitzError` when it fails."""

    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        """Endpoints that this builder knows of by the dest alone. Default: none."""
        return ()

    async def listen(self, endpoint: Endpoint, accept: AcceptWire, **options: Any) -> WireListener:
        """Listen at `endpoint` and call `accept` for each wire that comes in. `options` are those of the kind
        of wire (`ssl=`, `origins=`). Default: this kind cannot listen."""
        raise InvalidEndpointError(f"wires of kind {self.kind!r} cannot listen at {endpoint}")

    def is_local(self, endpoint: Endpoint) -> bool:
        """Whether only this host can reach `endpoint` (loopback, Unix socket). Listening elsewhere needs an
        authenticator. Default: no."""
        return False

    async def aclose(self) -> None:
        """Free what the builder keeps between dials. Default: nothing is kept."""
        return
