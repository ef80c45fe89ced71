"""What the two ends of a `ResumablePipe` say to each other: small frames on any byte stream. Pure.

A frame is one byte of kind, four of length (big-endian), and the payload. Numbers are big-endian, positions count the
bytes of one direction from 0 on.

    HELLO   "litzpipe", version (1 byte), 1 if the session begins else 0, session (16), nonce (16), attempt (8)
    PROOF   received (8), limit (8), 1 if the peer's FIN was taken else 0, HMAC-SHA256 (32)
    REFUSE  why (1, `Why`), text
    DATA    bytes, behind those of the DATA before; the first one begins at the position that the peer's PROOF named
    ACK     received (8), limit (8), 1 if FIN was taken else 0. Bytes up to `limit` may be sent
    FIN     the position behind the last byte (8)
    BYE     nothing: both halves are complete, and everything is confirmed
    RESET   code (1, `litz.stream_port.Abort`), text: both halves end now
    PING    nothing; answered by PONG
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from litz.errors import ProtocolError
from litz.event_words import printable

MAX_PAYLOAD: Final = 64 * 1024
VERSION: Final = 1

_MAGIC: Final = b"litzpipe"
_HEADER: Final = struct.Struct("!BI")
_HELLO: Final = struct.Struct("!8sBB16s16sQ")
_ACK: Final = struct.Struct("!QQB")
_POSITION: Final = struct.Struct("!Q")


class Kind(IntEnum):
    """The first byte of a frame."""

    HELLO = 1
    PROOF = 2
    REFUSE = 3
    DATA = 4
    ACK = 5
    FIN = 6
    BYE = 7
    RESET = 8
    PING = 9
    PONG = 10


class Why(IntEnum):
    """Why a connection may not resume. STALE costs the connection only, the others are final."""

    UNKNOWN = 1
    """No such session here: its state is lost, or it has ended."""
    OTHER = 2
    """This end serves another session, or the proof is wrong."""
    STALE = 3
    """A newer connection of the same session was here first."""
    GONE = 4
    """The position asked for is not held any more, or was never written."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of each side."""

    begins: bool
    session: bytes
    nonce: bytes
    attempt: int


@dataclass(frozen=True, slots=True)
class Ack:
    """What one side has of the other."""

    received: int
    limit: int
    fin: bool


def frame(kind: Kind, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return _HEADER.pack(kind, len(payload)) + payload


def data_header(size: int) -> bytes:
    """What goes before the payload of DATA."""
    return _HEADER.pack(Kind.DATA, size)


def hello_frame(hello: Hello) -> bytes:
    """HELLO."""
    fields = _HELLO.pack(_MAGIC, VERSION, hello.begins, hello.session, hello.nonce, hello.attempt)
    return frame(Kind.HELLO, fields)


def ack_payload(ack: Ack) -> bytes:
    """Of ACK, and the first part of PROOF."""
    return _ACK.pack(ack.received, ack.limit, ack.fin)


def fin_frame(position: int) -> bytes:
    """FIN."""
    return frame(Kind.FIN, _POSITION.pack(position))


def coded_frame(kind: Kind, code: int, text: str) -> bytes:
    """REFUSE or RESET."""
    return frame(kind, bytes([code]) + text.encode("utf-8", "replace")[:200])


def read_hello(payload: bytes) -> Hello:
    """Raises `ProtocolError`."""
    if len(payload) != _HELLO.size or payload[:8] != _MAGIC:
        raise ProtocolError("what answered is no ResumablePipe")
    _, version, begins, session, nonce, attempt = _HELLO.unpack(payload)
    if version != VERSION:
        raise ProtocolError(f"the other end speaks version {version} of ResumablePipe, this one {VERSION}")
    return Hello(bool(begins), session, nonce, attempt)


def read_ack(payload: bytes) -> Ack:
    """Raises `ProtocolError`."""
    if len(payload) != _ACK.size:
        raise ProtocolError(f"an ACK of {len(payload)} bytes")
    received, limit, fin = _ACK.unpack(payload)
    return Ack(received, limit, bool(fin))


def read_proof(payload: bytes) -> tuple[Ack, bytes]:
    """What was received, and the MAC. Raises `ProtocolError`."""
    return read_ack(payload[:-32]), payload[-32:]


def read_fin(payload: bytes) -> int:
    """Raises `ProtocolError`."""
    if len(payload) != _POSITION.size:
        raise ProtocolError(f"a FIN of {len(payload)} bytes")
    return int(_POSITION.unpack(payload)[0])


def read_code(payload: bytes) -> tuple[int, str]:
    """Of REFUSE or RESET; the text, for people, as one printable line. Raises `ProtocolError`."""
    if not payload:
        raise ProtocolError("a code is missing")
    return payload[0], printable(payload[1:].decode("utf-8", "replace"))


class FrameReader:
    """Cuts what comes into frames. Holds at most one frame that is not whole."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """The frames that are whole now. Raises `ProtocolError` for what is no frame; the frames before it are lost
        with their connection, and come again."""
        buffer = self._buffer
        buffer += data
        found = []
        at = 0
        while len(buffer) - at >= _HEADER.size:
            kind, size = _HEADER.unpack_from(buffer, at)
            if not Kind.HELLO <= kind <= Kind.PONG or size > MAX_PAYLOAD:
                raise ProtocolError("the other end does not speak as a ResumablePipe does")
            end = at + _HEADER.size + size
            if end > len(buffer):
                break
            found.append((Kind(kind), bytes(memoryview(buffer)[at + _HEADER.size : end])))
            at = end
        del buffer[:at]
        return found
