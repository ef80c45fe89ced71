"""From what a user sends to what the log keeps: bytes that are not copied where they need not be."""

from __future__ import annotations

from typing import Any

from litz.errors import MessageTooLargeError, PayloadError
from outproc.session.log import Body, Parts

COPY_LIMIT = 16 << 10
"""Mutable payloads up to this size are copied, so that they may be changed at once."""


def body_of(data: Any, max_message: int) -> Body:
    """The payload as the log keeps it. Raises `PayloadError`, `MessageTooLargeError`."""
    body: Body
    if type(data) is bytes:
        body = data
    elif isinstance(data, list | tuple):
        buffers = tuple(part for part in (_buffer(part) for part in data) if len(part))
        body = Parts(buffers) if len(buffers) != 1 else buffers[0]
    else:
        body = _buffer(data)
    if len(body) > max_message:
        raise MessageTooLargeError(
            f"a message of {len(body)} bytes is over max_message ({max_message}); "
            "cut it into several, raise max_message on both sides, or use a stream"
        )
    return body


def _buffer(data: Any) -> bytes | memoryview:
    if isinstance(data, bytes):
        return data
    try:
        view = memoryview(data)
    except TypeError:
        hint = "; encode it first" if isinstance(data, str) else "; encode it, or use a RoutingTransportManager"
        raise PayloadError(f"a payload is bytes-like or a list of such, not {type(data).__name__}{hint}") from None
    if not view.c_contiguous:
        return view.tobytes()
    return view.tobytes() if view.nbytes <= COPY_LIMIT else view.cast("B")
