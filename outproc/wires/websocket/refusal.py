"""What a refused or broken opening handshake means to the caller: one typed error each, with its cure. Pure."""

from __future__ import annotations

import email.utils
import time
from http import HTTPStatus
from typing import Final

from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Response

from litz.errors import BusyError, HandshakeError, IncompatibleError, UnauthenticatedError

SUBPROTOCOL: Final = "litz.1"
"""The WebSocket subprotocol (RFC 6455, section 1.9) that both sides must name."""

DEFAULT_RETRY_AFTER: Final = 1.0
MAX_RETRY_AFTER: Final = 300.0
"""Seconds to wait after 503 and 429 without a usable Retry-After, and the most that a peer may ask for."""


def error_of(where: str, failure: Exception, *, ended: bool = False) -> Exception:
    """The error that `build` raises when `websockets` ended the opening handshake with `failure`; `ended` says that
    the connection had ended by then."""
    if isinstance(failure, InvalidStatus):
        return _refused(where, failure.response)
    cause = failure.__cause__
    if ended:
        return ConnectionResetError(f"{where} closed the connection during the opening handshake")
    reason = f"{failure} ({cause})" if cause is not None else str(failure)
    if isinstance(failure, InvalidHandshake):
        return HandshakeError(
            f"{where} does not answer as a WebSocket server: {reason}; check the scheme "
            "(ws or wss), the port and the path"
        )
    return failure


def no_subprotocol(where: str) -> IncompatibleError:
    """The server accepted the WebSocket and does not know litz."""
    return IncompatibleError(
        f"{where} is a WebSocket server that does not speak {SUBPROTOCOL}; check the port and the path"
    )


def _refused(where: str, response: Response) -> HandshakeError:
    status = response.status_code
    said = f"{where} answered {status} {response.reason_phrase}".rstrip()
    detail = bytes(response.body[:200]).decode("utf-8", "replace").strip()
    if detail.isprintable() and detail:
        said = f"{said} ({detail})"
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        wait = _retry_after(response.headers.get("Retry-After"))
        return BusyError(f"{said}; try again in {wait:g} s", retry_after=wait)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED):
        return UnauthenticatedError(
            f"{said}; check headers= of the builder, or allow this origin with origins= where it listens"
        )
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UPGRADE_REQUIRED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED):
        return IncompatibleError(f"{said}; the server does not speak {SUBPROTOCOL}, or a proxy removes the upgrade")
    if status == HTTPStatus.NOT_FOUND:
        return HandshakeError(f"{said}; nothing of litz is mounted at that path, check the URL")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return HandshakeError(f"{said}; redirects are not followed, use the final URL")
    return HandshakeError(f"{said}; see the log of that server or proxy")


def _retry_after(value: str | None) -> float:
    """Seconds named by a Retry-After header (RFC 9110, section 10.2.3), kept within bounds."""
    if value is None:
        return DEFAULT_RETRY_AFTER
    if value.isascii() and value.isdigit():
        return float(min(int(value[:6]), int(MAX_RETRY_AFTER)))
    try:
        due = email.utils.parsedate_to_datetime(value).timestamp()
    except ValueError:
        return DEFAULT_RETRY_AFTER
    return min(max(due - time.time(), 0.0), MAX_RETRY_AFTER)
