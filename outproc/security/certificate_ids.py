"""Ids in certificates: the URI `litz:ID` among the subject's alternative names (RFC 5280, section 4.2.1.6). Pure.

As with SPIFFE, a URI and not a host name: no public authority signs such a name, and a host that serves many ids has
one certificate for each of them, or one that names them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from cryptography import x509

from litz.dest import validate_dest
from litz.errors import InvalidDestError

SCHEME: Final = "litz:"

_PLAIN: Final = "-._~!$&'()*+,;=:@/"
"""Characters that a URI may hold as they are (RFC 3986, section 3.3)."""


def id_uri(peer_id: str) -> str:
    """How `peer_id` is written in a certificate: "litz:bob". What is not ASCII is percent-encoded UTF-8."""
    return SCHEME + quote(validate_dest(peer_id), safe=_PLAIN)


def ids_of(certificate: x509.Certificate) -> Sequence[str]:
    """The ids that the certificate names. URIs of other schemes are none; one that holds no legal id is passed over."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    found = []
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        if uri.startswith(SCHEME):
            try:
                found.append(validate_dest(unquote_to_bytes(uri[len(SCHEME) :]).decode("utf-8")))
            except (InvalidDestError, UnicodeDecodeError):
                continue
    return found
