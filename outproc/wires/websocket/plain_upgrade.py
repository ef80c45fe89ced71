"""The request that litz peers send to open a WebSocket, told apart from all others at little cost. Pure.

A *plain* upgrade request is complete, in the strictest spelling, asks for exactly the path and the subprotocol of a
litz route, and carries nothing that needs a judgement: no body, no Origin, no header twice. It is answered here.
Anything else is left to aiohttp and `websockets`, which stay the only authority on HTTP and on RFC 6455: this refuses
nothing, it only does not recognize.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error, a2b_base64
from hashlib import sha1
from typing import Final, NamedTuple

from outproc.wires.websocket.refusal import SUBPROTOCOL

MAX_HEADERS: Final = 64

_HEAD: Final = re.compile(rb"GET (/[!-~]*+) HTTP/1\.1\r\n((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~]*+\r\n)*+)\r\n")
"""A request line and headers as RFC 9112 (sections 3 and 5) writes them, without folded lines and in ASCII."""

_NEEDS_A_JUDGE: Final = (b"content-length", b"transfer-encoding", b"origin", b"expect", b"trailer")
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_WANTED: Final = SUBPROTOCOL.encode()


class PlainUpgrade(NamedTuple):
    """What a plain upgrade request asks for, and the answer that accepts it (RFC 6455, section 4.2.2)."""

    path: str
    answer: bytes


def plain_upgrade(head: bytes) -> PlainUpgrade | None:
    """What `head` (up to and with the empty line) asks for, None unless it is a plain upgrade request."""
    match = _HEAD.fullmatch(head)
    if match is None:
        return None
    lines = match[2].split(b"\r\n")
    fields: dict[bytes, bytes] = {}
    for line in lines[:-1]:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip(b" \t")
    if len(fields) != len(lines) - 1 or len(fields) > MAX_HEADERS or any(name in fields for name in _NEEDS_A_JUDGE):
        return None
    key = fields.get(b"sec-websocket-key", b"")
    if (
        fields.get(b"upgrade", b"").lower() != b"websocket"
        or b"upgrade" not in _words(fields.get(b"connection", b"").lower())
        or fields.get(b"sec-websocket-version") != b"13"
        or _WANTED not in _words(fields.get(b"sec-websocket-protocol", b""))
        or not _is_key(key)
    ):
        return None
    accepted = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
    answer = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accepted + b"\r\nSec-WebSocket-Protocol: " + _WANTED + b"\r\n\r\n"
    )
    return PlainUpgrade(match[1].decode("ascii"), answer)


def _words(value: bytes) -> list[bytes]:
    return [word.strip(b" \t") for word in value.split(b",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except Error:
        return False
