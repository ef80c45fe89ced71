"""SCTP packets are looked at before the library parses them: `outproc.wires.webrtc.sctp_check`, and what a bad one does
to a live connection: `outproc.wires.webrtc.guarded_sctp`."""

from __future__ import annotations

import logging
import random
import time
from struct import pack
from typing import Any

import pytest
from aiortc.rtcsctptransport import InitChunk, parse_packet, serialize_packet
from google_crc32c import value as crc32c

from litz.testing.recording import RecordingSink
from litz.wire import LossReason
from outproc.wires.webrtc.aiortc_engine import AiortcConnection
from outproc.wires.webrtc.sctp_check import MalformedPacketError, check_packet
from tests.unit.outproc_webrtc.webrtc_kit import wire_pair


def packet(*chunks: bytes, tag: int = 7) -> bytes:
    body = b"".join(chunk + bytes(-len(chunk) % 4) for chunk in chunks)
    header = pack("!HHL", 5000, 5000, tag)
    return header + pack("<L", crc32c(header + bytes(4) + body)) + body


def chunk(kind: int, body: bytes = b"", flags: int = 0, length: int | None = None) -> bytes:
    return pack("!BBH", kind, flags, 4 + len(body) if length is None else length) + body


def data(stream: int = 0, tsn: int = 1, body: bytes = b"x", flags: int = 3) -> bytes:
    return chunk(0, pack("!LHHL", tsn, stream, 0, 53) + body, flags)


def sack(*gaps: tuple[int, int], acked: int = 1, said: int | None = None) -> bytes:
    count = len(gaps) if said is None else said
    return chunk(3, pack("!LLHH", acked, 1000, count, 0) + b"".join(pack("!HH", *gap) for gap in gaps))


def parameter(kind: int, value: bytes = b"", length: int | None = None) -> bytes:
    return pack("!HH", kind, 4 + len(value) if length is None else length) + value


ZERO = parameter(9, b"abcd", 0)
GOOD = [
    packet(data()),
    packet(data(), data(1, 2), sack((2, 3), (5, 5))),
    packet(chunk(4, parameter(1, b"info"))),
    packet(chunk(6, parameter(12, b"why"))),
    packet(chunk(130, parameter(16, bytes(8)))),
    packet(chunk(10, bytes(24))),
    packet(chunk(11)),
    packet(chunk(0x84, b"padding of a browser's")),
    serialize_packet(5000, 5000, 0, InitChunk()),
]
BAD = {
    "empty": b"",
    "no chunk": packet(),
    "chunk of length 0": packet(chunk(0, b"abcdefgh", length=0)),
    "chunk beyond the packet": packet(chunk(3, bytes(12), length=400)),
    "data without data": packet(chunk(0, bytes(12))),
    "another stream": packet(data(stream=2)),
    "sack cut short": packet(chunk(3, bytes(8))),
    "sack says more gaps": packet(sack((2, 3), said=60_000)),
    "gap backwards": packet(sack((9, 3))),
    "gaps that overlap": packet(sack((2, 9), (5, 12))),
    "many wide gaps": packet(sack(*[(2, 65_535)] * 200)),
    "init cut short": packet(chunk(1, bytes(8))),
    "init not alone": packet(chunk(1, bytes(16)), chunk(11)),
    "init, zero length": packet(chunk(1, bytes(16) + ZERO)),
    "init ack, zero length": packet(chunk(2, bytes(16) + ZERO)),
    "heartbeat, zero length": packet(chunk(4, ZERO)),
    "abort, zero length": packet(chunk(6, ZERO)),
    "error, zero length": packet(chunk(9, ZERO)),
    "reconfig, zero length": packet(chunk(130, ZERO)),
    "parameter beyond the chunk": packet(chunk(4, parameter(1, b"abcd", 400))),
    "bytes behind parameters": packet(chunk(4, parameter(1, b"abcd") + b"zz")),
    "reconfig cut short": packet(chunk(130, parameter(13, bytes(4)))),
    "forward tsn": packet(chunk(192, bytes(7))),
    "shutdown of another size": packet(chunk(7, bytes(3))),
}


@pytest.mark.parametrize("good", GOOD, ids=range(len(GOOD)))
def test_what_peers_send_passes(good: bytes) -> None:
    check_packet(good, 2)
    parse_packet(good)


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_what_would_hurt_the_parser_is_refused(bad: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        check_packet(bad, 2)


def test_whatever_passes_parses_without_surprise() -> None:
    rng = random.Random(5)
    passed = 0
    for _ in range(20_000):
        spoiled = bytearray(rng.choice([*GOOD, *BAD.values()]) or bytes(20))
        for _ in range(rng.randint(1, 4)):
            spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
        body = bytes(spoiled[12:])
        whole = bytes(spoiled[:8]) + pack("<L", crc32c(bytes(spoiled[:8]) + bytes(4) + body)) + body
        try:
            check_packet(whole, 2)
        except MalformedPacketError:
            continue
        parse_packet(whole)
        passed += 1
    assert passed > 2_000


LIVE = {
    **{name: bad for name, bad in BAD.items() if name not in ("empty", "no chunk")},
    "sack of what was never sent": packet(sack(acked=0)),
    "message of another type": b"",
}


@pytest.mark.parametrize("name", LIVE)
async def test_a_malformed_packet_costs_that_wire_and_nothing_else(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async with wire_pair() as (victim, peer), wire_pair() as (bystander, friend):
        sinks: list[Any] = [RecordingSink() for _ in range(4)]
        for wire, sink in zip((victim, peer, bystander, friend), sinks, strict=True):
            wire.start(sink)
        attacked = victim.connection
        assert isinstance(attacked, AiortcConnection)
        association = attacked._sctp
        bad = LIVE[name]
        if name == "sack of what was never sent":
            bad = packet(sack(acked=(association._local_tsn + 5) % (1 << 32)), tag=association._local_verification_tag)
        elif name == "message of another type":
            tsn = ((association._last_received_tsn or 0) + 1) % (1 << 32)
            opened = chunk(0, pack("!LHHL", tsn, 0, 2, 50) + b"\x03" + bytes(11), 3)
            bad = packet(opened, tag=association._local_verification_tag)
        began = time.thread_time()
        await association._handle_data(bad)
        assert time.thread_time() - began < 1.0, "the loop stalled"
        await sinks[0].until(lambda: sinks[0].loss is not None, "the end of the victim's wire")
        assert sinks[0].loss.reason is LossReason.PROTOCOL
        bystander.write([b"still here"])
        await sinks[3].until(lambda: sinks[3].frames == [b"still here"], "a frame on another wire")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_packets_far_ahead_are_dropped_and_gaps_cost_little() -> None:
    async with wire_pair() as (victim, _peer):
        attacked = victim.connection
        assert isinstance(attacked, AiortcConnection)
        association = attacked._sctp
        last = association._last_received_tsn or 0
        for distance in (20_000, 60_000, 1 << 30):
            await association._handle_data(
                packet(data(tsn=(last + distance) % (1 << 32)), tag=association._local_verification_tag)
            )
        assert association._sack_misordered == set()
