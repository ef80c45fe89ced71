"""Two sockets that are connected with each other, and never one of them with somebody else on this host."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import pytest

from litz.loopback_pair import loopback_pair

pytestmark = pytest.mark.both_loops

PATIENCE = 60.0


class Strangers:
    """Connect to whatever this loop is about to connect to, before it does: `came`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.came: list[socket.socket] = []
        self.places: list[Any] = []
        loop = asyncio.get_running_loop()
        connect = loop.sock_connect

        async def second(sock: socket.socket, address: Any) -> None:
            self.places.append(address)
            self.came.append(socket.create_connection(address, timeout=PATIENCE))
            await connect(sock, address)

        monkeypatch.setattr(loop, "sock_connect", second)

    def close(self) -> None:
        for each in self.came:
            each.close()


async def test_bytes_go_both_ways_and_a_reset_is_seen_as_one() -> None:
    loop = asyncio.get_running_loop()
    one, other = await loopback_pair()
    with one, other:
        assert (one.getpeername(), other.getpeername()) == (other.getsockname(), one.getsockname())
        for here, there in ((one, other), (other, one)):
            await loop.sock_sendall(here, b"hello")
            async with asyncio.timeout(PATIENCE):
                assert await loop.sock_recv(there, 5) == b"hello"
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        one.close()
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(PATIENCE):
                await loop.sock_recv(other, 1)


async def test_a_stranger_that_is_faster_is_turned_away_and_later_ones_find_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strangers = Strangers(monkeypatch)
    one, other = await loopback_pair()
    with one, other:
        (stranger,), (place,) = strangers.came, strangers.places
        try:
            assert (one.getpeername(), other.getpeername()) == (other.getsockname(), one.getsockname())
            with suppress(OSError):  # reset, or ended: nothing of it is taken, and it gets nothing
                stranger.sendall(b"let me in")
            with suppress(ConnectionResetError):
                assert await asyncio.to_thread(stranger.recv, 1) == b""
            with pytest.raises(BlockingIOError):
                other.recv(1)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(place, timeout=PATIENCE)
        finally:
            strangers.close()
