"""The node port: what a manager offers to the wire builders attached to it.

A builder that needs more than an address (a relay, WebRTC signaling) talks through it with the builder of the same
topic at other nodes, over the sessions that stand. It is given to `WireBuilder.attach`, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from litz.message import Buffer
from litz.wire import EndpointSource, Wire

MAX_SIGNAL: int = 64 * 1024
"""The largest internal message in bytes, topic included, that is not bulk."""

MAX_BULK: int = 128 * 1024
"""The largest internal message in bytes, topic included, that is bulk."""

MAX_TOPIC: int = 32
"""Characters of a topic: lower-case letters, digits, "-" and "."."""


class PortSubscriber(Protocol):
    """Whoever has subscribed to a topic. All are called in the loop's thread, must not block, and may call the port
    again from inside. An exception costs its maker nothing but an entry in the loop's exception handler."""

    def received(self, sender: str, data: memoryview) -> None:
        """One internal message of the topic. `data` may be kept; it is not written to any more. Raises `ProtocolError`
        if it is malformed: that costs the peer the wire on which it came."""

    def session_began(self, dest: str) -> None:
        """A session with `dest` has begun: `post` works from now on. Also called when subscribing, for each session
        that stands."""

    def session_ended(self, dest: str) -> None:
        """The session with `dest` is over, with all that was posted and has not arrived. Another one may follow."""

    def wires_changed(self, dest: str) -> None:
        """A wire joined or left the session with `dest`: look at `kinds`."""

    def writable(self, dest: str) -> None:
        """A `post` to `dest` that was refused has a chance now."""


class NodePort(Protocol):
    """One manager, as one of its wire builders sees it. All methods are called in the thread of the manager's loop."""

    @property
    def local_id(self) -> str:
        """The id of this node."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What the user gave the manager for kinds of wire, by kind ("relay": `RelayOptions`)."""

    @property
    def proves(self) -> str:
        """What this node's authenticator shows: "id", "group", or "nothing" (ids are claims)."""

    def allows(self, host: str, port: int, source: EndpointSource) -> bool:
        """Whether the manager's `allow_endpoint` lets this builder try an address: ask for each that a peer named
        ("sdp"), and for each to which a name resolved ("name")."""

    # -- who is there ---------------------------------------------------------------------------------

    def announce(self, feature: str) -> None:
        """Name `feature` in the handshake of every wire from now on. Call it in `attach`. 1 to 32 of a-z, 0-9, "-"."""

    def features(self, dest: str) -> frozenset[str]:
        """What `dest` announced when its session began; empty without a session."""

    def peers(self) -> Sequence[str]:
        """Every dest with a session that stands, with or without a wire, oldest first."""

    def kinds(self, dest: str) -> Sequence[str]:
        """The kind of each wire that is joined to the session with `dest`, oldest first."""

    def session_name(self, dest: str) -> str:
        """Names the session with `dest`, the same at both ends and never again; empty without one. The tag of frames is
        made of it (docs/protocol.md)."""

    def want(self, dest: str) -> None:
        """Have the manager dial `dest` in the background and keep it. Nothing happens if it does already."""

    async def session_up(self, dest: str) -> None:
        """Wait until a session with `dest` has a wire that is not of this builder's own kind. Does not dial and has no
        deadline of its own; cancel it."""

    # -- internal messages ----------------------------------------------------------------------------

    def subscribe(self, topic: str, subscriber: PortSubscriber) -> None:
        """Get the messages of `topic`. Raises ValueError for a topic that is taken or no word (see `MAX_TOPIC`)."""

    def post(self, dest: str, topic: str, data: Buffer | Sequence[Buffer], *, bulk: bool = False) -> bool:
        """Queue one message for the subscriber of `topic` at `dest`, over the session that stands. The buffers must not
        change afterwards.

        It arrives exactly once, in the order of posting among messages of the same `bulk`, while that session lives;
        when it ends, subscribers at both sides hear so and whatever is under way is gone. Signals overtake bulk,
        and both overtake nothing of the user's but bulk: bulk shares wires in turn with the user's lanes. Neither
        waits for anybody's inbox.

        False: no session, or too much waits already (then `writable` follows). Nothing was queued. Raises ValueError
        for a message above `MAX_SIGNAL` or `MAX_BULK`.
        """

    # -- wires ----------------------------------------------------------------------------------------

    def accept(self, wire: Wire, introducer: str) -> None:
        """Take in a wire that came in, not started: it goes through the handshake like those of a listener. Its place
        among those that have proved nothing yet is one of `introducer`'s: the dest whose session it came through."""

    def endpoints_changed(self) -> None:
        """What `WireBuilder.endpoints` answers has changed: every dest that is dialled asks anew, and tries endpoints
        of this builder's kind that failed before at once."""

    # -- proofs ---------------------------------------------------------------------------------------

    def sign(self, topic: str, dest: str, data: bytes) -> bytes:
        """A proof, with this node's authenticator, that it said `data` about `topic` to `dest`; empty if it proves
        nothing. At most 12,290 bytes. Put a nonce and an expiry into `data` against replay."""

    async def verify(self, topic: str, sender: str, data: bytes, proof: bytes) -> bool:
        """Whether `proof` (of `sign` at `sender`, for this node) shows that `sender` said `data`. False: this node has
        no authenticator, so all it has is a claim. Raises `UnauthenticatedError` for a proof that is wrong. Has no
        deadline of its own; may be cancelled."""
