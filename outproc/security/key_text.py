"""Ed25519 public keys as text and as ids. Pure."""

from __future__ import annotations

import re
from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

DERIVED_PREFIX: Final = "ed25519:"
"""Ids that begin so are derived from a key."""

TEXT_PREFIX: Final = "ed25519-public:"

_TEXT: Final = re.compile(re.escape(TEXT_PREFIX) + r"([A-Za-z0-9_-]{43})")


def public_key_text(public_key: bytes) -> str:
    """The one-line form of a public key (32 bytes): what `litz key show` prints and a trust file holds."""
    if len(public_key) != 32:
        raise ValueError(f"an Ed25519 public key has 32 bytes, not {len(public_key)}")
    return TEXT_PREFIX + urlsafe_b64encode(public_key).rstrip(b"=").decode("ascii")


def parse_public_key(text: str) -> bytes:
    """The 32 bytes of a public key from its one-line form. Raises ValueError."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:80]!r} is no public key; it looks like {TEXT_PREFIX}<43 letters and digits>")
    key = urlsafe_b64decode(match[1] + "=")
    if public_key_text(key) != text.strip():
        raise ValueError(f"{text[:80]!r} has bits left over; copy the whole line again")
    return key


def derived_id(public_key: bytes) -> str:
    """The id that a public key proves by itself: "ed25519:" and 32 characters, the base32 of the first 160 bits
    of its SHA-256, in lower case."""
    if len(public_key) != 32:
        raise ValueError(f"an Ed25519 public key has 32 bytes, not {len(public_key)}")
    return DERIVED_PREFIX + b32encode(sha256(public_key).digest()[:20]).decode("ascii").lower()
