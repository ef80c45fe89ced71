"""What senders and receivers of files say to each other. Pure.

`litz send` opens a stream to `SERVICE`: its first message is a `Header`, its last one, before the end of its half, a
`Trailer`, and those between are the file; a `Reason` in place of the trailer says that it is not complete. The other
way come `written` now and then, and a `Verdict` as the last.

Pages in a browser (`/tab`) have no streams. They send a file as many messages:

    HEADER, CHUNK..., TRAILER    on STREAM_RELIABLE, sender to receiver; ABORT ends it early
    VERDICT                      a request, once the trailer is processed; the answer is a `Verdict`
    REFUSE                       on RPC_SIGNAL, receiver to sender: send no more of it

Each begins with `MAGIC`, one byte of kind, and the 16 bytes of the transfer's id.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Annotated, Final, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from litz.message import Buffer

MAGIC: Final = b"LZF1"
ID_SIZE: Final = 16
CHUNK_SIZE: Final = 256 << 10
"""Bytes of the file in every chunk but the last."""
MAX_NAME: Final = 4096
"""Characters of a file's name."""
SERVICE: Final = "litz.files"
"""Whom streams with files are for."""
MAX_MESSAGE: Final = 1 << 20
"""Bytes of one message of such a stream."""
MAX_NEWS: Final = 64 << 10
"""Bytes of what the receiver says."""

_PREFIX: Final = struct.Struct(f"<4sB{ID_SIZE}s")
_OFFSET: Final = struct.Struct("<Q")
_Size = Annotated[int, Field(ge=0, lt=1 << 63, strict=True)]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Kind(IntEnum):
    """What a record is."""

    HEADER = 1
    CHUNK = 2
    TRAILER = 3
    ABORT = 4
    VERDICT = 5
    REFUSE = 6


class RecordError(ValueError):
    """A record of a peer is not what it should be."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Header(_Body):
    """A file begins. `size` in bytes, None when the sender does not know it (standard input)."""

    name: Annotated[str, Field(max_length=MAX_NAME)]
    size: _Size | None = None


class Trailer(_Body):
    """The file is complete: so many bytes with this hash."""

    size: _Size
    sha256: _Sha256


class Reason(_Body):
    """Why a sender gave up (ABORT), or a receiver takes no more (REFUSE)."""

    reason: Annotated[str, Field(max_length=4096)]


class Verdict(_Body):
    """What became of the file at the receiver."""

    ok: bool
    name: Annotated[str, Field(max_length=MAX_NAME)] = ""
    sha256: Annotated[str, Field(max_length=64)] = ""
    error: Annotated[str, Field(max_length=4096)] = ""


class Record(NamedTuple):
    """One record as it came: `body` is not looked at yet."""

    kind: Kind
    transfer: bytes
    body: memoryview


_Model = TypeVar("_Model", bound=_Body)


def record(kind: Kind, transfer: bytes, body: BaseModel | None = None) -> bytes:
    """A record other than a chunk."""
    text = body.model_dump_json().encode() if body is not None else b""
    return _PREFIX.pack(MAGIC, kind, transfer) + text


def chunk_record(transfer: bytes, offset: int, data: Buffer) -> list[Buffer]:
    """A piece of the file that begins at `offset`; as buffers, nothing is copied."""
    return [_PREFIX.pack(MAGIC, Kind.CHUNK, transfer) + _OFFSET.pack(offset), data]


def buffer_of(message: object) -> bytes | bytearray:
    """A message of a stream with a file. Raises `RecordError`: a peer may send a list of buffers too, which is none."""
    if not isinstance(message, bytes | bytearray):
        raise RecordError("a message of a file is one buffer, not a list of them")
    return message


def written(count: int) -> bytes:
    """So many bytes of the file are written."""
    return _OFFSET.pack(count)


def read_written(news: bytes) -> int | None:
    """How many bytes are written; None: this is a verdict."""
    return int(_OFFSET.unpack(news)[0]) if len(news) == _OFFSET.size else None


def is_record(data: bytes) -> bool:
    """Whether a message belongs to a file transfer at all."""
    return data.startswith(MAGIC)


def read_record(data: bytes) -> Record:
    """Take a record apart. Raises `RecordError`."""
    try:
        magic, kind, transfer = _PREFIX.unpack_from(data)
        if magic != MAGIC:
            raise RecordError("this is no record of a file transfer")
        return Record(Kind(kind), transfer, memoryview(data)[_PREFIX.size :])
    except (struct.error, ValueError) as error:
        raise RecordError(f"a record of a file transfer cannot be read: {error}") from None


def read_chunk(body: memoryview) -> tuple[int, memoryview]:
    """Offset and bytes of a chunk. Raises `RecordError`."""
    if len(body) <= _OFFSET.size:
        raise RecordError("a chunk without data")
    return _OFFSET.unpack_from(body)[0], body[_OFFSET.size :]


def read_body(model: type[_Model], body: memoryview | bytes | bytearray) -> _Model:
    """The body of any other record. Raises `RecordError`."""
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise RecordError(f"a {model.__name__.lower()} cannot be read: {error.errors()[0]['msg']}") from None
