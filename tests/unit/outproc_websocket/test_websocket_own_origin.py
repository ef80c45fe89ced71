"""Which pages are the node's own. The rule that keeps foreign pages out, so each spelling counts."""

from __future__ import annotations

import pytest

from outproc.wires.websocket.own_origin import is_own_host, own_origin

OWN = ("127.0.0.1:8400", "127.0.0.1", "localhost:8400", "LOCALHOST:8400", "[::1]:8400", "127.8.9.1:80")
FOREIGN = (
    "",
    "evil.example:8400",
    "localhost.evil.example:8400",
    "127.0.0.1.evil.example",
    "192.168.1.2:8400",
    "0.0.0.0:8400",
    "[::]:8400",
    "127.0.0.1:8400@evil.example",
    "evil.example@127.0.0.1:8400",
    "127.0.0.1:8400/path",
    "127.0.0.1:8400#x",
    "127.0.0.1:99999",
    "[::1",
    "2130706433:8400",
    "127.1:8400",
    "localhost.:8400",
)


@pytest.mark.parametrize("host", OWN)
def test_loopback_names_are_ours(host: str) -> None:
    assert is_own_host(host)
    assert own_origin(host, secure=False) == f"http://{host.lower()}"
    assert own_origin(host, secure=True) == f"https://{host.lower()}"


@pytest.mark.parametrize("host", FOREIGN)
def test_others_are_not(host: str) -> None:
    assert not is_own_host(host)
    assert own_origin(host, secure=False) is None
