"""A process of strangers: connections that never prove anything, from many addresses of the loopback net.

    Worker("tests.prove.stranger_worker:serve", port=8400, dest="b")

Commands: `half_open(count, seconds)`, `wrong_key(count, seconds)`: so many connections, spread over so many seconds;
each returns, for every connection, how long it lived.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable

from websockets.exceptions import WebSocketException

from outproc.handshake import Node
from outproc.security import Ed25519Authenticator
from tests.integration.outproc_raw_peer import TERMS, raw_node, raw_peer
from tests.prove.control import Control


async def serve(control: Control, *, port: int, dest: str) -> None:
    """Serve commands until the control socket closes."""
    strangers = Strangers(port, dest)
    control.commands["half_open"] = strangers.half_open
    control.commands["wrong_key"] = strangers.wrong_key
    control.emit("ready")


def own_address(number: int) -> str:
    """127.0.0.0/8 is all of this host: each stranger comes from another address."""
    return f"127.0.{1 + number // 250 % 250}.{1 + number % 250}"


class Strangers:
    """Each connection counts for itself; all run at once."""

    def __init__(self, port: int, dest: str) -> None:
        self._port = port
        self._dest = dest
        self._key = Ed25519Authenticator(b"nobody knows this key, nobody...")
        self._key.ring.trust(dest, Ed25519Authenticator(dest.encode().ljust(32, b".")).public_key)

    async def half_open(self, count: int, seconds: float) -> list[float]:
        """One third says nothing at all, one asks for a WebSocket and no more, one says HELLO and no more."""
        deeds = (self._mute, self._upgraded, self._hello_only)
        return await self._many(count, seconds, lambda number: deeds[number % 3](number))

    async def wrong_key(self, count: int, seconds: float) -> list[float]:
        """Each does the whole handshake right, with a key that nobody trusts."""
        return await self._many(count, seconds, self._impostor)

    async def _many(self, count: int, seconds: float, deed: Callable[[int], Awaitable[None]]) -> list[float]:
        async def one(number: int) -> float:
            await asyncio.sleep(seconds * number / count)
            begun = time.monotonic()
            with contextlib.suppress(OSError, WebSocketException, EOFError):
                await deed(number)
            return time.monotonic() - begun

        return await asyncio.gather(*(one(number) for number in range(count)))

    async def _mute(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(own_address(number), 0))
        await reader.read()
        writer.close()

    async def _upgraded(self, number: int) -> None:
        async with raw_peer(self._url, self._dest, f"s{number}", sock=self._socket(number)) as peer:
            await peer.gone()

    async def _hello_only(self, number: int) -> None:
        async with raw_peer(self._url, self._dest, sock=self._socket(number), node=self._node(number)) as peer:
            await peer.prove()
            await peer.gone()

    async def _impostor(self, number: int) -> None:
        async with raw_peer(self._url, self._dest, sock=self._socket(number), node=self._node(number)) as peer:
            await peer.prove()
            await peer.send(peer.machine.join(peer.session.mine, None, TERMS))
            await peer.gone()

    @property
    def _url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    def _node(self, number: int) -> Node:
        return raw_node(f"s{number}", self._key)

    def _socket(self, number: int) -> socket.socket:
        sock = socket.socket()
        sock.bind((own_address(number), 0))
        sock.connect(("127.0.0.1", self._port))
        sock.setblocking(False)
        return sock
