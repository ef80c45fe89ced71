"""What nodes and hubs say about circuits: the data of internal messages with the topics `relay` and `relayed`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from litz.dest import validate_dest
from litz.errors import InvalidDestError, ProtocolError
from litz.message import Buffer

TO_HUB: Final = "relay"
"""The topic of what nodes say to a hub."""

FROM_HUB: Final = "relayed"
"""The topic of what a hub says to nodes."""

FEATURE: Final = "relay"
"""What a node that serves as hub announces in its handshakes."""

MAX_FRAME: Final = 64 << 10
"""The largest frame of a relay wire in bytes: what one circuit may have of the hub before the next one has its turn."""

OVERHEAD: Final = 64
"""Bytes that each DATA costs besides its frame, so that tiny frames do not pile up."""

FRAME_COST: Final = MAX_FRAME + OVERHEAD
"""The most that one DATA costs."""

BY_HUB: Final = 1 << 31
"""Circuit numbers from here on are chosen by the hub, those below by the node."""

MAX_TEXT: Final = 255

_HEADER = Struct("<BBHI")
_CREDIT = Struct("<Q")


class Kind(IntEnum):
    """The first byte."""

    OPEN = 1
    ACCEPT = 2
    REFUSE = 3
    DATA = 4
    CLOSE = 5
    WINDOW = 6


class RefuseCode(IntEnum):
    """Why a circuit is not opened."""

    UNREACHABLE = 1
    """The hub has no session with the dest, or does not allow it: both look the same."""
    BUSY = 2
    NESTED = 3
    """The hub itself reaches one of the two only through a relay."""


class CloseCode(IntEnum):
    """Why a circuit ends."""

    DONE = 0
    ABORTED = 1
    FAR_ENDED = 2
    """The session of the hub with the other node is over."""
    CUT = 3
    """The hub reaches the other node only through a relay now."""


@dataclass(frozen=True, slots=True)
class Open:
    """Node to hub: connect me to `name`. Hub to node: `name` wants you. The receiver may send below `credit`."""

    circuit: int
    credit: int
    name: str


@dataclass(frozen=True, slots=True)
class Accept:
    """The circuit is open. The receiver may send below `credit`."""

    circuit: int
    credit: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The circuit is not opened."""

    circuit: int
    code: RefuseCode
    text: str


@dataclass(frozen=True, slots=True)
class Data:
    """One frame of the wire."""

    circuit: int
    frame: memoryview


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing follows in either direction."""

    circuit: int
    code: CloseCode
    text: str


@dataclass(frozen=True, slots=True)
class Window:
    """The receiver may send below `credit`, counted since the circuit was opened. Absolute, so it may come late."""

    circuit: int
    credit: int


Message = Open | Accept | Refuse | Data | Close | Window


def encode_open(circuit: int, credit: int, name: str) -> bytes:
    """An OPEN."""
    return _HEADER.pack(Kind.OPEN, 0, 0, circuit) + _CREDIT.pack(credit) + name.encode()


def encode_accept(circuit: int, credit: int) -> bytes:
    """An ACCEPT."""
    return _HEADER.pack(Kind.ACCEPT, 0, 0, circuit) + _CREDIT.pack(credit)


def encode_window(circuit: int, credit: int) -> bytes:
    """A WINDOW."""
    return _HEADER.pack(Kind.WINDOW, 0, 0, circuit) + _CREDIT.pack(credit)


def encode_refuse(circuit: int, code: RefuseCode, text: str) -> bytes:
    """A REFUSE."""
    return _HEADER.pack(Kind.REFUSE, code, 0, circuit) + _text(text)


def encode_close(circuit: int, code: CloseCode, text: str = "") -> bytes:
    """A CLOSE."""
    return _HEADER.pack(Kind.CLOSE, code, 0, circuit) + _text(text)


def encode_data(circuit: int, frame: Sequence[Buffer]) -> list[Buffer]:
    """A DATA, unjoined."""
    return [_HEADER.pack(Kind.DATA, 0, 0, circuit), *frame]


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:MAX_TEXT].decode("utf-8", "ignore").encode()


def decode(data: memoryview) -> Message:
    """Read one message. Raises `ProtocolError` for what is not exactly one."""
    if len(data) < _HEADER.size:
        raise ProtocolError("a relay message that is too short")
    kind, code, reserved, circuit = _HEADER.unpack_from(data)
    rest = data[_HEADER.size :]
    if reserved or (code and kind not in (Kind.REFUSE, Kind.CLOSE)):
        raise ProtocolError("a relay message with a reserved field that is not 0")
    match kind:
        case Kind.DATA:
            if not 1 <= len(rest) <= MAX_FRAME:
                raise ProtocolError(f"a relayed frame of {len(rest)} bytes")
            return Data(circuit, rest)
        case Kind.WINDOW:
            return Window(circuit, _credit(rest, exact=True))
        case Kind.OPEN:
            return Open(circuit, _credit(rest), _name(rest[_CREDIT.size :]))
        case Kind.ACCEPT:
            return Accept(circuit, _credit(rest, exact=True))
        case Kind.REFUSE if code in _REFUSALS:
            return Refuse(circuit, RefuseCode(code), _read_text(rest))
        case Kind.CLOSE if code in _CLOSES:
            return Close(circuit, CloseCode(code), _read_text(rest))
        case _:
            raise ProtocolError(f"a relay message of kind {kind} with code {code}")


_REFUSALS = frozenset(RefuseCode)
_CLOSES = frozenset(CloseCode)


def _credit(rest: memoryview, *, exact: bool = False) -> int:
    if len(rest) < _CREDIT.size or (exact and len(rest) > _CREDIT.size):
        raise ProtocolError("a relay message of a wrong size")
    (credit,) = _CREDIT.unpack_from(rest)
    if credit >= 1 << 63:
        raise ProtocolError("a relay credit that is too large")
    return int(credit)


def _name(rest: memoryview) -> str:
    try:
        return validate_dest(str(rest, "utf-8"))
    except (UnicodeDecodeError, InvalidDestError) as error:
        raise ProtocolError("a relay message names no legal id") from error


def _read_text(rest: memoryview) -> str:
    if len(rest) > MAX_TEXT:
        raise ProtocolError("a relay message whose text is too long")
    try:
        text = str(rest, "utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError("a relay message whose text is no UTF-8") from error
    return text if text.isprintable() else repr(text)
