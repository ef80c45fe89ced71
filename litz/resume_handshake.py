"""Who may resume: both ends prove that they were there when the session began. Pure: nonces are passed in.

The first connection agrees on a secret (the hash of both nonces); every later one proves it, with fresh nonces and
with what was received. So who only knows the address, or recorded an earlier connection, can neither take over a
session nor move its positions. Who reads the *first* connection can: encrypt it (TLS), if anybody may.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum
from typing import Final

from litz.resume_frames import Ack, Hello, Kind, ack_payload, frame

_LABEL: Final = b"litz ResumablePipe 1"


class Role(Enum):
    """Who says it: the two proofs of one connection differ, so that none can be sent back."""

    ACTIVE = b"active"
    PASSIVE = b"passive"


@dataclass(frozen=True, slots=True)
class Keys:
    """What proofs on one connection are made from: the secret of the session, and this connection's two HELLOs."""

    secret: bytes
    active: Hello
    passive: Hello

    def proof_frame(self, role: Role, ack: Ack) -> bytes:
        """PROOF, as said by `role`."""
        payload = ack_payload(ack)
        return frame(Kind.PROOF, payload + self._mac(role, payload))

    def proves(self, role: Role, ack: Ack, mac: bytes) -> bool:
        """Whether `role` said it, on this connection."""
        return hmac.compare_digest(mac, self._mac(role, ack_payload(ack)))

    def _mac(self, role: Role, payload: bytes) -> bytes:
        active = self.active
        said = (role.value, active.session, active.nonce, self.passive.nonce, active.attempt.to_bytes(8, "big"))
        return hmac.digest(self.secret, b"".join([_LABEL, *said, payload]), "sha256")


def first_keys(active: Hello, passive: Hello) -> Keys:
    """Of the connection on which a session begins."""
    secret = hashlib.sha256(b"".join([_LABEL, active.session, active.nonce, passive.nonce])).digest()
    return Keys(secret, active, passive)
