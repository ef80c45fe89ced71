"""Records go from one end to the other, and nothing else does, directly and by pyOpenSSL's own methods."""

from __future__ import annotations

import contextlib

import pytest
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import SRTP_PROFILES
from OpenSSL import SSL

from outproc.wires.webrtc import dtls_records
from outproc.wires.webrtc.dtls_records import LARGEST, Records


@pytest.fixture(params=["directly", "by its methods"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another version of pyOpenSSL, without one of the names, is used by its methods."""
    if request.param != "directly":
        monkeypatch.setattr(dtls_records, "NEEDED", (*dtls_records.NEEDED, "_not_there"))
    return str(request.param)


def pair(way: str) -> tuple[Records, Records]:
    """Two ends, shaken hands."""
    ends = [
        SSL.Connection(RTCCertificate.generateCertificate()._create_ssl_context(srtp_profiles=SRTP_PROFILES))
        for _ in range(2)
    ]
    ends[0].set_connect_state()
    ends[1].set_accept_state()
    for _ in range(10):
        for end, other in (ends, ends[::-1]):
            with contextlib.suppress(SSL.WantReadError):
                end.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                while True:
                    other.bio_write(end.bio_read(LARGEST))
    one, two = map(Records, ends)
    assert one._direct is two._direct is (way == "directly")
    return one, two


def test_what_is_sealed_is_opened_whole_and_in_any_order(way: str) -> None:
    one, two = pair(way)
    plains = [bytes([number]) * (1 + 40 * number) for number in range(30)]
    records = [one.seal(plain) for plain in plains]
    assert [two.open(record) for record in reversed(records)] == plains[::-1]
    assert one.open(two.seal(b"and back")) == b"and back"


def test_a_replay_is_refused(way: str) -> None:
    one, two = pair(way)
    record = one.seal(b"once")
    assert two.open(record) == b"once"
    with pytest.raises(SSL.Error):
        two.open(record)
    assert two.open(one.seal(b"next")) == b"next"


def test_what_was_changed_or_is_of_nobody_is_refused_and_harms_nothing(way: str) -> None:
    one, two = pair(way)
    record = bytearray(one.seal(b"whole"))
    record[-1] ^= 1
    for bad in (bytes(record), bytes(record[:20]), b"\x17" * 60, pair(way)[0].seal(b"of another")):
        with pytest.raises(SSL.Error):
            two.open(bad)
    assert two.open(one.seal(b"next")) == b"next"


def test_what_was_opened_stays_as_it_was(way: str) -> None:
    one, two = pair(way)
    first = two.open(one.seal(b"a" * 1_200))
    two.open(one.seal(b"b" * 1_200))
    assert first == b"a" * 1_200
