"""Channel binding of TLS wires: `tls-server-end-point` (RFC 5929, section 4), the hash of the server's certificate.

`tls-exporter` (RFC 9266) would bind to the one connection, but no released Python exports keying material.
This type binds to the server's certificate: a proof cannot be replayed on a channel that ends at another certificate.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import Final

PREFIX: Final = b"tls-server-end-point:"
_FLIGHTS: Final = 8


@lru_cache(maxsize=64)
def end_point(certificate: bytes) -> bytes | None:
    """The binding for a server certificate in DER: its hash, by the hash of its own signature.

    MD5 and SHA-1 are replaced by SHA-256, as the RFC says. SHA-256 is also taken where the signature has no hash
    of its own (Ed25519), which the RFC leaves open. None when the certificate cannot be read.
    """
    # Here and not above: no more than the first dial of a `wss://` takes anyway to read the system's authorities.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes

    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    except ValueError:
        return None
    if algorithm is None or isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return PREFIX + digest.finalize()


def of_peer(tls: ssl.SSLObject | None) -> bytes | None:
    """The binding as a client sees it, on its open TLS connection."""
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return end_point(certificate) if certificate else None


def of_server(context: ssl.SSLContext) -> bytes | None:
    """The binding as the server itself knows it.

    An SSLContext does not tell which certificate it holds, so this shakes hands with it in memory, once per kind
    of key. None when that does not name exactly one certificate (several keys, or a callback that chooses by name).
    """
    if context.sni_callback is not None:
        return None
    own = own_certificate(context)
    if own is not None:
        return end_point(own)
    probes = (("", ssl.TLSVersion.TLSv1_3), ("aECDSA", ssl.TLSVersion.TLSv1_2), ("aRSA", ssl.TLSVersion.TLSv1_2))
    seen = [found for ciphers, version in probes if (found := _shown(context, ciphers, version)) is not None]
    return end_point(seen[0]) if seen and all(one == seen[0] for one in seen) else None


def own_certificate(context: ssl.SSLContext) -> bytes | None:
    """The certificate that a context shows, in DER, if it is of those that tell: `outproc.security.tls_files`."""
    own = getattr(context, "own_certificate", None)
    return own if isinstance(own, bytes) else None


def _shown(context: ssl.SSLContext, ciphers: str, version: ssl.TLSVersion) -> bytes | None:
    """The certificate that `context` shows to a client of this kind, or None when the two do not agree."""
    probe = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    probe.check_hostname = False
    probe.verify_mode = ssl.CERT_NONE  # it talks to our own context in memory, and only looks
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        probe.minimum_version = probe.maximum_version = version
        if ciphers:
            probe.set_ciphers(ciphers)
        client = probe.wrap_bio(to_client, to_server)
        server = context.wrap_bio(to_server, to_client, server_side=True)
    except (ssl.SSLError, ValueError):
        return None
    for _ in range(_FLIGHTS):
        try:
            client.do_handshake()
            return client.getpeercert(binary_form=True)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return None
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return None
    return None
