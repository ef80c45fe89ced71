"""The options for `wss://`: the certificate of a port, and the authority that other ports' certificates come from."""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from litz.wire import WireBuilder, scheme_of
from outproc.cli.outcome import UsageError
from outproc.installed_wires import installed_wires
from outproc.wires.websocket.builder import WebSocketWireBuilder


def add_cert_options(parser: argparse.ArgumentParser) -> None:
    """`--cert`, `--cert-key`."""
    parser.add_argument(
        "--cert", type=Path, metavar="FILE", help="the certificate of wss:// ports, in PEM, with what leads to its root"
    )
    parser.add_argument(
        "--cert-key", type=Path, metavar="FILE", help="its private key, in PEM without a password (default: in --cert)"
    )


def add_ca_option(parser: argparse.ArgumentParser) -> None:
    """`--ca`."""
    parser.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="trust the wss:// certificates of this authority (PEM) instead of those of the system",
    )


def listen_options(
    arguments: argparse.Namespace, urls: Sequence[str], context: ssl.SSLContext | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """Each URL with the options for `listen`; `context` is what `wss://` ports use. Raises `UsageError` that names the
    URL and the file."""
    secure = [url for url in urls if scheme_of(url) == "wss"]
    if arguments.cert is None:
        if arguments.cert_key is not None:
            raise UsageError("--cert-key needs --cert FILE, the certificate that it belongs to")
        if secure:
            raise UsageError(f"{secure[0]} needs a certificate: give --cert FILE --cert-key FILE, or listen at ws://")
        return [(url, {}) for url in urls]
    if not secure and getattr(arguments, "mtls", False):
        return [(url, {}) for url in urls]  # it is for dialling
    if not secure:
        raise UsageError(f"--cert is for wss:// ports, and this is {', '.join(urls)}; give --listen wss://HOST:PORT")
    context = context or check_certificate(arguments.cert, arguments.cert_key, secure[0])
    return [(url, {"ssl": context} if url in secure else {}) for url in urls]


def builders_of(arguments: argparse.Namespace) -> list[WireBuilder] | None:
    """None: all that are installed. With `--ca`, WebSockets trust that authority and no other. Raises `UsageError`."""
    if arguments.ca is None:
        return None
    _check_readable(arguments.ca, "authority")
    try:
        context = ssl.create_default_context(cafile=arguments.ca)
    except ssl.SSLError as error:
        raise UsageError(f"{arguments.ca} holds no certificate of an authority in PEM") from error
    return builders_with(context)


def builders_with(context: ssl.SSLContext | Callable[[], ssl.SSLContext]) -> list[WireBuilder]:
    """All that are installed; WebSockets dial with `context`."""
    trusting = WebSocketWireBuilder(ssl=context)
    return [
        trusting,
        *(builder for builder in installed_wires().builders if not isinstance(builder, WebSocketWireBuilder)),
    ]


def check_certificate(cert: Path, key: Path | None, url: str) -> ssl.SSLContext:
    """A server's context, for a certificate that may be used. Raises `UsageError` that names `url` and the file."""
    _check_readable(cert, f"certificate for {url}")
    if key is not None:
        _check_readable(key, f"private key for {url}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        holder = key or cert
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UsageError(f"{url}: the key in {holder} does not belong to the certificate in {cert}") from error
        hint = "" if key is not None else "; if the key has a file of its own, give --cert-key FILE"
        raise UsageError(
            f"{url}: {cert} and {holder} should hold a certificate and its private key in PEM{hint}"
        ) from error
    return context


def _no_password() -> str:
    raise UsageError("the private key of --cert has a password; store it without one, in a file of mode 0600")


def _check_readable(path: Path, what: str) -> None:
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path} (the {what})") from error
    except OSError as error:
        raise UsageError(f"cannot read {path} (the {what}): {error.strerror}") from error
