"""The `NodePort` of one wire builder: one manager, as far as a builder may see it. `litz.node_port` has the law."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final

from litz.errors import UnauthenticatedError
from litz.message import Buffer
from litz.node_port import PortSubscriber
from litz.seldom import Seldom
from litz.told_seldom import tell_seldom
from litz.wire import EndpointFilter, EndpointSource, Wire
from outproc.dest_table import DestTable
from outproc.dest_transport import DestTransport
from outproc.endpoint_filter import allow_endpoint, endpoint_at
from outproc.local_node import LocalNode
from outproc.security.authenticator import Role

MAX_PROOF: Final = 12_290
"""Bytes of a credential, a proof, and the length of the first."""


class ManagerPort:
    """Implements `NodePort` for the builder of `kind`."""

    def __init__(
        self,
        node: LocalNode,
        dests: DestTable,
        accept: Callable[[Wire, str], None],
        kind: str,
        settings: Mapping[str, object],
        *,
        allow: EndpointFilter = allow_endpoint,
    ) -> None:
        self._node = node
        self._dests = dests
        self._accept = accept
        self._kind = kind
        self._settings = settings
        self._allow = allow
        self._seldom = Seldom()

    @property
    def local_id(self) -> str:
        return self._node.local_id

    @property
    def settings(self) -> Mapping[str, object]:
        return self._settings

    @property
    def proves(self) -> str:
        return self._node.authenticator.proves

    def allows(self, host: str, port: int, source: EndpointSource) -> bool:
        try:
            return self._allow(endpoint_at(self._kind, host, port), source)
        except Exception as error:
            # The filter is the user's: one that fails allows nothing. Peers name as many endpoints as they like.
            tell_seldom(self._node.loop, self._seldom, source, error, "an error in allow_endpoint")
            return False

    # -- who is there ---------------------------------------------------------------------------------

    def announce(self, feature: str) -> None:
        known = self._node.handshake_node
        if feature not in known.features:
            self._node.handshake_node = replace(known, features=(*known.features, feature))

    def features(self, dest: str) -> frozenset[str]:
        return self._node.internal.features.get(dest, frozenset())

    def peers(self) -> Sequence[str]:
        return [transport.dest for transport in self._dests.transports() if transport.session.pair is not None]

    def kinds(self, dest: str) -> Sequence[str]:
        transport = self._dests.get(dest)
        return [link.wire.kind for link in transport.links] if transport is not None else []

    def session_name(self, dest: str) -> str:
        transport = self._standing(dest)
        return "|".join(map(str, sorted(transport.session.pair or ()))) if transport is not None else ""

    def want(self, dest: str) -> None:
        known = self._dests.get(dest)
        if known is not None and known.dialler.supervisor.gave_up:
            return  # until a user asks for it
        transport = self._dests.existing_or_new(dest, by_right=True)
        if not transport.dialler.wanted:
            transport.dialler.start_round()

    async def session_up(self, dest: str) -> None:
        while all(kind == self._kind for kind in self.kinds(dest)):
            await self._node.internal.wires.changed(dest)

    def _standing(self, dest: str) -> DestTransport | None:
        transport = self._dests.get(dest)
        return transport if transport is not None and transport.session.pair is not None else None

    # -- internal messages ----------------------------------------------------------------------------

    def subscribe(self, topic: str, subscriber: PortSubscriber) -> None:
        self._node.internal.subscribe(topic, subscriber)
        for dest in self.peers():
            subscriber.session_began(dest)

    def post(self, dest: str, topic: str, data: Buffer | Sequence[Buffer], *, bulk: bool = False) -> bool:
        transport = self._standing(dest)
        if transport is None:
            return False
        buffers = [data] if isinstance(data, bytes | bytearray | memoryview) else data
        return self._node.internal.post(transport, topic, buffers, bulk=bulk)

    # -- wires ----------------------------------------------------------------------------------------

    def accept(self, wire: Wire, introducer: str) -> None:
        self._accept(wire, introducer)

    def endpoints_changed(self) -> None:
        for transport in self._dests.transports():
            transport.dialler.refresh(self._kind)

    # -- proofs ---------------------------------------------------------------------------------------

    def sign(self, topic: str, dest: str, data: bytes) -> bytes:
        authenticator = self._node.authenticator
        if authenticator.proves == "nothing":
            return b""
        credential = authenticator.credential()
        statement = _statement(topic, self.local_id, dest, credential, data)
        return len(credential).to_bytes(2, "little") + credential + authenticator.prove(statement, Role.DIALLER)

    async def verify(self, topic: str, sender: str, data: bytes, proof: bytes) -> bool:
        authenticator = self._node.authenticator
        if authenticator.proves == "nothing":
            return False
        end = 2 + int.from_bytes(proof[:2], "little")
        if not 2 <= end < len(proof) <= MAX_PROOF:
            raise UnauthenticatedError(f"{sender} did not prove what it said about {topic}; give it an authenticator")
        credential = proof[2:end]
        statement = _statement(topic, sender, self.local_id, credential, data)
        await authenticator.verify(sender, credential, statement, proof[end:], Role.DIALLER)
        return True


def _statement(topic: str, sender: str, dest: str, credential: bytes, data: bytes) -> bytes:
    """What is signed: 32 bytes that no handshake's transcript can be, and no other topic, pair or data."""
    digest = sha256(b"litz port 1\0")
    for part in (topic.encode(), sender.encode(), dest.encode(), credential, data):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
