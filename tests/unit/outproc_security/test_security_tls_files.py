"""Certificates in files: what is new is used, what cannot be used changes nothing.

Covers `outproc.security.tls_files`.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from outproc.security.key_file_error import KeyFileError
from outproc.security.tls_files import TlsFiles
from outproc.wires.websocket.binding import end_point, of_server
from tests.integration.identities import authority, dialling, stranger_authority


class Folder:
    def __init__(self, path: Path) -> None:
        self.cert, self.key, self.ca = (path / name for name in ("cert.pem", "key.pem", "ca.pem"))
        self.ca.write_bytes(authority().pem)
        self.issue()

    def issue(self) -> bytes:
        certificate, key = authority().issue("b")
        self.cert.write_bytes(certificate)
        self.key.write_bytes(key)
        return x509.load_pem_x509_certificate(certificate).public_bytes(_DER)

    def files(self) -> TlsFiles:
        return TlsFiles(self.cert, self.key, self.ca)


_DER = Encoding.DER


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def seen_by(client: ssl.SSLContext, server: ssl.SSLContext) -> bytes | None:
    """The certificate a client gets to see, after a whole handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    two = server.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(10):
        for side in (one, two):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert len(done) == 2
    return one.getpeercert(binary_form=True)


def test_a_new_certificate_is_shown_by_the_same_context(folder: Folder) -> None:
    files = folder.files()
    server, client = files.server_context(), files.client_context()
    first = seen_by(client, server)
    assert not files.reload()
    renewed = folder.issue()
    assert files.reload()
    assert files.server_context() is server
    assert seen_by(files.client_context(), server) == renewed != first
    assert of_server(server) == end_point(renewed), "the binding is of the old one"
    assert server.verify_mode is ssl.CERT_REQUIRED


def test_who_shows_no_certificate_is_not_let_in(folder: Folder) -> None:
    with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
        seen_by(dialling(None), folder.files().server_context())


def test_without_authorities_nobody_is_asked(folder: Folder) -> None:
    server = TlsFiles(folder.cert, folder.key).server_context()
    assert server.verify_mode is ssl.CERT_NONE
    assert seen_by(dialling(None), server)


def test_an_authority_that_is_gone_is_not_believed_any_more_when_dialling(folder: Folder) -> None:
    files = folder.files()
    server = files.server_context()
    seen_by(files.client_context(), server)
    folder.ca.write_bytes(stranger_authority().pem)
    assert files.reload()
    assert files.authorities == stranger_authority().pem
    with pytest.raises(ssl.SSLCertVerificationError):
        seen_by(files.client_context(), server)


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("cert", b"", "should hold a certificate"),
        ("cert", b"damaged", "should hold a certificate"),
        ("key", b"damaged", "should hold a certificate"),
        ("key", b"other", "does not belong to the certificate"),
        ("ca", b"damaged", "holds no certificate of an authority"),
        ("ca", b"\xff\xfe", "holds no certificate of an authority"),
        ("ca", b"x" * (2 << 20), "has more than"),
        ("cert", None, "there is no file"),
        ("key", None, "there is no file"),
        ("ca", None, "there is no file"),
    ],
)
def test_what_cannot_be_used_changes_nothing(folder: Folder, file: str, content: bytes | None, why: str) -> None:
    files = folder.files()
    server = files.server_context()
    before = seen_by(files.client_context(), server)
    path: Path = getattr(folder, file)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(authority().issue("b")[1] if content == b"other" else content)
    with pytest.raises(KeyFileError, match=why) as caught:
        files.reload()
    assert str(path) in str(caught.value) or file == "key"
    assert "PRIVATE" not in str(caught.value)
    assert seen_by(files.client_context(), server) == before


def test_no_secret_shows(folder: Folder) -> None:
    files = folder.files()
    assert "PRIVATE" not in repr(files) + repr(files.read()) + repr(files.server_context())
