"""What proves ids: the `Authenticator` protocol, and the one that proves nothing.

Every wire proves both sides anew, over the transcript of its own handshake (docs/handshake.md). A proof is
made for one role, so that a peer's own proof sent back to it is worth nothing.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, Protocol, runtime_checkable

Proves = Literal["id", "group", "nothing"]
"""What a proof shows: the peer's own id, that it belongs to the group (its id is then the claim of a member),
or nothing (its id is anybody's claim)."""


class Role(Enum):
    """Which side of a wire made a proof."""

    DIALLER = "dialler"
    ACCEPTOR = "acceptor"


def statement(role: Role, method: str, transcript: bytes) -> bytes:
    """The exact bytes a proof covers: made by `role` with `method`, over `transcript` (32 bytes)."""
    return b"litz proof 1\0" + role.value.encode() + b"\0" + method.encode() + b"\0" + transcript


@runtime_checkable
class Authenticator(Protocol):
    """Proves this node to peers, and peers to this node.

    One object serves every wire of a node; all methods may be called for many wires at once. Neither `repr`
    nor any error may show a secret.
    """

    @property
    def method(self) -> str:
        """The name of the method: 1 to 32 of a-z, 0-9 and "-". Both sides of a wire must use the same."""

    @property
    def proves(self) -> Proves:
        """What a proof by this method shows."""

    def credential(self) -> bytes:
        """What the peer needs to check our proofs, at most 6,144 bytes. Public: sent before any proof."""

    def prove(self, transcript: bytes, role: Role) -> bytes:
        """Our proof over `transcript` (32 bytes), made as `role`; at most 6,144 bytes. Must not block."""

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        """Return if `proof` shows that the peer, which acts as `role`, may call itself `peer_id`.

        Raises `UnauthenticatedError`, which names the cure, otherwise. May be cancelled (the handshake has a
        deadline). Nothing here tells the peer why it was refused.
        """


class NoAuthenticator:
    """Proves nothing: ids are claims. Only for wires that never leave this host (P8)."""

    method: str = "none"
    proves: Proves = "nothing"

    def credential(self) -> bytes:
        return b""

    def prove(self, transcript: bytes, role: Role) -> bytes:
        return b""

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        return

    def __repr__(self) -> str:
        return "<no authenticator: ids are claims>"
