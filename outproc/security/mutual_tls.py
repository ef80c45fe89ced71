"""Ids proved by TLS itself: each end of a `wss://` wire shows a certificate that names its id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from litz.errors import UnauthenticatedError, UntrustedPeerError
from outproc.security import certificate_ids
from outproc.security.authenticator import Authenticator, Proves, Role, statement
from outproc.security.channel import Channel, bound

IdsOf = Callable[[x509.Certificate], Sequence[str]]
"""The ids that a certificate, which TLS has verified, may prove. Must not block."""


class MutualTlsAuthenticator:
    """Proves peers by the certificate that they showed in TLS, and this node by its own.

    Works on `wss://` wires whose both ends verify: `listen(url, ssl=...)` with a context that asks for certificates
    (`verify_mode = ssl.CERT_REQUIRED`), and `WebSocketWireBuilder(ssl=...)` with one that holds this node's own.
    `TlsFiles` makes both. TLS proves that the peer has the key; here it is looked at who that is.

    authorities  PEM of the authorities that may name ids, of any the contexts trust; None: all that they trust.
                 Needed to take an authority out of use while nodes run: see `trust_only`
    ids_of       which ids a certificate may prove; the default: `litz:ID` URIs among its alternative names
    otherwise    proves ids on wires that show no certificates (relays, WebRTC, plain WebSockets), and signs what is
                 said through a session (WebRTC's signaling). None: such wires are refused

    Raises ValueError for authorities that are no certificates.
    """

    method: str = "mtls"
    proves: Proves = "id"

    def __init__(
        self,
        *,
        authorities: bytes | None = None,
        ids_of: IdsOf = certificate_ids.ids_of,
        otherwise: Authenticator | None = None,
    ) -> None:
        if otherwise is not None and (otherwise.method == self.method or otherwise.proves == "nothing"):
            raise ValueError("otherwise= takes an authenticator of another method that proves something")
        self._ids_of = ids_of
        self._otherwise = otherwise
        self._authorities: frozenset[bytes] | None = None
        self.trust_only(authorities)

    def trust_only(self, authorities: bytes | None) -> None:
        """From the next handshake on these (PEM) and no other authorities may name ids. Wires that are up stay up until
        `reauthorize`. Raises ValueError and changes nothing if they are no certificates."""
        self._authorities = None if authorities is None else _der_of(authorities)

    def on_wire(self, channel: Channel) -> Authenticator:
        """See `PerWire`."""
        if self._otherwise is not None and not channel.certificates:
            return bound(self._otherwise, channel)
        return _OnWire(self, channel)

    def check(self, peer_id: str, channel: Channel, role: Role) -> None:
        """Raises `UnauthenticatedError` unless the certificates of the wire may prove `peer_id`, which acts as `role`;
        `UntrustedPeerError` for an acceptor that showed that it is not who was dialled."""
        untrusted = UntrustedPeerError if role is Role.ACCEPTOR else UnauthenticatedError
        if not channel.certificates:
            raise UnauthenticatedError(
                f"{peer_id!r} showed no certificate on this {channel.kind} wire; mutual TLS needs wss:// at both ends, "
                "a listener whose ssl context has verify_mode=CERT_REQUIRED and a dialler whose context has a "
                "certificate. For other wires give MutualTlsAuthenticator(otherwise=...) a second authenticator"
            )
        certificate = x509.load_der_x509_certificate(channel.certificates[0])
        if not certificate.not_valid_before_utc <= datetime.now(UTC) <= certificate.not_valid_after_utc:
            raise UnauthenticatedError(f"the certificate of {peer_id!r} is not valid now; renew it, or set the clocks")
        if self._authorities is not None and self._authorities.isdisjoint(map(_fingerprint, channel.certificates)):
            raise untrusted(
                f"the certificate of {peer_id!r} comes from no authority that may name ids here; have one sign it, or "
                "trust its authority"
            )
        ids = self._ids_of(certificate)
        if peer_id not in ids:
            known = ", ".join(map(repr, list(ids)[:8])) or "no litz id"
            raise untrusted(
                f"the certificate names {known} and not {peer_id!r}; issue one with the alternative name "
                f"URI:{certificate_ids.id_uri(peer_id)}, or correct the endpoint"
            )

    # What is proved without a wire.

    def credential(self) -> bytes:
        return self._signer().credential()

    def prove(self, transcript: bytes, role: Role) -> bytes:
        return self._signer().prove(transcript, role)

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        """See `Authenticator.verify`."""
        await self._signer().verify(peer_id, credential, transcript, proof, role)

    def _signer(self) -> Authenticator:
        if self._otherwise is None:
            raise UnauthenticatedError(
                "mutual TLS proves the ends of wires and signs no messages, which WebRTC's signaling needs; give "
                "MutualTlsAuthenticator(otherwise=...) a second authenticator, or leave the WebRTC builder out"
            )
        return self._otherwise

    def __repr__(self) -> str:
        beside = f", otherwise {self._otherwise!r}" if self._otherwise is not None else ""
        return f"<mutual TLS{beside}>"


class _OnWire:
    """On one wire. The proof is a hash: TLS has proved the keys, this shows that both ends mean the same handshake over
    the same channel."""

    method: str = MutualTlsAuthenticator.method
    proves: Proves = "id"

    def __init__(self, owner: MutualTlsAuthenticator, channel: Channel) -> None:
        self._owner = owner
        self._channel = channel

    def credential(self) -> bytes:
        return b""

    def prove(self, transcript: bytes, role: Role) -> bytes:
        return sha256(statement(role, self.method, transcript)).digest()

    async def verify(self, peer_id: str, credential: bytes, transcript: bytes, proof: bytes, role: Role) -> None:
        """See `Authenticator.verify`."""
        self._owner.check(peer_id, self._channel, role)
        if not compare_digest(proof, self.prove(transcript, role)):
            raise UnauthenticatedError(
                f"{peer_id!r} means another handshake than this node: something between them ends TLS"
            )


def _fingerprint(der: bytes) -> bytes:
    return sha256(der).digest()


def _der_of(pem: bytes) -> frozenset[bytes]:
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ValueError("authorities= takes certificates in PEM") from None
    return frozenset(_fingerprint(certificate.public_bytes(Encoding.DER)) for certificate in found)
