"""Ids proved by Ed25519 keys (RFC 8032): each id bound to keys by a ring, or derived from its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from litz.errors import UnauthenticatedError, UntrustedPeerError
from outproc.security.authenticator import Authenticator, Proves, Role, statement
from outproc.security.channel import Channel
from outproc.security.key_ring import KeyRing
from outproc.security.key_text import DERIVED_PREFIX, derived_id, public_key_text


class Ed25519Authenticator:
    """Proves this node by `private_key`, and peers by the keys that `trusted` binds to their ids.

    A derived id ("ed25519:...") needs no binding when *we* dial it: whoever asked for that id asked for that key.
    A dialler with a derived id must be trusted like any other, unless `accept_derived` is set: then anybody who
    has a key may come in, under the id of that key.
    """

    method: str = "ed25519"
    proves: Proves = "id"

    def __init__(
        self,
        private_key: Ed25519PrivateKey | bytes,
        trusted: KeyRing | Mapping[str, str | bytes | Iterable[str | bytes]] | None = None,
        *,
        accept_derived: bool = False,
    ) -> None:
        if isinstance(private_key, bytes):
            if len(private_key) != 32:
                raise ValueError("an Ed25519 private key has 32 bytes")
            private_key = Ed25519PrivateKey.from_private_bytes(private_key)
        self._accept_derived = accept_derived
        self.ring: Final = trusted if isinstance(trusted, KeyRing) else KeyRing(trusted)
        self.use_key(private_key)

    def use_key(self, private_key: Ed25519PrivateKey) -> None:
        """Prove this node by another key, from the next handshake on. Wires under way go on with the one they began
        with. Peers must trust the new one before."""
        self._private = private_key
        self.public_key = private_key.public_key().public_bytes_raw()
        self._on_wire = _OnWire(self, private_key, self.public_key)

    def on_wire(self, channel: Channel) -> Authenticator:
        """See `PerWire`: a wire keeps the key it began with. Subclasses do as they do."""
        return self._on_wire if type(self) is Ed25519Authenticator else self

    @property
    def derived_id(self) -> str:
        """The id that our key proves by itself."""
        return derived_id(self.public_key)

    def credential(self) -> bytes:
        return self.public_key

    def prove(self, transcript: bytes, role: Role) -> bytes:
        return self._private.sign(statement(role, self.method, transcript))

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        """See `Authenticator.verify`."""
        try:
            public_key = Ed25519PublicKey.from_public_bytes(credential)
            public_key.verify(proof, statement(role, self.method, transcript))
        except (ValueError, InvalidSignature):
            raise UnauthenticatedError(
                f"{peer_id!r} did not prove that it has the key it shows; something stands between you "
                "(a proxy that ends TLS, or an attacker), or its key file is damaged"
            ) from None
        if not self._may_be(peer_id, credential, role):
            known = peer_id in self.ring or peer_id.startswith(DERIVED_PREFIX)
            raise (UntrustedPeerError if known else UnauthenticatedError)(self._cure(peer_id, credential))

    def _may_be(self, peer_id: str, public_key: bytes, role: Role) -> bool:
        if peer_id.startswith(DERIVED_PREFIX):
            if peer_id != derived_id(public_key):
                return False
            if role is Role.ACCEPTOR or self._accept_derived:
                return True
        return self.ring.trusts(peer_id, public_key)

    def _cure(self, peer_id: str, public_key: bytes) -> str:
        shown = public_key_text(public_key)
        # Quoted, because people paste commands into shells and the id is the peer's choice.
        command = f"litz key trust {quote(peer_id)} {shown}"
        if peer_id.startswith(DERIVED_PREFIX) and peer_id != derived_id(public_key):
            return f"{peer_id!r} shows the key {shown}, whose id is {derived_id(public_key)!r}"
        if peer_id in self.ring:
            return (
                f"{peer_id!r} shows the key {shown}, which is not the one trusted for it; if it has a new key, "
                f"check that with its owner and then run: {command}"
            )
        return f"no key is trusted for {peer_id!r}; if {shown} is its key, run: {command}"

    def __repr__(self) -> str:
        return f"<ed25519 {public_key_text(self.public_key)}, {len(self.ring)} ids trusted>"


class _OnWire:
    """The key of the wires that begin now."""

    method: str = Ed25519Authenticator.method
    proves: Proves = "id"

    def __init__(self, owner: Ed25519Authenticator, private_key: Ed25519PrivateKey, public_key: bytes) -> None:
        self._private = private_key
        self._public = public_key
        self._owner = owner

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        """See `Authenticator.verify`."""
        await self._owner.verify(peer_id, credential, transcript, proof, role)

    def credential(self) -> bytes:
        return self._public

    def prove(self, transcript: bytes, role: Role) -> bytes:
        return self._private.sign(statement(role, self.method, transcript))

    def __repr__(self) -> str:
        return f"<ed25519 {public_key_text(self._public)} on a wire>"
