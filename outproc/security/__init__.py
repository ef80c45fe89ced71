"""Proof of identity, and sealing of channels that nothing else protects.

Names are loaded when they are first used: certificates and tokens need much of `cryptography`, and few use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from litz.late_names import late_names

if TYPE_CHECKING:
    from outproc.security.authenticator import Authenticator, NoAuthenticator, Proves, Role
    from outproc.security.channel import Channel, PerWire, Prepares
    from outproc.security.ed25519 import Ed25519Authenticator
    from outproc.security.jwt_verifier import JwtVerifier
    from outproc.security.key_file_error import KeyFileError
    from outproc.security.key_ring import KeyRing
    from outproc.security.key_text import derived_id, parse_public_key, public_key_text
    from outproc.security.mutual_tls import MutualTlsAuthenticator
    from outproc.security.preauth import Busy, PreauthLimiter, Ticket
    from outproc.security.sealing import SealKeys, SealNeed, SealPolicy, seal_need
    from outproc.security.shared_key import SharedKeyAuthenticator
    from outproc.security.tokens import Claims, TokenAuthenticator

__all__ = [
    "Authenticator",
    "Busy",
    "Channel",
    "Claims",
    "Ed25519Authenticator",
    "JwtVerifier",
    "KeyFileError",
    "KeyRing",
    "MutualTlsAuthenticator",
    "NoAuthenticator",
    "PerWire",
    "PreauthLimiter",
    "Prepares",
    "Proves",
    "Role",
    "SealKeys",
    "SealNeed",
    "SealPolicy",
    "SharedKeyAuthenticator",
    "Ticket",
    "TokenAuthenticator",
    "derived_id",
    "parse_public_key",
    "public_key_text",
    "seal_need",
]

_HOMES = {
    "Authenticator": "outproc.security.authenticator",
    "Busy": "outproc.security.preauth",
    "Channel": "outproc.security.channel",
    "Claims": "outproc.security.tokens",
    "Ed25519Authenticator": "outproc.security.ed25519",
    "JwtVerifier": "outproc.security.jwt_verifier",
    "KeyFileError": "outproc.security.key_file_error",
    "KeyRing": "outproc.security.key_ring",
    "MutualTlsAuthenticator": "outproc.security.mutual_tls",
    "NoAuthenticator": "outproc.security.authenticator",
    "PerWire": "outproc.security.channel",
    "PreauthLimiter": "outproc.security.preauth",
    "Prepares": "outproc.security.channel",
    "Proves": "outproc.security.authenticator",
    "Role": "outproc.security.authenticator",
    "SealKeys": "outproc.security.sealing",
    "SealNeed": "outproc.security.sealing",
    "SealPolicy": "outproc.security.sealing",
    "SharedKeyAuthenticator": "outproc.security.shared_key",
    "Ticket": "outproc.security.preauth",
    "TokenAuthenticator": "outproc.security.tokens",
    "derived_id": "outproc.security.key_text",
    "parse_public_key": "outproc.security.key_text",
    "public_key_text": "outproc.security.key_text",
    "seal_need": "outproc.security.sealing",
}


if not TYPE_CHECKING:  # type checkers are to notice names that are not there
    __getattr__ = late_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
