"""Ids proved by tokens (JWT and the like) that somebody else signed: an identity provider, a deployment tool.

A token names the key of its holder (`cnf`, RFC 7800), and the holder signs each handshake with that key: a token that
somebody else got is of no use. A *bearer* token, which names none, is taken only where that is allowed, only from who
dialled, only if it was made out to this very node alone, and only over channels that protect themselves.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from litz.dest import validate_dest
from litz.errors import LitzError, UnauthenticatedError
from outproc.security.authenticator import Authenticator, Proves, Role, statement
from outproc.security.channel import Channel

GROUP: Final = "litz"
"""The audience of tokens that a node shows to whoever dials it."""

MAX_TOKEN: Final = 4_096
"""Bytes of a token."""

REFRESH_BEFORE: Final = 30.0
"""Seconds before its end at which a kept token is fetched anew."""

KEPT_FOR: Final = 60.0
"""Seconds for which a token is kept that does not say when it ends."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, once it is verified.

    subject   the id that it proves
    audience  whom it is for
    key       the Ed25519 public key (32 bytes) of its holder, None: it is a bearer token
    """

    subject: str
    audience: tuple[str, ...]
    key: bytes | None = field(default=None, repr=False)


Verify = Callable[[str, Sequence[str]], Claims | Awaitable[Claims]]
"""`verify(token, audiences)`: what the token says if its signature holds, it is in its time, and one of `audiences` is
its. Raises `UnauthenticatedError` that names the cure; of other errors only the class is told. See `JwtVerifier`."""

Fetch = Callable[[str], Awaitable[str]]
"""`fetch(audience)`: a token of this node for that audience. It is asked for each dial (keep tokens there if that
costs), and has `handshake_timeout`. Of its errors only the class is told, since their text may hold a token."""


class TokenAuthenticator:
    """Proves this node by tokens and peers by theirs.

    local_id      the id of this node
    verify        see `Verify`
    fetch         see `Fetch`. For each dial it is asked for the audience that is dialled, or may give one for `group`;
                  for those who dial here it is asked for `group`
    private_key   the key that our tokens name in `cnf`. None: they are bearer tokens; then this node can dial and
                  accepts nobody
    group         the audience that all nodes take from holders of a key
    allow_bearer  take bearer tokens of diallers
    """

    method: str = "token"
    proves: Proves = "id"

    def __init__(
        self,
        local_id: str,
        verify: Verify,
        fetch: Fetch,
        *,
        private_key: Ed25519PrivateKey | bytes | None = None,
        group: str = GROUP,
        allow_bearer: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.local_id = validate_dest(local_id)
        self._verify = verify
        self._fetch = fetch
        if isinstance(private_key, bytes):
            private_key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.private_key: Final = private_key
        self.group: Final = group
        self.allow_bearer: Final = allow_bearer
        self._wall = wall
        self._own = ""
        """The token for `group`."""
        self._own_until = float("-inf")
        self._fetching = asyncio.Lock()

    def on_wire(self, channel: Channel) -> Authenticator:
        """See `PerWire`."""
        return _OnWire(self, channel)

    # -- our own tokens -------------------------------------------------------------------------------

    @property
    def fresh(self) -> bool:
        """Whether the token for `group` may be shown."""
        return self._wall() < self._own_until

    async def refresh(self) -> None:
        """Have a token for `group`. Whoever is cancelled while it fetches leaves that to the next who asks."""
        async with self._fetching:
            if not self.fresh:
                token = await self.fetch(self.group)
                expires = _expiry(token)
                self._own_until = self._wall() + KEPT_FOR if expires is None else expires - REFRESH_BEFORE
                self._own = token

    async def fetch(self, audience: str) -> str:
        """A token from the user's callback. Raises `UnauthenticatedError`."""
        try:
            token = await self._fetch(audience)
        except Exception as error:
            # Neither its text nor a chain: a token may be in them.
            raise UnauthenticatedError(
                f"there is no token for {audience!r}: the callback raised {type(error).__name__}; log it there"
            ) from None
        if not (type(token) is str and token.isascii() and 0 < len(token) <= MAX_TOKEN):  # the callback is not ours
            raise UnauthenticatedError(f"the callback gave no token for {audience!r}: 1 to {MAX_TOKEN} bytes of ASCII")
        return token

    # -- others' tokens -------------------------------------------------------------------------------

    async def claims_of(self, peer_id: str, token: bytes) -> Claims:
        """What a token says that proves `peer_id` here. Raises `UnauthenticatedError`."""
        if not 0 < len(token) <= MAX_TOKEN or not token.isascii():
            raise UnauthenticatedError(f"{peer_id!r} showed no token; give it a TokenAuthenticator with one")
        try:
            found = self._verify(token.decode("ascii"), (self.local_id, self.group))
            claims = await found if inspect.isawaitable(found) else found
        except LitzError:
            raise
        except Exception as error:
            raise UnauthenticatedError(
                f"the token of {peer_id!r} was not verified: the verifier raised {type(error).__name__}; log it there"
            ) from None
        if claims.subject != peer_id:
            raise UnauthenticatedError(f"the token of {peer_id!r} is made out to {claims.subject!r}; it needs its own")
        if not {self.local_id, self.group} & {*claims.audience}:
            raise UnauthenticatedError(
                f"the token of {peer_id!r} is for {', '.join(claims.audience[:4])} and not for {self.local_id!r}"
            )
        return claims

    def check_signature(  # noqa: PLR0917 - what `verify` has, and what the token says
        self, peer_id: str, claims: Claims, token: bytes, transcript: bytes, proof: bytes, role: Role
    ) -> None:
        """Raises `UnauthenticatedError` unless the key that the token names made `proof`."""
        try:
            Ed25519PublicKey.from_public_bytes(claims.key or b"").verify(proof, self._covered(role, transcript, token))
        except (ValueError, InvalidSignature):
            raise UnauthenticatedError(
                f"{peer_id!r} did not prove that it holds the key its token names; somebody else may use that token"
            ) from None

    def _covered(self, role: Role, transcript: bytes, token: bytes) -> bytes:
        return statement(role, self.method, transcript) + sha256(token).digest()

    def sign(self, transcript: bytes, role: Role, token: bytes) -> bytes:
        """Our proof as the holder of `token`; empty for a bearer token."""
        return self.private_key.sign(self._covered(role, transcript, token)) if self.private_key is not None else b""

    # -- what is proved without a wire ----------------------------------------------------------------

    def credential(self) -> bytes:
        """The token for `group`, which strangers may see. Raises `UnauthenticatedError` without it, or a key."""
        if self.private_key is None:
            raise UnauthenticatedError(
                "a node with bearer tokens can dial only; give TokenAuthenticator(private_key=...)"
            )
        if not self._own:
            raise UnauthenticatedError("this node has no token of its own yet; it comes with the first wire")
        return self._own.encode("ascii")

    def prove(self, transcript: bytes, role: Role) -> bytes:
        return self.sign(transcript, role, self.credential())

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        """See `Authenticator.verify`."""
        claims = await self.claims_of(peer_id, credential)
        self.check_signature(peer_id, claims, credential, transcript, proof, role)

    def __repr__(self) -> str:
        return f"<tokens of {self.local_id}, {'bearer' if self.private_key is None else 'held by a key'}>"


class _OnWire:
    """On one wire. The dialler's token is in its proof, so that nobody sees it but an acceptor who has proved itself
    (and, where the wire is sealed, nobody on the way). The acceptor's is its credential."""

    method: str = TokenAuthenticator.method
    proves: Proves = "id"

    def __init__(self, owner: TokenAuthenticator, channel: Channel) -> None:
        self._owner = owner
        self._channel = channel
        self._token = b""
        self._seen: tuple[bytes, bytes, Claims] | None = None
        """Of the peer: the transcript of its first proof, its token, and what that says."""

    def prepared(self) -> bool:
        """See `Prepares`."""
        return self._channel.dest is None and self._owner.private_key is not None and self._owner.fresh

    async def prepare(self) -> None:
        """See `Prepares`."""
        owner, dest = self._owner, self._channel.dest
        if owner.private_key is not None:
            await owner.refresh()
        elif not self._channel.secure:
            raise UnauthenticatedError(
                f"a bearer token is not sent over a {self._channel.kind} wire that does not protect itself; "
                "use wss://, or tokens that name a key and TokenAuthenticator(private_key=...)"
            )
        if dest is not None:
            self._token = (await owner.fetch(dest)).encode("ascii")
        elif owner.private_key is None:
            owner.credential()  # says why it cannot

    def credential(self) -> bytes:
        return b"" if self._channel.dest is not None else self._owner.credential()

    def prove(self, transcript: bytes, role: Role) -> bytes:
        if role is Role.ACCEPTOR:
            return self._owner.prove(transcript, role)
        return len(self._token).to_bytes(2, "little") + self._token + self._owner.sign(transcript, role, self._token)

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        """See `Authenticator.verify`."""
        token, signature = credential, proof
        if role is Role.DIALLER:
            end = 2 + int.from_bytes(proof[:2], "little")
            token, signature = proof[2:end], proof[end:]
        claims = await self._claims(peer_id, token, transcript)
        if claims.key is None:
            self._check_bearer(peer_id, claims, role)
        else:
            self._owner.check_signature(peer_id, claims, token, transcript, signature, role)

    async def _claims(self, peer_id: str, token: bytes, transcript: bytes) -> Claims:
        """The token is verified with the first proof of the wire, and whenever that is judged again."""
        seen = self._seen
        if seen is not None and seen[0] != transcript and seen[1] == token:
            return seen[2]
        claims = await self._owner.claims_of(peer_id, token)
        if seen is None:
            self._seen = (transcript, token, claims)
        return claims

    def _check_bearer(self, peer_id: str, claims: Claims, role: Role) -> None:
        if role is Role.ACCEPTOR or not self._owner.allow_bearer:
            raise UnauthenticatedError(
                f"the token of {peer_id!r} names no key (cnf), so whoever sees it could use it; issue one that does"
                + (", or allow_bearer=True" if role is Role.DIALLER else "")
            )
        if not self._channel.secure:
            raise UnauthenticatedError(
                f"{peer_id!r} sent a bearer token over a channel that does not protect it: revoke it"
            )
        if claims.audience != (self._owner.local_id,):
            raise UnauthenticatedError(
                f"the bearer token of {peer_id!r} is not for {self._owner.local_id!r} alone, so others could use it"
            )


def _expiry(token: str) -> float | None:
    """When our own token ends (seconds since 1970), if it is a JWT that says so. It is not verified: others do that."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        expires = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))).get("exp")
    except (ValueError, AttributeError, RecursionError):
        return None
    return float(expires) if isinstance(expires, int | float) else None
