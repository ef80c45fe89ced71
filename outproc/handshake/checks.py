"""Checks that both sides of the handshake make, and the errors they raise: each names its cure."""

from __future__ import annotations

from math import ceil

from litz.errors import BusyError, HandshakeError, IncompatibleError, ProtocolError, UnauthenticatedError
from outproc.handshake.codec import Parsed, check_size, encode_body
from outproc.handshake.models import (
    MAX_RETRY_AFTER_MS,
    PROVED_CODES,
    UNPROVED_CODES,
    Refuse,
    RefuseCode,
)
from outproc.handshake.results import Node, Refused
from outproc.session.identity import Incarnation

MAX_UNPROVED_RETRY_AFTER = 60.0
"""Seconds. A peer that has proved nothing cannot keep us away for longer."""

NOT_ME = "I am not the dest you want"
MY_ID = "you have my id"
OTHER_METHOD = "I prove ids by"
"""What an acceptor tells of why it refused, in words that a dialler knows."""

CURES = (
    (NOT_ME, "the endpoint leads to another node: correct it, or the id"),
    (MY_ID, "the endpoint leads to this node itself, or to another of its id: correct it; each has one of its own"),
    (OTHER_METHOD, "use the same method on both sides"),
)


def check_not_self(node: Node, peer_id: str, incarnation: Incarnation) -> None:
    """A node does not talk to itself over a wire, nor to another that carries its id."""
    if peer_id != node.id:
        return
    if incarnation == node.incarnation:
        raise UnauthenticatedError(f"{node.id!r} dialled itself; correct the endpoint, which is one of this node's own")
    raise UnauthenticatedError(f"another node calls itself {node.id!r} as well; give each node an id of its own")


def check_method(node: Node, peer_id: str, method: str) -> None:
    """Both sides prove their ids by the same method, or both by none."""
    ours = node.authenticator.method
    if method == ours:
        return
    if method == "none":
        raise UnauthenticatedError(
            f"{peer_id!r} does not prove its id and this node wants a proof by {ours!r}; give it an authenticator"
        )
    if ours == "none":
        raise UnauthenticatedError(
            f"{peer_id!r} wants a proof by {method!r} and this node has no authenticator; give it one"
        )
    raise UnauthenticatedError(f"{peer_id!r} proves ids by {method!r} and this node by {ours!r}; use the same on both")


def require_proof(parsed: Parsed) -> bytes:
    """The proof of a frame that must have one. Raises `ProtocolError`."""
    if parsed.proof is None:
        raise ProtocolError(f"{parsed.value.type} frame without its proof")
    return parsed.proof


def refuse_proof(parsed: Parsed) -> None:
    """Raises `ProtocolError` for a proof where none belongs: it would be signed by nobody who was asked."""
    if parsed.proof is not None:
        raise ProtocolError(f"{parsed.value.type} frame with a proof it should not have")


def make_refuse(code: RefuseCode, join: int, retry_after: float, reason: str) -> Refuse:
    """A refusal that will carry a proof. Raises ValueError for a code that is not one of those."""
    if code not in PROVED_CODES:
        raise ValueError(f"{code!r} is not said after the proof")
    return Refuse(code=code, join=join, versions=(), retry_after_ms=_milliseconds(retry_after), reason=reason)


def unproved_refusal(
    code: RefuseCode, *, versions: tuple[int, ...] = (), retry_after: float = 0, reason: str = ""
) -> bytes:
    """The frame of a refusal without proof: incompatible, busy or unauthenticated, the only answers before the
    peer has proved its id. `retry_after` in seconds. Write it, then close the wire."""
    if code not in UNPROVED_CODES:
        raise ValueError(f"{code!r} is only said with proof")
    value = Refuse(code=code, join=0, versions=versions, retry_after_ms=_milliseconds(retry_after), reason=reason)
    return check_size(encode_body(value))


def _milliseconds(seconds: float) -> int:
    return max(0, ceil(min(MAX_RETRY_AFTER_MS, seconds * 1000)))  # also of "for ever"


def refused(refuse: Refuse) -> Refused:
    """A refusal that carries a proof, not yet verified. Raises `ProtocolError` for a code that is not one."""
    if refuse.code not in PROVED_CODES:
        raise ProtocolError(f"refusal {refuse.code!r} with a proof")
    return Refused(refuse.code, refuse.retry_after_ms / 1000, refuse.reason)


def unproved_error(dest: str, node: Node, refuse: Refuse) -> HandshakeError | ProtocolError:
    """What the dialler raises for a refusal without proof. Its text is quoted: nobody vouches for it."""
    said = f" (it says {refuse.reason!r})" if refuse.reason else ""
    if refuse.code == "incompatible":
        theirs = ", ".join(map(str, refuse.versions)) or "none"
        ours = ", ".join(map(str, node.versions))
        return IncompatibleError(
            f"{dest} speaks protocol versions {theirs} and this node {ours}; upgrade the older{said}"
        )
    if refuse.code == "busy":
        wait = min(refuse.retry_after_ms / 1000, MAX_UNPROVED_RETRY_AFTER)
        return BusyError(f"{dest} is busy; try again in {wait:g} s{said}", retry_after=wait)
    if refuse.code == "unauthenticated":
        untrusted = "check that it trusts this node's key, or shares its secret"
        cure = next((cure for known, cure in CURES if refuse.reason.startswith(known)), untrusted)
        return UnauthenticatedError(
            f"{dest} did not accept this node as {node.id!r} by {node.authenticator.method!r}; {cure}{said}"
        )
    return ProtocolError(f"refusal {refuse.code!r} without proof")
