"""One forward of a node: each connection that is accepted here becomes a pipe to the service of a dest."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

from litz.errors import LitzError
from litz.pipes import open_pipe_connection
from litz.pump import End, Pump
from litz.stream_port import StreamCarrier
from outproc.cli.connections import BusyError, Connections
from outproc.cli.forward_words import Forwarded, Place, TcpPlace, UnixPlace
from outproc.cli.outcome import CommandError, text_of
from outproc.wires.websocket.tcp_socket import bind_tcp
from outproc.wires.websocket.unix_socket import bind_unix, identity, remove

OPEN_TIMEOUT: Final = 30.0
"""Seconds for the dest to be reached and its service to answer: more than that has to connect to its target."""


class Forwarding:
    """From `start` until `stop`."""

    def __init__(self, carrier: StreamCarrier, forwarded: Forwarded, connections: Connections) -> None:
        self._carrier = carrier
        self._forwarded = forwarded
        self._at: Place = forwarded.at
        self.connections = connections
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._servers: list[asyncio.AbstractServer] = []
        self._identity: tuple[int, int] | None = None

    async def start(self) -> str:
        """Begin to listen; a line for people. Raises `CommandError` if that place cannot be had. Whoever is cancelled
        here listens nowhere."""
        listening = False
        try:
            await self._listen()
            listening = True
        except OSError as error:
            raise CommandError(_cannot_listen(self._at, error)) from error
        finally:
            if not listening:
                self.stop()
                self.connections.reset(ConnectionAbortedError("the forward ends"))
                await self.stopped()
        self.connections.what = str(self._at)
        return f"{self._at} leads to {self._forwarded.dest}:{self._forwarded.service}"

    async def _listen(self) -> None:
        loop, at = asyncio.get_running_loop(), self._forwarded.at
        if isinstance(at, UnixPlace):
            sockets = [bind_unix(at.path)]
            self._identity = identity(at.path)
        else:
            sockets = await bind_tcp(at.host, at.port)
            self._at = TcpPlace(at.host, int(sockets[0].getsockname()[1]))
        serve = loop.create_unix_server if isinstance(at, UnixPlace) else loop.create_server
        try:
            for sock in sockets:
                # Whoever is cancelled while asyncio starts to serve has no server to close: so it starts later.
                self._servers.append(await serve(self._accepted, sock=sock, start_serving=False))
        finally:
            for sock in sockets[len(self._servers) :]:
                sock.close()
        for server in self._servers:
            await server.start_serving()

    def stop(self) -> None:
        """Accept no more. Connections that stand live on. Idempotent."""
        for server in self._servers:
            server.close()
        if isinstance(self._at, UnixPlace):
            remove(self._at.path, self._identity)

    async def stopped(self) -> None:
        """Until nothing that was begun is under way any more. Connections are to be gone before."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        for server in self._servers:
            await server.wait_closed()

    def row(self) -> dict[str, Any]:
        """For `litz status`."""
        to = self._forwarded
        return {"at": str(self._at), "dest": to.dest, "service": to.service, **self.connections.row()}

    def _accepted(self) -> End:
        try:
            return self.connections.begin(self._forwarded.dest, self._begun).here
        except BusyError as busy:
            self.connections.refused(self._forwarded.dest, str(busy))
            pump = Pump(lambda error: None)
            pump.abort(ConnectionAbortedError(str(busy)))
            return pump.here  # resets what it is given

    def _begun(self, pump: Pump) -> None:
        to = self._forwarded
        assert pump.here.transport is not None
        end: socket.socket | None = pump.here.transport.get_extra_info("socket")
        if end is not None and end.family != socket.AF_UNIX:
            # A client that vanished without a word must not be kept for ever.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        task = asyncio.get_running_loop().create_task(self._open(pump), name=f"litz forward: {to.service} of {to.dest}")
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _open(self, pump: Pump) -> None:
        to = self._forwarded
        why = "the forward ends"
        try:
            await open_pipe_connection(self._carrier, lambda: pump.there, to.dest, to.service, timeout=OPEN_TIMEOUT)
        except TimeoutError:
            why = f"{to.dest} did not answer within {OPEN_TIMEOUT:g} s"
        except (LitzError, OSError) as error:
            why = text_of(error)
        else:
            self.connections.opened()
            return
        finally:
            if pump.there.transport is None:  # also when it was cancelled
                pump.abort(ConnectionAbortedError(why))
        self.connections.refused(to.dest, why)


def _cannot_listen(at: Place, error: OSError) -> str:
    why = error.strerror or str(error)
    if not why.startswith("cannot listen"):  # else it names the address
        why = f"cannot listen at {at}: {why}"
    if isinstance(error, socket.gaierror):
        return f"{why}; choose another host"
    return f"{why}; choose another {'path' if isinstance(at, UnixPlace) else 'PORT (0 picks a free one)'}"
