"""The two SCTP packets that nearly all are, made and read in one step each: one DATA chunk, or one SACK without gaps
(RFC 9260). Pure. Everything else goes through the library's general code.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from google_crc32c import value as crc32c

DATA: Final = 0
LAST: Final = 1
FIRST: Final = 2
_FLAGS: Final = LAST | FIRST
"""Flags of a chunk that is ordered and wants no ack at once."""

_DATA: Final = Struct("!HHLLBBHLHHL")
_SACK: Final = Struct("!HHLLBBHLLHH")
_CHECKSUM: Final = Struct("<L")
_SACK_TYPE: Final = 3
_HEADER: Final = 12
_DATA_HEADER: Final = 16
_PADDING: Final = (b"", b"\0", b"\0\0", b"\0\0\0")
_NO_CHECKSUM: Final = bytes(4)


class Piece(NamedTuple):
    """What a DATA chunk says; has the names that aiortc's reassembly asks for."""

    flags: int
    tsn: int
    stream_id: int
    stream_seq: int
    protocol: int
    user_data: bytes


def data_packet(ports: tuple[int, int], tag: int, piece: Piece) -> bytes:
    """A packet of one DATA chunk. `ports`: ours and the peer's."""
    flags, tsn, stream, sequence, protocol, data = piece
    length = _DATA_HEADER + len(data)
    head = _DATA.pack(*ports, tag, 0, DATA, flags, length, tsn, stream, sequence, protocol)
    return _with_checksum(b"".join((head, data, _PADDING[-length % 4])))


def sack_packet(ports: tuple[int, int], tag: int, tsn: int, window: int) -> bytes:
    """A packet that acknowledges everything up to `tsn`."""
    return _with_checksum(_SACK.pack(*ports, tag, 0, _SACK_TYPE, 0, 16, tsn, window, 0, 0))


def read_sack(packet: bytes, tag: int) -> int | None:
    """What a packet acknowledges that is one SACK without gaps, is for `tag` and is whole. None: it is another packet,
    or not so; nothing is said about it."""
    if len(packet) != _SACK.size or packet[12] != _SACK_TYPE:
        return None
    _, _, for_tag, _, _, _, length, tsn, _, gaps, doubles = _SACK.unpack(packet)
    if for_tag != tag or length != _SACK.size - _HEADER or gaps or doubles or not _is_whole(packet):
        return None
    return int(tsn)


def _is_whole(packet: bytes) -> bool:
    (checksum,) = _CHECKSUM.unpack_from(packet, 8)
    return bool(crc32c(b"".join((packet[:8], _NO_CHECKSUM, packet[_HEADER:]))) == checksum)


def _with_checksum(packet: bytes) -> bytes:
    return b"".join((packet[:8], _CHECKSUM.pack(crc32c(packet)), packet[_HEADER:]))


def read_data(packet: bytes, tag: int) -> Piece | None:
    """The chunk of a packet that has one DATA chunk with data, is ordered, is for `tag` and is whole. None: it is
    another packet, or not so; nothing is said about it."""
    size = len(packet)
    if size <= _HEADER + _DATA_HEADER or packet[12] != DATA:
        return None
    _, _, for_tag, _, _, flags, length, tsn, stream, sequence, protocol = _DATA.unpack_from(packet)
    if (
        for_tag != tag
        or flags & ~_FLAGS
        or length <= _DATA_HEADER
        or _HEADER + length + -length % 4 != size
        or not _is_whole(packet)
    ):
        return None
    return Piece(flags, tsn, stream, sequence, protocol, packet[_HEADER + _DATA_HEADER : _HEADER + length])
