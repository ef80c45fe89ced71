"""Proof of identity, and sealing of channels that nothing else protects."""

from outproc.security.authenticator import Authenticator, NoAuthenticator, Proves, Role
from outproc.security.ed25519 import Ed25519Authenticator
from outproc.security.key_ring import KeyRing
from outproc.security.key_text import derived_id, parse_public_key, public_key_text
from outproc.security.keys import KeyFileError
from outproc.security.preauth import Busy, PreauthLimiter, Ticket
from outproc.security.sealing import SealKeys, SealNeed, SealPolicy, seal_need
from outproc.security.shared_key import SharedKeyAuthenticator

__all__ = [
    "Authenticator",
    "Busy",
    "Ed25519Authenticator",
    "KeyFileError",
    "KeyRing",
    "NoAuthenticator",
    "PreauthLimiter",
    "Proves",
    "Role",
    "SealKeys",
    "SealNeed",
    "SealPolicy",
    "SharedKeyAuthenticator",
    "Ticket",
    "derived_id",
    "parse_public_key",
    "public_key_text",
    "seal_need",
]
