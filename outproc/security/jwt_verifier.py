"""Verifies JWTs (RFC 7519) for `TokenAuthenticator`, with PyJWT: `pip install litz[jwt]`."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from litz.errors import UnauthenticatedError
from outproc.security.tokens import Claims

Key = str | bytes

_KINDS: Final[dict[str, tuple[type[Any], ...]]] = {
    "EdDSA": (Ed25519PublicKey, Ed448PublicKey),
    **dict.fromkeys(("ES256", "ES384", "ES512"), (EllipticCurvePublicKey,)),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), (RSAPublicKey,)),
}
_SECRETS: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes that the secret of an HMAC has at least (RFC 7518, section 3.2)."""


class JwtVerifier:
    """A `Verify` for JWTs of one issuer.

    keys       what the issuer signs with: its public key in PEM (for HS*: the secret), or a mapping of key ids (`kid`)
               to such, so that keys can be replaced without a gap. Replace them any time with `use`
    algorithm  the one algorithm that is taken, such as "EdDSA", "ES256", "RS256". What a token says about its algorithm
               decides nothing: "none", or an HMAC made with the public key, is refused (RFC 8725, section 3.1)
    issuer     the `iss` it must have; None: any
    leeway     seconds by which clocks may differ
    id_claim   the claim that holds the id

    A token must say when it ends (`exp`), whom it is for (`aud`) and who it is. `cnf`, where there is one, holds an
    Ed25519 key as `jwk`. Raises ValueError for keys that do not fit the algorithm, ImportError without PyJWT.
    """

    def __init__(
        self,
        keys: Key | Mapping[str, Key],
        *,
        algorithm: str,
        issuer: str | None = None,
        leeway: float = 30.0,
        id_claim: str = "sub",
    ) -> None:
        try:
            import jwt
        except ImportError as error:
            raise ImportError("JwtVerifier needs PyJWT: pip install litz[jwt]") from error
        self._jwt: Final = jwt
        if algorithm not in _KINDS and algorithm not in _SECRETS:
            raise ValueError(f"algorithm is one of {', '.join([*_KINDS, *_SECRETS])}, not {algorithm!r}")
        self._algorithm: Final = algorithm
        self._issuer: Final = issuer
        self._leeway: Final = leeway
        self._id_claim: Final = id_claim
        self._keys: Mapping[str | None, Any] = {}
        self.use(keys)

    def use(self, keys: Key | Mapping[str, Key]) -> None:
        """Take these keys from now on. Raises ValueError and changes nothing if one does not fit."""
        given: dict[str | None, Key] = {None: keys} if isinstance(keys, str | bytes) else dict(keys.items())
        self._keys = {kid: self._loaded(key) for kid, key in given.items()}

    def _loaded(self, key: Key) -> Any:
        raw = key.encode() if isinstance(key, str) else key
        if self._algorithm in _SECRETS:
            least = _SECRETS[self._algorithm]
            if len(raw) < least or raw.lstrip().startswith(b"-----BEGIN"):
                raise ValueError(f"{self._algorithm} needs a secret of {least} bytes at least, and not a key in PEM")
            return raw
        try:
            loaded = load_pem_public_key(raw)
        except Exception:
            raise ValueError(f"{self._algorithm} needs the issuer's public key in PEM") from None
        if not isinstance(loaded, _KINDS[self._algorithm]):
            raise ValueError(f"{self._algorithm} needs another kind of key than {type(loaded).__name__}")  # noqa: TRY004 - the kind of key is a value here
        return loaded

    def __call__(self, token: str, audiences: Sequence[str]) -> Claims:
        """See `outproc.security.tokens.Verify`."""
        jwt = self._jwt
        try:
            header = jwt.get_unverified_header(token)
            if "crit" in header:
                raise UnauthenticatedError("a token with extensions that must be understood (crit) is not taken")
            key = self._keys.get(None if None in self._keys else header.get("kid"))
            if key is None:
                raise UnauthenticatedError(
                    "a token by a key that is not known here; give its kid and key to JwtVerifier"
                )
            payload = jwt.decode(
                token,
                key,
                algorithms=[self._algorithm],
                audience=list(audiences),
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": ["exp", "aud", self._id_claim]},
            )
        except jwt.PyJWTError as error:
            raise UnauthenticatedError(f"a token was refused: {_words(error)}") from None
        subject, audience = payload[self._id_claim], payload["aud"]
        if not isinstance(subject, str):
            raise UnauthenticatedError(f"a token was refused: its {self._id_claim} is no id")
        return Claims(subject, (audience,) if isinstance(audience, str) else tuple(audience), _holder(payload))

    def __repr__(self) -> str:
        return f"<JWT verifier, {self._algorithm}, {len(self._keys)} keys>"


def _words(error: Exception) -> str:
    """Its class in words, not its text, which may quote the token: "expired signature"."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()


def _holder(payload: Mapping[str, Any]) -> bytes | None:
    """The key in `cnf`. One that is not understood is refused: such a token is not for the bearer."""
    if "cnf" not in payload:
        return None
    match payload["cnf"]:
        case {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": str(x)}} if x.isascii():
            try:
                key = urlsafe_b64decode(x + "=" * (-len(x) % 4))
            except ValueError:
                key = b""
            if len(key) == 32:
                return key
    raise UnauthenticatedError("a token was refused: its cnf holds no Ed25519 key as jwk (RFC 8037)")
