"""Looks at an SCTP packet before the library's parser sees it (RFC 9260, RFC 6525). Pure.

aiortc 1.16 loops for ever in a parameter of length zero, and spends seconds on gaps that a SACK only claims. A packet
comes through DTLS, so it is the peer's own doing: whatever is malformed here costs that connection.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final

DATA: Final = 0
SACK: Final = 3
_INIT, _INIT_ACK, _RECONFIG, _FORWARD_TSN, _SHUTDOWN = 1, 2, 130, 192, 7
_WITH_PARAMETERS: Final = frozenset({4, 5, 6, 9, _RECONFIG})
"""HEARTBEAT, HEARTBEAT ACK, ABORT, ERROR, RE-CONFIG."""
_RECONFIG_SHORTEST: Final = {13: 12, 16: 8, 17: 8}
"""Bytes that the value of a parameter has at least."""

_COMMON_HEADER: Final = 12
_DATA_HEADER: Final = 16
_SACK_HEADER: Final = 16
_INIT_HEADER: Final = 20


class MalformedPacketError(ValueError):
    """The peer's SCTP is not what the RFCs say, or not what this association uses."""


def check_packet(packet: bytes, streams: int) -> None:
    """Return if the parser may have `packet`; else raise `MalformedPacketError`. Data may come on streams below
    `streams` only. The checksum is left to the parser."""
    size = len(packet)
    if size < _COMMON_HEADER + 4:
        raise MalformedPacketError("a packet without a chunk")
    at = _COMMON_HEADER
    while at <= size - 4:
        kind, _flags, length = unpack_from("!BBH", packet, at)
        if length < 4 or at + length > size:
            raise MalformedPacketError(f"a chunk of type {kind} with length {length}")
        if kind == DATA:
            if length <= _DATA_HEADER:
                raise MalformedPacketError("a DATA chunk without data")
            if unpack_from("!H", packet, at + 8)[0] >= streams:
                raise MalformedPacketError("data on a stream that is not in use")
        elif kind == SACK:
            _check_sack(packet, at, length)
        else:
            _check_rare(packet, kind, at, length)
        at += length + -length % 4


def _check_sack(packet: bytes, at: int, length: int) -> None:
    if length < _SACK_HEADER:
        raise MalformedPacketError("a SACK cut short")
    gaps, doubles = unpack_from("!HH", packet, at + 12)
    if length != _SACK_HEADER + 4 * (gaps + doubles):
        raise MalformedPacketError("a SACK with another number of gaps than it says")
    before = 1
    for index in range(gaps):
        start, end = unpack_from("!HH", packet, at + _SACK_HEADER + 4 * index)
        if not before < start <= end:
            raise MalformedPacketError("a SACK with gaps that overlap or are out of order")
        before = end


def _check_rare(packet: bytes, kind: int, at: int, length: int) -> None:
    if kind in (_INIT, _INIT_ACK):
        if length < _INIT_HEADER or (kind == _INIT and at != _COMMON_HEADER):
            raise MalformedPacketError("an INIT cut short, or not alone")
        if kind == _INIT and at + length + -length % 4 < len(packet):
            raise MalformedPacketError("an INIT that is not alone")
        _check_parameters(packet, kind, at + _INIT_HEADER, at + length)
    elif kind in _WITH_PARAMETERS:
        _check_parameters(packet, kind, at + 4, at + length)
    elif kind == _FORWARD_TSN:
        raise MalformedPacketError("a FORWARD TSN, and all channels are reliable")
    elif kind == _SHUTDOWN and length != 8:
        raise MalformedPacketError("a SHUTDOWN of another size")


def _check_parameters(packet: bytes, kind: int, at: int, end: int) -> None:
    while at < end:
        if at + 4 > end:
            raise MalformedPacketError(f"bytes behind the parameters of a chunk of type {kind}")
        name, length = unpack_from("!HH", packet, at)
        if length < 4 or at + length > end:
            raise MalformedPacketError(f"parameter {name} with length {length}")
        if kind == _RECONFIG and length - 4 < _RECONFIG_SHORTEST.get(name, 0):
            raise MalformedPacketError(f"parameter {name} cut short")
        at += length + -length % 4
