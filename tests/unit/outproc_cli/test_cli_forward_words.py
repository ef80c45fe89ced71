"""What is exposed and forwarded, as it is written on the command line."""

from __future__ import annotations

import pytest

from litz.errors import InvalidDestError
from outproc.cli.forward_words import (
    Exposed,
    Forwarded,
    Place,
    TcpPlace,
    UnixPlace,
    read_exposed,
    read_forwarded,
)
from outproc.cli.outcome import UsageError

SSH = TcpPlace("127.0.0.1", 22)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("ssh=127.0.0.1:22", Exposed(None, "ssh", SSH)),
        ("bob:ssh=127.0.0.1:22", Exposed("bob", "ssh", SSH)),
        ("team:bob:ssh=127.0.0.1:22", Exposed("team:bob", "ssh", SSH)),
        ("db=unix:/run/a=b.sock", Exposed(None, "db", UnixPlace("/run/a=b.sock"))),
        ("web=[::1]:80", Exposed(None, "web", TcpPlace("::1", 80))),
        ("web=server.example:80", Exposed(None, "web", TcpPlace("server.example", 80))),
    ],
)
def test_exposed(text: str, meant: Exposed) -> None:
    assert read_exposed(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2222=bob:ssh", Forwarded(TcpPlace("127.0.0.1", 2222), "bob", "ssh")),
        ("0=bob:ssh", Forwarded(TcpPlace("127.0.0.1", 0), "bob", "ssh")),
        ("*:2222=bob:ssh", Forwarded(TcpPlace("0.0.0.0", 2222), "bob", "ssh")),
        ("[::]:2222=bob:ssh", Forwarded(TcpPlace("::", 2222), "bob", "ssh")),
        ("unix:/tmp/x=team:bob:ssh", Forwarded(UnixPlace("/tmp/x"), "team:bob", "ssh")),
    ],
)
def test_forwarded(text: str, meant: Forwarded) -> None:
    assert read_forwarded(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        *("ssh", "=127.0.0.1:22", "ssh=22", "ssh=127.0.0.1", "ssh=127.0.0.1:0", "ssh=127.0.0.1:65536", "x=::1:22"),
        *("ssh=*:22", "ssh=unix:relative", "s h=127.0.0.1:22", "ssh=0.0.0.0:22", "ssh=127.0.0.1:٢٢"),
    ],
)
def test_what_exposes_nothing_is_told_how_it_is_written(text: str) -> None:
    with pytest.raises(UsageError, match=r"127\.0\.0\.1:22|unix:/run|brackets|written like an id"):
        read_exposed(text)


@pytest.mark.parametrize(
    "text", ["2222", "2222=bob", "2222=:ssh", "x=bob:ssh", "::1:2222=bob:ssh", "99999=bob:ssh", "unix:x=bob:ssh"]
)
def test_what_forwards_nothing_is_told_how_it_is_written(text: str) -> None:
    with pytest.raises(UsageError, match=r"2222|unix:/run"):
        read_forwarded(text)


def test_ids_are_checked() -> None:
    with pytest.raises(InvalidDestError):
        read_forwarded("2222=b b:ssh")


@pytest.mark.parametrize(
    ("place", "loopback"),
    [
        (SSH, True),
        (TcpPlace("127.9.9.9", 1), True),
        (TcpPlace("::1", 1), True),
        (TcpPlace("localhost", 1), True),
        (UnixPlace("/x"), True),
        (TcpPlace("0.0.0.0", 1), False),
        (TcpPlace("::", 1), False),
        (TcpPlace("192.0.2.1", 1), False),
        (TcpPlace("localhost.example", 1), False),
    ],
)
def test_what_only_this_machine_can_reach(place: Place, loopback: bool) -> None:
    assert place.loopback is loopback
