"""Membership of a group, proved by a secret that all members share (HMAC-SHA256)."""

from __future__ import annotations

from hmac import compare_digest, digest

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from litz.errors import UnauthenticatedError
from outproc.security.authenticator import Proves, Role, statement

MIN_SECRET = 16
"""Bytes. Whoever sees one handshake can try guesses offline, so the secret must be random, not a word."""


class SharedKeyAuthenticator:
    """Proves that a peer knows `secret`: it belongs to the group. Its id is then the claim of a member; any member
    can call itself by any id. Use Ed25519 keys where members must not pose as each other.

    `secret` is at least 16 random bytes (text counts as UTF-8); ValueError otherwise.
    """

    method: str = "shared-key"
    proves: Proves = "group"

    def __init__(self, secret: bytes | str) -> None:
        raw = secret.encode("utf-8") if isinstance(secret, str) else bytes(secret)
        if len(raw) < MIN_SECRET:
            raise ValueError(
                f"the shared secret has {len(raw)} bytes and needs {MIN_SECRET}; make one with: openssl rand -hex 32"
            )
        # A key of its own, so that the secret itself serves other uses without meeting this one.
        self._key = HKDF(SHA256(), 32, salt=None, info=b"litz shared key 1").derive(raw)

    def credential(self) -> bytes:
        return b""

    def prove(self, transcript: bytes, role: Role) -> bytes:
        return digest(self._key, statement(role, self.method, transcript), "sha256")

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        """See `Authenticator.verify`."""
        if not compare_digest(proof, self.prove(transcript, role)):
            raise UnauthenticatedError(
                f"{peer_id!r} did not prove that it knows the shared secret; give both the same one"
            )

    def __repr__(self) -> str:
        return "<shared key>"
