"""Proof of identity, and sealing of channels that nothing else protects."""

from outproc.security.authenticator import Authenticator, NoAuthenticator, Proves, Role
from outproc.security.channel import Channel, PerWire, Prepares
from outproc.security.ed25519 import Ed25519Authenticator
from outproc.security.jwt_verifier import JwtVerifier
from outproc.security.key_ring import KeyRing
from outproc.security.key_text import derived_id, parse_public_key, public_key_text
from outproc.security.keys import KeyFileError
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
