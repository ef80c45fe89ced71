"""The transcript: a chain of SHA-256 over the exact bytes of every frame, which proofs cover."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

START: Final = sha256(b"litz handshake 1").digest()


def absorb(transcript: bytes, label: str, data: bytes) -> bytes:
    """The transcript (32 bytes) after `data`, which is of the kind `label`."""
    name = label.encode("ascii")
    return sha256(transcript + bytes((len(name),)) + name + len(data).to_bytes(8, "little") + data).digest()


def after_challenge(hello: bytes, challenge: bytes, binding: bytes) -> bytes:
    """What the acceptor's proof in CHALLENGE covers. `binding` is the channel's, empty unless both sides have
    one (HELLO and CHALLENGE say who has)."""
    transcript = absorb(absorb(START, "hello", hello), "challenge", challenge)
    return absorb(transcript, "binding", binding)
