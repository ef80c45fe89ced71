"""What a WebRTC library must do so that litz can use it: an `Engine` makes a `PeerConnection`, which tells `Events`.

The engine knows nothing of litz: no frames, no signaling, no sessions. It carries messages on two data channels
that both sides open by themselves (negotiated, RFC 8832 is not used), and the wire above decides what is open, what
is dead and how much may be in flight, because libraries differ in what their own events are worth.

Law for every engine:

- All methods are called in the thread of the event loop that made the connection, and all `Events` are called in that
  thread, never from inside a method. A library with threads of its own hops with `call_soon_threadsafe`.
- Nothing of a peer may raise out of an engine, stall the loop, or grow without limit: what is malformed ends this one
  connection through `Events.closed`.
- Every coroutine may be cancelled at any await; then `aclose` is called and must free everything.
- After `abort` or `aclose` was called, no event comes but perhaps one `closed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, Protocol, runtime_checkable

from litz.wire import WirePath
from outproc.wires.webrtc.description import Description

BULK: Final = 0
"""Id of the channel for everything."""

URGENT: Final = 1
"""Id of the channel for small frames that must not wait behind bulk."""

LABELS: Final = {BULK: "litz", URGENT: "litz-urgent"}
"""Negotiated channels: id and label. Both ordered and reliable, without a protocol name."""

DRAIN_AT: Final = 32 * 1024
"""`Events.drained` is called when the bytes buffered of a channel have fallen to this or below."""

LOCAL_MAX_MESSAGE: Final = 256 * 1024
"""What every engine states as `a=max-message-size`, and takes."""

_ICE_URL: Final = re.compile(
    r"(?:stuns?|turns?):(?:\[[0-9A-Fa-f:.]+\]|[^\s:/?#\[\]@]+)(?::[0-9]{1,5})?(?:\?transport=\w+)?"
)


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server. `url` as in RFC 7064 and RFC 7065, else ValueError. The password is in no repr."""

    url: str
    username: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        if not _ICE_URL.fullmatch(self.url):
            raise ValueError(
                f"{self.url!r} is no ICE server; write stun:HOST, turn:HOST:PORT or turns:HOST?transport=tcp"
            )

    @property
    def relays(self) -> bool:
        """Whether it is a TURN server."""
        return self.url.startswith("turn")

    def __repr__(self) -> str:
        return f"<ice server {self.url}>"


@dataclass(frozen=True, slots=True)
class Settings:
    """How one connection is made.

    offerer        whether this side calls `offer`; it is ICE controlling, and DTLS server if the answer is active
    ice_servers    with credentials that are valid now; servers known to be dead are left out already
    relay_only     only candidates through TURN are gathered
    addresses      the local addresses to bind, None: those of all interfaces but loopback, which is bound only if it is
                   named here
    ports          first and last UDP port for host candidates, None: any. An engine that cannot choose says so
    gather_timeout seconds after which `offer` and `answer` go on with the candidates there are
    """

    offerer: bool
    ice_servers: tuple[IceServer, ...] = ()
    relay_only: bool = False
    addresses: tuple[str, ...] | None = None
    ports: tuple[int, int] | None = None
    gather_timeout: float = 2.0


class Events(Protocol):
    """What a connection tells. None of them raises or blocks."""

    def channel_open(self, channel: int) -> None:
        """`send` works on this channel from now on. May be told twice; a message that comes on a channel says the
        same."""

    def message(self, channel: int, data: bytes | str) -> None:
        """One whole message, in order. A text message is handed over as str, and costs the peer its wire."""

    def drained(self, channel: int) -> None:
        """`buffered(channel)` has fallen to `DRAIN_AT` or below after it had been above."""

    def servers_failed(self, urls: tuple[str, ...]) -> None:
        """These ICE servers did not answer while candidates were gathered."""

    def closed(self, reason: Literal["remote", "lost", "protocol"], detail: str) -> None:
        """The connection is dead, of itself or by the peer: it closed ("remote"), nothing goes through any more
        ("lost"), or the peer sent something malformed ("protocol"). Called once at most."""


class PeerConnection(Protocol):
    """One connection to one peer. Made idle; `offer`, or `answer`, starts it."""

    @property
    def max_message(self) -> int:
        """Bytes of the largest message that both sides take. Valid once the remote description is set."""

    @property
    def received_bytes(self) -> int:
        """Bytes that came from the peer, at whatever level can be counted. Only ever grows: a sign of life."""

    @property
    def path(self) -> WirePath:
        """Where it runs. Valid once a channel is open."""

    async def offer(self) -> str:
        """Gather all candidates (there is no trickle) and return the offer as SDP."""

    async def answer(self, offer: Description) -> str:
        """Take a filtered offer, gather, and return the answer as SDP. The connection is then made in the background;
        `Events.channel_open` tells. Raises ValueError for a description that the library does not take."""

    async def answered(self, answer: Description) -> None:
        """Take the filtered answer to our offer. The connection is then made in the background."""

    def send(self, channel: int, data: bytes) -> None:
        """Queue one message of 1 to `max_message` bytes. Never blocks. Dropped when the connection is dead."""

    def buffered(self, channel: int) -> int:
        """Bytes taken by `send` and not yet given to the network, as far as the library tells."""

    def abort(self) -> None:
        """Stop now: nothing more is sent but what tells the peer of the end. `aclose` must still be awaited."""

    async def aclose(self) -> None:
        """Free everything: sockets, tasks, timers, threads. Idempotent, bounded (2 s), never raises."""


@runtime_checkable
class Engine(Protocol):
    """A WebRTC library. One object per builder."""

    name: str
    """For people: "aiortc 1.16.0"."""

    def connect(self, settings: Settings, events: Events) -> PeerConnection:
        """A new idle connection in the running loop. Loads the library when it is first called; raises ImportError,
        naming the cure, when it is not installed."""

    async def aclose(self) -> None:
        """Free what is kept between connections. All connections have been closed before."""
