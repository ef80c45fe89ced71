"""What is taken of a peer's description: `outproc.wires.webrtc.sdp_filter` and `outproc.wires.webrtc.description`."""

from __future__ import annotations

import random
import time

import pytest

from outproc.endpoint_filter import METADATA
from outproc.wires.webrtc.description import Candidate, Description
from outproc.wires.webrtc.sdp_filter import (
    ANY_MAX_MESSAGE,
    MAX_CANDIDATES,
    MAX_SDP,
    UNSTATED_MAX_MESSAGE,
    AddressPolicy,
    read_description,
)

OPEN = AddressPolicy(loopback=True, link_local=True)
CLOSED = AddressPolicy()
PRINT = ":".join(f"{number:02X}" for number in range(32))

CHROMIUM = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n"
    "a=msid-semantic: WMS\r\nm=application 51472 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 203.0.113.7\r\n"
    "a=candidate:1467250027 1 udp 2122260223 192.168.0.4 51472 typ host generation 0 network-id 1\r\n"
    "a=candidate:1510613869 1 udp 2122063615 7e2e3a9c-fc0a-4e9b-8b5e-1fd5b1f7a5d1.local 59010 typ host generation 0\r\n"
    "a=candidate:842163049 1 udp 1685921535 203.0.113.7 51472 typ srflx raddr 192.168.0.4 rport 51472 generation 0\r\n"
    "a=candidate:344579997 1 tcp 1518280447 192.168.0.4 9 typ host tcptype active generation 0\r\n"
    "a=ice-ufrag:4ZcD\r\na=ice-pwd:2/1muCWoOi3uLifh0NuRHlzE\r\na=ice-options:trickle\r\n"
    f"a=fingerprint:sha-256 {PRINT}\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"
)
"""What Chromium writes, shortened in nothing but the candidates."""


def changed(old: str, new: str) -> str:
    assert CHROMIUM.count(old) == 1, old
    return CHROMIUM.replace(old, new)


def with_addresses(*addresses: str, port: int = 51472) -> str:
    head = "".join(line for line in CHROMIUM.splitlines(keepends=True) if not line.startswith("a=candidate"))
    return head + "".join(f"a=candidate:1 1 udp 99 {address} {port} typ host\r\n" for address in addresses)


def test_a_browsers_description_is_understood() -> None:
    description = read_description(CHROMIUM, CLOSED)
    assert description.ufrag == "4ZcD"
    assert description.pwd == "2/1muCWoOi3uLifh0NuRHlzE"
    assert description.fingerprint == bytes(range(32))
    assert description.setup == "actpass"
    assert description.max_message == 262144
    assert [(each.address, each.type) for each in description.candidates] == [
        ("192.168.0.4", "host"),
        ("203.0.113.7", "srflx"),
    ], "mDNS names and TCP are dropped"


def test_what_is_written_out_is_read_again() -> None:
    candidates = (
        Candidate("a1", 5, "192.168.0.4", 4000, "host"),
        Candidate("a2", 4, "2001:db8::1", 4001, "relay"),
    )
    made = Description("abcd", "p" * 22, bytes(range(32)), "active", candidates, 1000, 5001, "data")
    assert read_description(made.to_sdp(), CLOSED) == made
    assert "p" * 22 not in repr(made)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.1.1", "fe80::1", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "224.0.0.251",
        "ff02::fb", "255.255.255.255", "240.0.0.1", "100.100.100.200", "fd00:ec2::254", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "host.example.org", "x.local", "fe80::1%lo", "10.0.0",
        "010.0.0.1", "1", "",
    ],
)  # fmt: skip
def test_addresses_that_must_not_be_tried_are_dropped(address: str) -> None:
    assert read_description(with_addresses(address, "192.0.2.9"), CLOSED).candidates == (
        Candidate("1", 99, "192.0.2.9", 51472, "host"),
    )


def test_loopback_and_link_local_can_be_allowed_but_metadata_never() -> None:
    addresses = ("127.0.0.1", "::1", "169.254.1.1", "fe80::1", *map(str, METADATA))
    found = read_description(with_addresses(*addresses), OPEN).candidates
    assert [each.address for each in found] == ["127.0.0.1", "::1", "169.254.1.1", "fe80::1"]


def test_a_check_of_the_users_can_only_forbid() -> None:
    asked: list[tuple[str, int]] = []

    def check(address: str, port: int) -> bool:
        asked.append((address, port))
        return address != "10.0.0.2"

    described = with_addresses("10.0.0.1", "10.0.0.2", "127.0.0.1", port=5_000)
    found = read_description(described, AddressPolicy(check=check)).candidates
    assert [each.address for each in found] == ["10.0.0.1"]
    assert asked == [("10.0.0.1", 5_000), ("10.0.0.2", 5_000)]


@pytest.mark.parametrize("port", [0, 53, 123, 161, 1023, 65536, -1])
def test_ports_of_services_are_dropped(port: int) -> None:
    assert read_description(with_addresses("192.0.2.9", port=port), CLOSED).candidates == ()


def test_candidates_are_capped_and_doubles_are_dropped() -> None:
    many = [f"10.0.{index >> 8}.{index & 255}" for index in range(1, 60)]
    assert len(read_description(with_addresses("10.0.0.1", *many), CLOSED).candidates) == MAX_CANDIDATES
    assert len(read_description(with_addresses(*["10.0.0.1"] * 9), CLOSED).candidates) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "v=0"),
        ("v=0\r\n", "section"),
        (CHROMIUM + "x" * MAX_SDP, "limit"),
        (CHROMIUM + "a=x\r\n" * 600, "lines"),
        (CHROMIUM + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", "section"),
        (changed("m=application 51472 UDP/DTLS/SCTP webrtc-datachannel", "m=audio 9 RTP/AVP 0"), "section"),
        (changed("a=ice-ufrag:4ZcD\r\n", ""), "ICE"),
        (changed("a=ice-ufrag:4ZcD", "a=ice-ufrag:4Z"), "ICE"),
        (changed("a=ice-ufrag:4ZcD", "a=ice-ufrag:4Z D"), "ICE"),
        (changed("a=ice-pwd:2/1muCWoOi3uLifh0NuRHlzE", "a=ice-pwd:short"), "ICE"),
        (changed("a=ice-ufrag:4ZcD", "a=ice-ufrag:4ZcD\r\na=ice-ufrag:other"), "twice"),
        (changed("a=setup:actpass", "a=setup:holdconn"), "role"),
        (changed("a=setup:actpass\r\n", ""), "role"),
        (changed(PRINT, PRINT[:-3]), "fingerprint"),
        (changed("sha-256", "sha-1"), "fingerprint"),
        (CHROMIUM + f"a=fingerprint:sha-256 {PRINT.replace('00', 'FF')}\r\n", "fingerprint"),
        (changed("a=mid:0", "a=mid:a b"), "mid"),
        (changed("a=sctp-port:5000", "a=sctp-port:0"), "SCTP"),
        (changed("a=max-message-size:262144", "a=max-message-size:-1"), "max-message-size"),
        (changed("a=max-message-size:262144", "a=max-message-size:" + "9" * 5000), "max-message-size"),
    ],
)
def test_what_is_not_for_data_channels_alone_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read_description(text, CLOSED)
    assert "4ZcD" not in str(caught.value), "an error quotes nothing of the peer's"


def test_the_largest_message_is_what_is_said_or_what_the_rfc_says() -> None:
    assert read_description(changed("a=max-message-size:262144\r\n", ""), CLOSED).max_message == UNSTATED_MAX_MESSAGE
    unlimited = read_description(changed("a=max-message-size:262144", "a=max-message-size:0"), CLOSED)
    assert unlimited.max_message == ANY_MAX_MESSAGE


def test_spoiled_descriptions_raise_nothing_but_value_errors_and_cost_little() -> None:
    rng = random.Random(3)
    letters = [chr(code) for code in (0, 9, 10, 13, 32, 58, 61, 128, 0x2028, 0x10FFFF, *range(48, 58))]
    began = time.thread_time()
    refused = 0
    for _ in range(1000):
        text = list(CHROMIUM)
        for _ in range(rng.randint(1, 8)):
            place = rng.randrange(len(text))
            text[place : place + rng.choice((0, 1, 40))] = rng.choices(letters, k=rng.choice((0, 1, 9)))
        try:
            description = read_description("".join(text), CLOSED)
        except ValueError:
            refused += 1
        else:
            assert len(description.candidates) <= MAX_CANDIDATES
    assert 100 < refused < 1000
    assert time.thread_time() - began < 5.0
