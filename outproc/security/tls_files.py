"""Certificates in files, which can be replaced while nodes run: contexts for listening and dialling, and `reload`.

Reading blocks: call `read` in a thread where the loop runs, and `use` in the loop's thread.
"""

from __future__ import annotations

import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from outproc.security.key_file_error import KeyFileError

MAX_PEM_FILE = 1 << 20


class ServerContext(ssl.SSLContext):
    """A context that knows which certificate it shows, so that its channel binding is right from the moment on when
    that is replaced."""

    own_certificate: bytes | None = None
    """In DER."""


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """What the files held when they were read, and it fits together. In PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes | None = None

    @property
    def der(self) -> bytes | None:
        """The certificate in DER."""
        if not self.certificate:
            return None
        return x509.load_pem_x509_certificates(self.certificate)[0].public_bytes(Encoding.DER)


class TlsFiles:
    """The certificate of a node, its key, and the authorities whose certificates it believes.

    certificate  its certificate in PEM with what leads to its root; None: it shows none
    key          its private key in PEM, without a password; None: it is in `certificate`
    authorities  those it believes, in PEM; None: those of the system when dialling, and nobody is asked when listening

    With authorities, listeners ask every peer for a certificate, as `MutualTlsAuthenticator` needs it. They then take
    TLS 1.3 only, and resume no TLS session, so that each handshake is verified anew.

    Raises `KeyFileError` that names the file and what to do about it, also in `read`.
    """

    def __init__(
        self, certificate: Path | None = None, key: Path | None = None, authorities: Path | None = None
    ) -> None:
        self._certificate = certificate
        self._key = key
        self._authorities = authorities
        self._material = self.read()
        self._server: ServerContext | None = None
        self._client: ssl.SSLContext | None = None

    @property
    def authorities(self) -> bytes | None:
        """Those in force, in PEM."""
        return self._material.authorities

    def server_context(self) -> ssl.SSLContext:
        """For `listen(..., ssl=...)`: always the same, so that reloading reaches every port."""
        if self._server is None:
            self._server = ServerContext(ssl.PROTOCOL_TLS_SERVER)
            self._apply(self._server, self._material)
            if self._material.authorities is not None:
                self._server.verify_mode = ssl.CERT_REQUIRED
                self._server.minimum_version = ssl.TLSVersion.TLSv1_3
                self._server.num_tickets = 0
        return self._server

    def client_context(self) -> ssl.SSLContext:
        """The context of the next dial. Give the method itself: `WebSocketWireBuilder(ssl=files.client_context)`."""
        if self._client is None:
            authorities = self._material.authorities
            context = ssl.create_default_context(cadata=authorities.decode() if authorities is not None else None)
            if self._material.certificate:
                _load(context, self._material)
            self._client = context
        return self._client

    def read(self) -> TlsMaterial:
        """Read the files and check that they fit together. Changes nothing."""
        certificate = _read(self._certificate, "certificate") if self._certificate is not None else b""
        key = _read(self._key, "private key") if self._key is not None else certificate
        authorities = _read(self._authorities, "authority") if self._authorities is not None else None
        material = TlsMaterial(certificate, key, authorities)
        if self._certificate is not None:
            try:
                _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), material)
                x509.load_pem_x509_certificates(certificate)
            except (ssl.SSLError, ValueError) as error:
                raise KeyFileError(self._misfit(error)) from None
        if authorities is not None:
            try:
                x509.load_pem_x509_certificates(authorities)
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities.decode("ascii"))
            except (ssl.SSLError, ValueError):
                raise KeyFileError(f"{self._authorities} holds no certificate of an authority in PEM") from None
        return material

    def use(self, material: TlsMaterial) -> None:
        """From the next TLS handshake on. Authorities that are no longer named are not believed any more when dialling;
        for who dials here give them to `MutualTlsAuthenticator.trust_only` as well."""
        if self._server is not None:
            self._apply(self._server, material)
        self._material = material
        self._client = None

    def reload(self) -> bool:
        """Read and use the files. Returns whether anything is new. If it raises, what was in force stays so."""
        material = self.read()
        if material == self._material:
            return False
        self.use(material)
        return True

    def _apply(self, context: ServerContext, material: TlsMaterial) -> None:
        if material.certificate:
            _load(context, material)
            context.own_certificate = material.der
        if material.authorities is not None:
            context.load_verify_locations(cadata=material.authorities.decode("ascii"))

    def _misfit(self, error: Exception) -> str:
        holder = self._key or self._certificate
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            return f"the key in {holder} does not belong to the certificate in {self._certificate}"
        return (
            f"{self._certificate} and {holder} should hold a certificate and its private key in PEM, without a password"
        )

    def __repr__(self) -> str:
        return f"<TLS files {self._certificate}, {self._authorities}>"


def _load(context: ssl.SSLContext, material: TlsMaterial) -> None:
    """From files of our own, because a context reads only files, and others may be writing those of the user."""
    with tempfile.TemporaryDirectory(prefix="litz-tls-") as folder:  # mode 0700
        certificate, key = Path(folder) / "certificate", Path(folder) / "key"
        certificate.write_bytes(material.certificate)
        key.write_bytes(material.key)
        context.load_cert_chain(certificate, key, password=lambda: b"")


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            pem = file.read(MAX_PEM_FILE + 1)
    except FileNotFoundError as error:
        raise KeyFileError(f"there is no file {path} (the {what})") from error
    except OSError as error:
        raise KeyFileError(f"cannot read {path} (the {what}): {error.strerror}") from error
    if len(pem) > MAX_PEM_FILE:
        raise KeyFileError(f"{path} (the {what}) has more than {MAX_PEM_FILE} bytes")
    return pem
