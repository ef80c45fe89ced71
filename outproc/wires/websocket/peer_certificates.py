"""The certificates that the peer of a TLS connection showed, where they were verified."""

from __future__ import annotations

import ssl
from typing import Any


def peer_certificates(tls: ssl.SSLObject | None) -> tuple[bytes, ...]:
    """In DER, the peer's own first, then those that lead to the authority this end trusts, as far as Python tells.

    Empty without TLS, without a certificate, and where it was not verified: a context that verifies nothing shows
    anybody's claim.
    """
    if tls is None or tls.context.verify_mode is ssl.CERT_NONE:
        return ()
    own = tls.getpeercert(binary_form=True)
    if own is None:
        return ()
    chain = _verified_chain(tls)
    return chain if chain[:1] == (own,) else (own,)


def _verified_chain(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    public = getattr(tls, "get_verified_chain", None)
    if public is not None:  # since Python 3.13
        return tuple(map(bytes, public()))
    # Before, `ssl` had it without saying so.
    inner: Any = getattr(tls, "_sslobj", None)
    chain = getattr(inner, "get_verified_chain", lambda: None)() or ()
    return tuple(certificate.public_bytes(_DER) for certificate in chain)


_DER = 2
"""`_ssl.ENCODING_DER`."""
