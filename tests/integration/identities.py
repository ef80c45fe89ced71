"""Certificates, tokens and authenticators of named nodes, made while tests run; and those of somebody else."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from outproc.security import JwtVerifier, TokenAuthenticator
from outproc.security.certificate_ids import id_uri

PEM = serialization.Encoding.PEM


def secret_pem(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """Signs certificates."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, self._name, [], ca=True)
        self.pem = self._certificate.public_bytes(PEM)

    def issue(self, *ids: str, uris: Sequence[str] = (), days: int = 1) -> tuple[bytes, bytes]:
        """A certificate for these ids on 127.0.0.1, and its key, both in PEM. It ends in `days`, or ended before."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a node")])
        names = [x509.UniformResourceIdentifier(uri) for uri in (*map(id_uri, ids), *uris)]
        certificate = self._sign(subject, key, self._name, names, ca=False, days=days)
        return certificate.public_bytes(PEM), secret_pem(key)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Name,
        names: Sequence[x509.GeneralName],
        *,
        ca: bool,
        days: int = 1,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            host = [x509.DNSName("localhost"), x509.IPAddress(_LOOPBACK)]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            builder = builder.add_extension(x509.SubjectAlternativeName([*host, *names]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


_LOOPBACK = ipaddress.ip_address("127.0.0.1")


@cache
def authority() -> Authority:
    """Everybody's."""
    return Authority("litz test authority")


@cache
def stranger_authority() -> Authority:
    """One that nobody knows."""
    return Authority("another authority")


def load(context: ssl.SSLContext, pair: tuple[bytes, bytes]) -> ssl.SSLContext:
    """Give the context a certificate."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pair.pem"
        file.write_bytes(b"".join(pair))
        context.load_cert_chain(file)
    return context


def serving(pair: tuple[bytes, bytes], *, trusts: bytes | None = None) -> ssl.SSLContext:
    """A server that asks for certificates of the authority (or of `trusts`)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=(trusts or authority().pem).decode())
    return load(context, pair)


def dialling(pair: tuple[bytes, bytes] | None, *, trusts: bytes | None = None) -> ssl.SSLContext:
    """A client that shows `pair`, if there is one."""
    context = ssl.create_default_context(cadata=(trusts or authority().pem).decode())
    return load(context, pair) if pair is not None else context


# -- tokens -------------------------------------------------------------------------------------------------

ISSUER = "https://issuer.example"


@cache
def issuer_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def node_key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"."))


def token(
    subject: str,
    audience: str | list[str] = "litz",
    *,
    holder: Ed25519PrivateKey | None = None,
    expires_in: float = 3600,
    key: Any = None,
    algorithm: str = "EdDSA",
    headers: dict[str, Any] | None = None,
    **more: Any,
) -> str:
    """A token by the issuer. `holder`: whose key it names; None: a bearer token."""
    payload: dict[str, Any] = {"sub": subject, "aud": audience, "exp": time.time() + expires_in, "iss": ISSUER, **more}
    if holder is not None:
        raw = holder.public_key().public_bytes_raw()
        x = urlsafe_b64encode(raw).rstrip(b"=").decode()
        payload["cnf"] = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}}
    signer = key if key is not None else secret_pem(issuer_key())
    return jwt.encode({k: v for k, v in payload.items() if v is not None}, signer, algorithm=algorithm, headers=headers)


def verifier(**more: Any) -> JwtVerifier:
    return JwtVerifier(public_pem(issuer_key()), algorithm="EdDSA", issuer=ISSUER, **more)


def tokens(
    name: str, make: Callable[[str], str] | None = None, *, bearer: bool = False, **more: Any
) -> TokenAuthenticator:
    """An authenticator of `name`; `make(audience)` gives its tokens, by default true ones that name its key."""
    holder = None if bearer else node_key(name)

    async def fetch(audience: str) -> str:
        return make(audience) if make is not None else token(name, audience, holder=holder)

    more.setdefault("private_key", holder)
    return TokenAuthenticator(name, verifier(), fetch, **more)
