"""What the kernel of Linux says of addresses and routes; and that nothing it may say does harm."""

from __future__ import annotations

import socket
import struct
from random import Random

import pytest

from outproc.netlink import Netlink, attributes_in, interface_in, messages_in, through_in

needs_netlink = pytest.mark.skipif(not hasattr(socket, "AF_NETLINK"), reason="only Linux has netlink")


def attribute(kind: int, value: bytes) -> bytes:
    raw = struct.pack("=HH", 4 + len(value), kind) + value
    return raw + bytes(-len(raw) % 4)


def address(*attributes: bytes, prefix: int = 24, flags: int = 0x80, scope: int = 0) -> bytes:
    return struct.pack("=BBBBI", socket.AF_INET, prefix, flags, scope, 2) + b"".join(attributes)


TEN = socket.inet_aton("10.0.0.7")


def test_an_address_with_its_network() -> None:
    assert interface_in(address(attribute(1, TEN))) == "10.0.0.7/24"
    six = socket.inet_pton(socket.AF_INET6, "fd00::7") if socket.has_ipv6 else bytes(16)
    assert interface_in(address(attribute(1, six), prefix=64)) == "fd00::7/64"


def test_of_a_tunnel_our_end_counts() -> None:
    assert interface_in(address(attribute(1, socket.inet_aton("10.9.9.9")), attribute(2, TEN))) == "10.0.0.7/24"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" * 7,
        address(),
        address(attribute(1, b"abc")),
        address(attribute(1, TEN), scope=254),  # loopback
        address(attribute(1, TEN), flags=0x40),  # tentative
        address(attribute(1, TEN), attribute(8, struct.pack("=I", 0x08))),  # a duplicate
    ],
)
def test_what_is_no_address_to_use(body: bytes) -> None:
    assert interface_in(body) is None


def test_a_default_route_by_gateway_and_device() -> None:
    head = bytes(12)
    assert through_in(head + attribute(4, struct.pack("=I", 1)) + attribute(5, TEN)) == "10.0.0.7 on lo"
    assert through_in(head + attribute(4, struct.pack("=I", 1))) == "lo"
    assert through_in(head + attribute(4, struct.pack("=I", 77_777))) == "77777", "a device that is gone again"
    assert through_in(head) is None


def test_whatever_comes_is_read_without_harm() -> None:
    rng = Random(3)
    for _ in range(2_000):
        datagram = rng.randbytes(rng.randrange(80))
        if rng.random() < 0.7:
            datagram = struct.pack("=IHHII", rng.randrange(90), rng.randrange(30), 0, 1, 0) + datagram
        for _, body in messages_in(datagram):
            attributes_in(body, 8)
            interface_in(body)
            through_in(body)


@needs_netlink
def test_the_kernel_tells_our_addresses_without_loopback() -> None:
    kernel = Netlink()
    try:
        state = kernel.state()
        assert not any(each.startswith(("127.", "::1/")) for each in state.interfaces)
        assert [way.family for way in state.ways] == sorted({way.family for way in state.ways})
        assert kernel.state() == state
        assert kernel.drain() is False
    finally:
        kernel.close()
        kernel.close()
