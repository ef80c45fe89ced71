"""What the handshake machines are told by the driver, and what they tell it to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from outproc.handshake.models import Join, Limits, Mismatch, Ok, RefuseCode
from outproc.security.authenticator import Authenticator, NoAuthenticator, Proves, Role
from outproc.security.sealing import SealKeys, SealNeed
from outproc.session.identity import Incarnation

Entropy = Callable[[int], bytes]
"""Returns that many random bytes. `os.urandom` outside of tests."""

VERSIONS = (1,)
"""The protocol versions this code speaks."""


@dataclass(frozen=True, slots=True)
class Node:
    """What is the same for all wires of this node."""

    id: str
    incarnation: Incarnation
    limits: Limits
    authenticator: Authenticator = field(default_factory=NoAuthenticator)
    features: tuple[str, ...] = ()
    versions: tuple[int, ...] = VERSIONS


@dataclass(frozen=True, slots=True)
class Link:
    """What the handshake must know of the wire under it.

    kind       `wire.kind`
    binding    `wire.channel_binding`
    seal       from `outproc.security.sealing.seal_need`
    """

    kind: str
    binding: bytes | None = None
    seal: SealNeed = SealNeed.NEVER


def check_link(node: Node, link: Link) -> None:
    """Raises ValueError for a wire that is to be sealed by a node that proves nothing."""
    if node.authenticator.proves == "nothing" and link.seal is not SealNeed.NEVER:
        raise ValueError("sealing needs an authenticator")


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """The node at the other end, once it has proved what its method proves."""

    id: str
    incarnation: Incarnation
    limits: Limits
    features: frozenset[str]
    version: int
    proves: Proves
    sealed: bool

    @property
    def verified(self) -> bool:
        """Whether the id is more than a claim."""
        return self.proves != "nothing"


@dataclass(frozen=True, slots=True)
class SendChallenge:
    """Acceptor. Write `frame`; then at once, if `seal` is given, seal and open every further frame of this wire
    with it."""

    frame: bytes
    seal: SealKeys | None


@dataclass(frozen=True, slots=True)
class NeedsVerification:
    """Await `authenticator.verify(peer_id, credential, transcript, proof, role)`, within the handshake's
    deadline. If it returns call `verified()` on the machine; if it raises, see `refusal`, and abort the wire.
    Until then hold back further frames of this wire.

    If `seal` is given (dialler, on CHALLENGE), seal and open every further frame of this wire with it.
    """

    peer_id: str
    credential: bytes = field(repr=False)  # a token, perhaps
    transcript: bytes = field(repr=False)
    proof: bytes = field(repr=False)  # a method of the future may present a secret here
    role: Role
    seal: SealKeys | None = None


@dataclass(frozen=True, slots=True)
class PeerProved:
    """Dialler. The acceptor proved its id. Decide, then call `join`, or `refuse`."""

    peer: PeerInfo


@dataclass(frozen=True, slots=True)
class JoinReceived:
    """Acceptor. The dialler proved its id and wants this. Take the wire out of whatever session it is in,
    decide, and call `ok`, `mismatch` or `refuse` before the next frame."""

    peer: PeerInfo
    join: Join
    repeated: bool


@dataclass(frozen=True, slots=True)
class Joined:
    """Dialler. The acceptor joined the wire to the session of this pair. Close the wire if `ok.yours` is not
    the current half (R2)."""

    ok: Ok


@dataclass(frozen=True, slots=True)
class Mismatched:
    """Dialler. The wire is in no session now. End exactly the named pair if it is still current, then `join`
    again with a new half and without data (R3)."""

    mismatch: Mismatch


@dataclass(frozen=True, slots=True)
class Refused:
    """The peer proved who it is and ends this wire. Close it and act on `code`.

    busy       come back after `retry_after` seconds
    stale      our half, or incarnation, is lower than one it knows
    replaced   a newer incarnation of our id has taken over: stop redialling
    duplicate  another wire of this pair and kind stays: do not redial while that lives
    """

    code: RefuseCode
    retry_after: float
    reason: str


@dataclass(frozen=True, slots=True)
class Outdated:
    """Dialler. An answer to an earlier JOIN, overtaken by a later one. Nothing to do."""


DiallerStep = NeedsVerification | PeerProved | Joined | Mismatched | Refused | Outdated
AcceptorStep = SendChallenge | NeedsVerification | JoinReceived | Refused
