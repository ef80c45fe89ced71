"""The packets that are made and read in one step are those of aiortc: `outproc.wires.webrtc.sctp_packets`, and
`outproc.wires.webrtc.guarded_dtls`, which carries them."""

from __future__ import annotations

import random

import pytest
from aiortc.rtcsctptransport import DataChunk, SackChunk, parse_packet, serialize_packet

from outproc.wires.webrtc.sctp_packets import FIRST, LAST, Piece, data_packet, read_data, read_sack, sack_packet

PORTS = (5000, 5001)
TAG = 0xDEADBEEF


def chunk_of(piece: Piece) -> DataChunk:
    chunk = DataChunk(flags=piece.flags)
    chunk.tsn, chunk.stream_id, chunk.stream_seq = piece.tsn, piece.stream_id, piece.stream_seq
    chunk.protocol, chunk.user_data = piece.protocol, piece.user_data
    return chunk


@pytest.mark.parametrize("size", [1, 2, 3, 4, 1159, 1160])
def test_a_data_packet_is_the_one_that_aiortc_writes(size: int) -> None:
    piece = Piece(FIRST | LAST, 0xFFFFFFFF, 1, 7, 53, random.Random(size).randbytes(size))
    packet = data_packet(PORTS, TAG, piece)
    assert packet == serialize_packet(*PORTS, TAG, chunk_of(piece))
    assert read_data(packet, TAG) == piece


def test_a_sack_is_the_one_that_aiortc_writes() -> None:
    sack = SackChunk()
    sack.cumulative_tsn, sack.advertised_rwnd = 17, 1 << 20
    assert sack_packet(PORTS, TAG, 17, 1 << 20) == serialize_packet(*PORTS, TAG, sack)


def test_what_is_not_one_whole_piece_for_us_is_left_to_the_general_code() -> None:
    piece = Piece(FIRST, 5, 0, 0, 53, b"some data")
    good = data_packet(PORTS, TAG, piece)
    one = chunk_of(piece)
    bundled = serialize_packet(*PORTS, TAG, one) + bytes(one)
    unordered = data_packet(PORTS, TAG, piece._replace(flags=FIRST | 4))
    assert read_data(good, TAG) == piece
    for other in (good[:-1], good[:20], good + b"\0\0\0\0", bundled, unordered, sack_packet(PORTS, TAG, 1, 1), b""):
        assert read_data(other, TAG) is None
    assert read_data(good, TAG + 1) is None


def test_one_wrong_bit_anywhere_is_seen() -> None:
    good = data_packet(PORTS, TAG, Piece(FIRST | LAST, 5, 0, 0, 53, b"some data of a message"))
    for place in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            assert read_data(bytes(bad), TAG) is None
            with pytest.raises(ValueError, match="SCTP"):
                parse_packet(bytes(bad))


def test_a_sack_without_gaps_is_read_in_one_step() -> None:
    assert read_sack(sack_packet(PORTS, TAG, 0xFFFFFFFF, 1 << 20), TAG) == 0xFFFFFFFF
    assert read_sack(sack_packet(PORTS, TAG, 0, 0), TAG) == 0


def test_every_other_sack_is_left_to_the_general_code() -> None:
    good = sack_packet(PORTS, TAG, 17, 1 << 20)
    with_gap = SackChunk()
    with_gap.cumulative_tsn, with_gap.advertised_rwnd, with_gap.gaps = 17, 1 << 20, [(2, 3)]
    with_double = SackChunk()
    with_double.cumulative_tsn, with_double.advertised_rwnd, with_double.duplicates = 17, 1 << 20, [16]
    others = [serialize_packet(*PORTS, TAG, each) for each in (with_gap, with_double)]
    piece = data_packet(PORTS, TAG, Piece(FIRST | LAST, 5, 0, 0, 53, b""))
    for other in (*others, good[:-1], good + bytes(4), piece, b""):
        assert read_sack(other, TAG) is None
    assert read_sack(good, TAG + 1) is None
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1
        assert read_sack(bytes(bad), TAG) is None
