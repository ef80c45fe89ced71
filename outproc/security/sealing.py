"""Sealing: frames of a channel that nothing else protects, encrypted and authenticated.

An ephemeral X25519 exchange (RFC 7748) whose public keys are part of the proved transcript; HKDF-SHA256
(RFC 5869) makes one key for each direction; ChaCha20-Poly1305 (RFC 8439) seals each frame under a counter
that both sides keep. A frame that is changed, replayed, dropped or reordered does not open. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from litz.errors import ProtocolError, SealBrokenError, UnauthenticatedError
from litz.message import Buffer
from litz.wire import Wire
from outproc.security.authenticator import Authenticator, Role

OVERHEAD: Final = 16
"""Bytes that sealing adds to a frame: the tag. The counter is not transmitted."""

REKEY_AFTER: Final = 1 << 20
"""Frames under one key. Then both sides derive the next one, so that no counter comes near its end."""

SealPolicy = Literal["auto", "always", "never"]
"""auto    seal where the channel does not protect itself
always  seal every channel
never   do not seal, whatever the channel: only where something else protects it. What a relay passes on is sealed even
        so: nothing else protects it from the relay"""


class SealNeed(Enum):
    """What one side says about sealing a wire. It is sealed if both can and at least one requires it."""

    NEVER = "never"
    OFFER = "offer"
    REQUIRE = "require"


def seal_need(wire: Wire, authenticator: Authenticator | None, policy: SealPolicy = "auto") -> SealNeed:
    """What this side says about sealing `wire`. Without an authenticator there is nothing to seal with: an
    exchange that nobody signed protects from nobody.

    Raises ValueError for policy "always" without an authenticator, and `UnauthenticatedError` for a wire that
    must be sealed and cannot (the counters need one that is ordered and reliable).
    """
    proves = authenticator is not None and authenticator.proves != "nothing"
    if policy == "always" and not proves:
        raise ValueError("sealing needs an authenticator; give one, or do not ask for policy 'always'")
    relayed = wire.path.route == "relay" and not wire.secure
    if not proves or (policy == "never" and not relayed):
        return SealNeed.NEVER
    possible = wire.ordered and wire.reliable
    if policy == "always" or not wire.secure:
        if not possible:
            raise UnauthenticatedError(
                f"{wire!r} is not protected and cannot be sealed because it may lose or reorder frames; "
                "use a protected kind of wire (wss:// or a data channel)"
            )
        return SealNeed.REQUIRE
    return SealNeed.OFFER if possible else SealNeed.NEVER


@dataclass(frozen=True, slots=True)
class SealKeys:
    """The two keys of one wire, as one side uses them. 32 bytes each."""

    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)


class Exchange:
    """One side's half of the key exchange of one wire. Use once."""

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._private = X25519PrivateKey.from_private_bytes(entropy(32))
        self.public: Final = self._private.public_key().public_bytes_raw()

    def keys(self, peer_public: bytes, transcript: bytes, role: Role) -> SealKeys:
        """The keys of this wire for the side that acts as `role`. `transcript` (32 bytes) covers both public
        keys. Raises `ProtocolError` for a public key that contributes nothing (RFC 7748, section 6.1)."""
        try:
            secret = self._private.exchange(X25519PublicKey.from_public_bytes(peer_public))
        except ValueError as error:
            raise ProtocolError("the peer's X25519 key is not usable") from error
        from_dialler = _derive(secret, transcript, b"dialler to acceptor")
        from_acceptor = _derive(secret, transcript, b"acceptor to dialler")
        if role is Role.DIALLER:
            return SealKeys(send=from_dialler, receive=from_acceptor)
        return SealKeys(send=from_acceptor, receive=from_dialler)


def _derive(secret: bytes, transcript: bytes, direction: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=transcript, info=b"litz seal 1 " + direction).derive(secret)


class _Chain:
    """One direction: the current key, and the counter that both sides advance by one for each frame."""

    __slots__ = ("_cipher", "_counter", "_key", "_rekey_after")

    def __init__(self, key: bytes, *, rekey_after: int = REKEY_AFTER) -> None:
        self._key = key
        self._cipher = ChaCha20Poly1305(key)
        self._counter = 0
        self._rekey_after = rekey_after

    def _nonce(self) -> bytes:
        return bytes(4) + self._counter.to_bytes(8, "little")

    def _advance(self) -> None:
        self._counter += 1
        if self._counter == self._rekey_after:
            self._key = HKDFExpand(SHA256(), 32, info=b"litz rekey 1").derive(self._key)
            self._cipher = ChaCha20Poly1305(self._key)
            self._counter = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} at frame {self._counter} of its key>"


class Sealer(_Chain):
    """Seals the frames of one direction, in the order in which they are then written."""

    __slots__ = ()

    def seal(self, buffers: Sequence[Buffer]) -> bytes:
        """One frame, sealed: `OVERHEAD` bytes longer. It must be the next one written."""
        plain = buffers[0] if len(buffers) == 1 else b"".join(buffers)
        sealed = self._cipher.encrypt(self._nonce(), plain, None)
        self._advance()
        return sealed


class Opener(_Chain):
    """Opens the frames of one direction, in the order in which they were sealed."""

    __slots__ = ()

    def open(self, frame: bytes) -> bytes:
        """The frame as it was before sealing. Raises `ProtocolError` if it is not exactly the next one; the
        wire is then lost, since nothing after it can be opened."""
        try:
            plain = self._cipher.decrypt(self._nonce(), frame, None)
        except InvalidTag as error:
            raise SealBrokenError(
                "a sealed frame was changed, replayed, lost or reordered on its way; the wire is dialled again, and if "
                "that repeats somebody between does it: reach the peer another way"
            ) from error
        self._advance()
        return plain
