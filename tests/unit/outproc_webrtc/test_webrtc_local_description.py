"""What a library says of this side, taken apart and written anew."""

from __future__ import annotations

import pytest

from outproc.wires.webrtc.local_description import read_local

# As libwebrtc M152 writes it, with addresses of documentation.
TEXT = "\r\n".join(
    [
        "v=0",
        "o=- 8443103519675722060 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=extmap-allow-mixed",
        "m=application 47940 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 192.0.2.2",
        "a=candidate:2019301614 1 udp 2122194687 192.0.2.2 47940 typ host generation 0 network-id 1",
        "a=candidate:2633820794 1 udp 2122063615 127.0.0.1 46441 typ host generation 0 network-id 3",
        "a=candidate:3006978318 1 udp 2122265343 2001:db8::2 41564 typ host generation 0 network-id 2",
        "a=candidate:2264321146 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active generation 0 network-id 1",
        "a=candidate:842163049 1 udp 1677729535 198.51.100.7 47940 typ srflx raddr 192.0.2.2 rport 47940 generation 0",
        "a=candidate:842163050 1 udp 33562367 203.0.113.9 50001 typ relay raddr 198.51.100.7 rport 47940 generation 0",
        "a=ice-ufrag:ljcf",
        "a=ice-pwd:e708Pw2cH9t5YhbdDBU/zHyR",
        "a=ice-options:trickle",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        "",
    ]
)


def test_everything_but_loopback_and_tcp_by_default() -> None:
    mine, answered = read_local(TEXT, None)
    assert [(each.address, each.type) for each in mine.candidates] == [
        ("192.0.2.2", "host"),
        ("2001:db8::2", "host"),
        ("198.51.100.7", "srflx"),
        ("203.0.113.9", "relay"),
    ]
    assert answered == {"srflx", "relay"}
    assert (mine.ufrag, mine.setup, mine.max_message) == ("ljcf", "actpass", 262144)


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        (("127.0.0.1",), ["127.0.0.1", "203.0.113.9"]),
        (("192.0.2.2",), ["192.0.2.2", "198.51.100.7", "203.0.113.9"]),
        (("2001:db8:0:0::2",), ["2001:db8::2", "203.0.113.9"]),
    ],
)
def test_only_the_addresses_that_are_named_and_what_servers_saw_of_them(
    addresses: tuple[str, ...], found: list[str]
) -> None:
    mine, _ = read_local(TEXT, addresses)
    assert [each.address for each in mine.candidates] == found


def test_no_server_answered() -> None:
    hosts = "\r\n".join(line for line in TEXT.splitlines() if "raddr" not in line)
    assert not read_local(hosts, None)[1]


def test_what_is_written_hides_the_address_behind_a_reflexive_one() -> None:
    assert "raddr 192.0.2.2" not in read_local(TEXT, None)[0].to_sdp()


def test_a_name_is_no_address_of_ours() -> None:
    hidden = TEXT.replace("192.0.2.2 47940 typ host", "4b1f.local 47940 typ host")
    assert "4b1f.local" not in read_local(hidden, None)[0].to_sdp()


def test_a_description_that_says_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="starts with v=0"):
        read_local("", None)
