"""Which addresses are never dialled, however they are written, and which are."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litz.wire import Endpoint, EndpointSource
from outproc.endpoint_filter import allow_endpoint, allows_host, endpoint_at, host_of

REFUSED = [
    "ws://169.254.1.1:80",
    "ws://169.254.169.254/latest/meta-data",
    "wss://[fe80::1]:8400",
    "ws://[fe80::1%25eth0]:8400",
    "ws://[fd00:ec2::254]",
    "ws://[fd20:ce::254]",
    "ws://100.100.100.200",
    "ws://168.63.129.16:8400",
    "ws://0.0.0.0:8400",
    "ws://0.1.2.3:8400",
    "ws://[::]:8400",
    "ws://255.255.255.255:1",
    "ws://240.0.0.1:1",
    "ws://224.0.0.251:5353",
    "ws://[ff02::1]:1",
    "ws://2852039166/",
    "ws://0xa9fea9fe/",
    "ws://0xA9.254.169.254:1",
    "ws://0251.0376.0251.0376",
    "ws://169.16689662",
    "ws://169.254.169.254.",
    "ws://[::ffff:169.254.169.254]",
    "ws://[::ffff:a9fe:a9fe]",
    "ws://[::a9fe:a9fe]",
    "ws://[64:ff9b::a9fe:a9fe]",
    "ws://[2002:a9fe:a9fe::1]",
    "ws://[fec0::1]",
    "ws://metadata.google.internal",
    "ws://METADATA.google.internal.:80",
    "ws://user:word@169.254.169.254",
]
ALLOWED = [
    "ws://127.0.0.1:8400",
    "ws://[::1]:8400",
    "ws://localhost:8400",
    "ws://10.1.2.3:8400",
    "ws://192.168.0.1",
    "ws://100.64.0.1",
    "wss://203.0.113.7:443/litz",
    "wss://[2001:db8::1]:443",
    "wss://[fd12:3456::1]",
    "wss://example.org/litz",
    "ws://1.2.3.4.example.org",
    "ws://dead.beef",
    "ws://999.1.1.1",
    "unix:/run/litz.sock",
    "memory:bob",
    "relay:hub",
    "webrtc:",
]


@pytest.mark.parametrize("source", ["hints", "directory", "builder", "sdp", "hello", "name"])
@pytest.mark.parametrize("url", REFUSED)
def test_refused_whoever_names_it(url: str, source: EndpointSource) -> None:
    assert not allow_endpoint(Endpoint("websocket", url), source)


@pytest.mark.parametrize("source", ["hints", "directory", "builder", "sdp", "name"])
@pytest.mark.parametrize("url", ALLOWED)
def test_allowed(url: str, source: EndpointSource) -> None:
    assert allow_endpoint(Endpoint("websocket", url), source)


@pytest.mark.parametrize(
    "url", ["ws://127.0.0.1", "ws://[::1]", "ws://localhost", "ws://a.localhost", "ws://2130706433"]
)
def test_what_a_peer_says_of_itself_is_not_on_this_host(url: str) -> None:
    assert not allow_endpoint(Endpoint("websocket", url), "hello")


def test_one_address_as_an_endpoint() -> None:
    assert endpoint_at("webrtc", "10.0.0.1", 5000) == Endpoint("webrtc", "webrtc://10.0.0.1:5000")
    assert host_of(endpoint_at("webrtc", "fe80::1", 5000).address) == "fe80::1"


@given(st.text(max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    allow_endpoint(Endpoint("websocket", text), "hello")
    allow_endpoint(Endpoint("websocket", f"ws://{text}"), "hello")


@given(
    st.lists(
        st.builds(
            lambda number, form: form.format(number),
            st.integers(0, 300) | st.integers(0, 2**33),
            st.sampled_from(["{}", "0x{:x}", "0{:o}"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_numbers_are_read_as_the_system_reads_them(parts: list[str]) -> None:
    host = ".".join(parts)
    try:
        real = socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return
    assert allows_host(host) == allows_host(real)
