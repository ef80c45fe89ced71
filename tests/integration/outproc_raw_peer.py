"""A peer that can do the handshake right and then, or in the middle of it, everything wrong. No manager of ours."""

from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from litz.message import Buffer
from outproc.frames.encode import encode_record, frame_header
from outproc.frames.records import Record
from outproc.handshake import (
    DiallerStep,
    Initiator,
    Joined,
    LaneCredit,
    Limits,
    Link,
    LogSize,
    NeedsVerification,
    Node,
    Terms,
)
from outproc.security import Authenticator, Channel, NoAuthenticator, Prepares
from outproc.security.channel import bound
from outproc.session.identity import Half, Incarnation
from outproc.session.limits import SessionLimits
from outproc.session.session import Session
from outproc.wires.websocket import binding
from outproc.wires.websocket.peer_certificates import peer_certificates

TERMS = Terms(
    positions=(),
    log=LogSize(messages=100, bytes=100_000),
    credit=tuple(LaneCredit(lane=lane, messages=1000, bytes=1_000_000) for lane in (0, 1, 2, 8)),
    session_credit=1_000_000,
)


class RawPeer:
    """One WebSocket to a manager. `machine` speaks the dialler's side of the handshake."""

    def __init__(
        self, connection: ClientConnection, dest: str, node: Node, halves: int, binding: bytes | None = None
    ) -> None:
        self.socket = connection
        self.node = node
        self.machine = Initiator(node, dest, Link("websocket", binding), os.urandom)
        self.session = Session(Half(node.incarnation, halves), SessionLimits())

    async def send(self, frame: bytes | str) -> None:
        await self.socket.send(frame)

    async def receive(self) -> bytes:
        frame = await self.socket.recv()
        return frame if isinstance(frame, bytes) else frame.encode()

    async def prove(self) -> None:
        """HELLO, CHALLENGE, and the check of the acceptor's proof: `join` may follow."""
        await self.send(self.machine.hello())
        await self.take()

    async def join(self, terms: Terms = TERMS, *, yours: Half | None = None) -> None:
        """JOIN, and OK. Without a half of theirs it is a new session."""
        await self.send(self.machine.join(self.session.mine, yours, terms))
        step = await self.take()
        assert isinstance(step, Joined), step
        self.session.complete(step.ok.mine)

    async def records(self, *records: Record, tag: int | None = None) -> None:
        """One frame of these records, good or not, under the pair's tag."""
        parts: list[Buffer] = [frame_header(self.session.tag if tag is None else tag)]
        for record in records:
            encode_record(parts, record)
        await self.send(b"".join(parts))

    async def gone(self) -> None:
        """Return when the manager has closed the wire; what it still sends is read."""
        try:
            while True:
                await self.socket.recv()
        except ConnectionClosed:
            return

    async def take(self) -> DiallerStep:
        """The next frame, judged; a proof in it is verified."""
        step = self.machine.receive(await self.receive())
        if isinstance(step, NeedsVerification):
            verify = self.node.authenticator.verify
            await verify(step.peer_id, step.credential, step.transcript, step.proof, step.role)
            return self.machine.verified()
        return step


def raw_node(name: str, authenticator: Authenticator | None = None, *, born: int | None = None) -> Node:
    """Who a raw peer is: born now, unless told otherwise."""
    return Node(
        id=name,
        incarnation=Incarnation(born or time.time_ns(), 1),
        limits=Limits(max_frame=1 << 20, max_message=1 << 24),
        authenticator=authenticator or NoAuthenticator(),
    )


@asynccontextmanager
async def raw_peer(
    url: str,
    dest: str,
    name: str = "mallory",
    *,
    node: Node | None = None,
    halves: int = 1,
    subprotocols: Sequence[str] = ("litz.1",),
    sock: socket.socket | None = None,
    tls: ssl.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[RawPeer]:
    """A raw peer connected to `url`, over `sock` if that is given. It has said nothing yet."""
    async with connect(
        f"{url}/litz",
        subprotocols=[Subprotocol(name) for name in subprotocols],
        compression=None,
        max_size=None,
        ping_interval=None,
        close_timeout=1,
        proxy=None,
        sock=sock,
        ssl=tls,
        additional_headers=headers,
    ) as connection:
        node = node or raw_node(name)
        shown = peer_certificates(connection.transport.get_extra_info("ssl_object"))
        authenticator = bound(node.authenticator, Channel("websocket", dest, secure=True, certificates=shown))
        if isinstance(authenticator, Prepares):
            await authenticator.prepare()
        bind = binding.of_peer(connection.transport.get_extra_info("ssl_object"))
        yield RawPeer(connection, dest, replace(node, authenticator=authenticator), halves, bind)
