"""Two real proxies on loopback, as small as may be: HTTP CONNECT (with TLS if wanted) and SOCKS5, with or without a
password. They can be stopped, started again at the same port, and their tunnels cut."""

from __future__ import annotations

import asyncio
import base64
import ssl
import struct
from types import TracebackType
from typing import Self

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class SmallProxy:
    """Base: a server that makes tunnels. `asked` is where clients wanted to go, `tunnels` how many were made."""

    scheme = ""

    def __init__(
        self, *, user: str = "", password: str = "", refuse: bytes = b"", tls: ssl.SSLContext | None = None
    ) -> None:
        self.user = user
        self.password = password
        self.refuse = refuse
        self.asked: list[tuple[str, int]] = []
        self.tunnels = 0
        self._tls = tls
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._clients: dict[asyncio.Task[None], None] = {}

    @property
    def address(self) -> str:
        """Without credentials."""
        return f"{self.scheme}://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """With credentials."""
        who = f"{self.user}:{self.password}@" if self.user else ""
        return self.address.replace("://", f"://{who}")

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, ssl=self._tls)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and cut all there is."""
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._clients:
            await asyncio.wait(list(self._clients))
        await self._server.wait_closed()

    def cut(self) -> None:
        """Reset all tunnels."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = None
        self._writers.append(writer)
        try:
            there = await self.open(reader, writer)
            if there is not None:
                self.tunnels += 1
                self._writers.append(there[1])
                await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            del self._clients[task]

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams | None:
        """Talk to a client until it has its connection. None: refused."""
        raise NotImplementedError


class SmallHttpProxy(SmallProxy):
    """CONNECT. `refuse` is the answer that everybody gets."""

    scheme = "http"

    def __init__(self, *, tls: ssl.SSLContext | None = None, **more: str | bytes) -> None:
        super().__init__(tls=tls, **more)  # type: ignore[arg-type]  # user, password and refuse, checked there
        if tls is not None:
            self.scheme = "https"

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams | None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split("\r\n")[0].split(" ")
        host, _, port = target.rpartition(":")
        self.asked.append((host, int(port)))
        known = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.user and f"Proxy-Authorization: Basic {known}" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n")
            return None
        if self.refuse or method != "CONNECT":
            writer.write(self.refuse or b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            return None
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.0 200 Connection established\r\nVia: small\r\n\r\n")
        return there


class SmallSocksProxy(SmallProxy):
    """SOCKS5 (RFC 1928) with passwords (RFC 1929)."""

    scheme = "socks5h"

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams | None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 2 if self.user else 0
        writer.write(bytes((5, wanted if wanted in methods else 255)))
        if wanted not in methods:
            return None
        if wanted:
            size = (await reader.readexactly(2))[1]
            user = (await reader.readexactly(size)).decode()
            password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            good = (user, password) == (self.user, self.password)
            writer.write(bytes((1, 0 if good else 1)))
            if not good:
                return None
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            raw = await reader.readexactly(4 if kind == 1 else 16)
            host = ".".join(map(str, raw)) if kind == 1 else raw.hex(":", 2)
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        self.asked.append((host, port))
        if self.refuse:
            writer.write(b"\x05" + self.refuse + b"\x00\x01" + bytes(6))
            return None
        there = await asyncio.open_connection(host, port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        return there


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
