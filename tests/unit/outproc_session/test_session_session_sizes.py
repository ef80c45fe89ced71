"""How large frames are, and which of them ask for a look at what there is to send."""

from __future__ import annotations

from dataclasses import replace

from litz.payload import PayloadType
from outproc.frames.encode import encode_credit, encode_ping, frame_header
from outproc.session.session import Session
from tests.unit.outproc_session.sessions import LIMITS, RPC, STREAM, frames, pair, send

SIGNAL = int(PayloadType.RPC_SIGNAL)


def sizes(session: Session, now: float, most: int = 1 << 30) -> list[int]:
    """Of all frames for the wire that are full."""
    found = []
    while (frame := session.next_frame("w", now, most)) is not None:
        found.append(sum(map(len, frame)))
    return found[:-1]


def test_a_frame_has_at_most_what_the_wire_wants_now() -> None:
    a, _ = pair(max_frame=1 << 20)
    send(a, STREAM, bytes(1 << 20))
    a.next_frame("w", 100.0)
    assert all(90_000 < size <= 100_000 for size in sizes(a, 100.0, 100_000))
    send(a, STREAM, bytes(1 << 20))
    assert all(19_000 < size <= 20_000 for size in sizes(a, 100.0, 20_000))


def test_signals_make_frames_small_only_where_they_share_the_wire() -> None:
    limits = replace(LIMITS, batch_size=2_000, bulk_frame=8_000)
    for strand in (None, "strand"):
        a, _ = pair(limits, max_frame=1 << 20)
        if strand is not None:
            a.join_strand(strand, "w")
            a.bind(SIGNAL, strand)
        send(a, SIGNAL, b"now")
        assert frames(a, strand or "w", 100.0)
        send(a, STREAM, bytes(50_000))
        assert (max(sizes(a, 100.5)) <= 2_000) is (strand is None)


def test_data_alone_lets_the_other_side_send_nothing_new() -> None:
    a, b = pair()
    send(a, RPC, b"one", b"two")
    (frame,) = frames(a)
    received = b.receive("w", frame, 0.0)
    assert received.only_data
    assert b.due is not None, "the ack is due some time"


def test_whatever_else_comes_may() -> None:
    a, b = pair()
    for record in (encode_credit(RPC, 1_000_000, 1 << 30), encode_ping(5)):
        assert not b.receive("w", frame_header(b.tag) + record, 0.0).only_data
    send(a, RPC, b"one")
    (data,) = frames(a)
    b.receive("w", data, 0.0)
    (ack,) = frames(b, now=1.0)
    assert not a.receive("w", ack, 1.0).only_data
    assert not a.receive("unknown", ack, 1.0).only_data
