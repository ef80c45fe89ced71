"""aioice behind limits: own deadlines, chosen addresses and ports, and nothing of a stranger reaches DTLS.

A subclass of aioice's connection per peer, so that nothing is changed for others in the process who use aioice.
Private names of aioice 0.13 and aiortc 1.16 are used; `known_library` says whether they are there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import random
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import aioice.ice
from aioice import Candidate, TransportPolicy, stun, turn
from aioice.candidate import candidate_foundation, candidate_priority
from aiortc.rtcconfiguration import RTCIceServer
from aiortc.rtcicetransport import connection_kwargs

from outproc.wires.webrtc.engine import Settings

CONSENT_INTERVAL: Final = 1.0
CONSENT_FAILURES: Final = 4
"""Consent (RFC 7675) is asked for every second and withdrawn after four that were not answered; aioice's own are 5 s
and 6. The wire's own pings find a dead peer sooner; this also keeps address translators open."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds in which a TURN server may confirm the end of an allocation."""

PORT_TRIES: Final = 64
"""Ports of a range that are tried for one address."""

MAX_REMOTE: Final = 64
"""Addresses of the peer that are looked at: those it described (32 at most), and those from which its checks come."""

_DTLS: Final = range(20, 64)
"""First bytes of DTLS records (RFC 7983)."""


class GuardedStun(aioice.ice.StunProtocol):
    """One UDP socket. Malformed packets are dropped without a word, and only peers that ICE knows are listened to."""

    receiver: GuardedIce

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """STUN goes to ICE, DTLS of a known address to DTLS; aioice would pass on that of anybody."""
        if data and data[0] in _DTLS:
            if self.receiver.knows((addr[0], addr[1])):
                self.receiver.received_bytes += len(data)
                short = self.receiver.on_dtls
                if short is None or not short(data):  # type: ignore[arg-type]  # datagrams are bytes
                    self.receiver.data_received(data, 1)  # type: ignore[arg-type]  # datagrams are bytes
            return
        # Anybody may send anything to a UDP port.
        with contextlib.suppress(struct.error, IndexError, KeyError, AssertionError, ValueError, AttributeError):
            super().datagram_received(data, addr)


class GuardedIce(aioice.Connection):
    """ICE for one peer, with what `Settings` say. `failed_servers` names the ICE servers that did not answer."""

    def __init__(self, settings: Settings) -> None:
        servers = [
            RTCIceServer(server.url, username=server.username or None, credential=server.password or None)
            for server in settings.ice_servers
        ]
        super().__init__(
            ice_controlling=settings.offerer,
            transport_policy=TransportPolicy.RELAY if settings.relay_only else TransportPolicy.ALL,
            **connection_kwargs(servers),
        )
        self._settings = settings
        self._known: tuple[str, int] | None = None
        self.received_bytes = 0
        self.on_dtls: Callable[[bytes], bool] | None = None
        """Takes a DTLS datagram now, or does not; then it is queued for the task of DTLS."""
        self.failed_servers: list[str] = []

    def knows(self, address: tuple[str, int]) -> bool:
        """Whether a check to this address was answered, or came from it with our password."""
        if address == self._known:
            return True
        for pair in self._check_list:
            if pair.remote_addr == address and pair.state is not aioice.ice.CandidatePair.State.FROZEN:
                if pair.nominated:
                    self._known = address
                return True
        return False

    def check_incoming(self, message: stun.Message, addr: tuple[str, int], protocol: aioice.ice.StunProtocol) -> None:
        """A check came that has our password. Each new address costs a check of our own, and a peer has any number."""
        known = self._remote_candidates
        if len(known) < MAX_REMOTE or any((each.host, each.port) == (addr[0], addr[1]) for each in known):
            super().check_incoming(message, addr, protocol)

    async def get_component_candidates(self, component: int, addresses: list[str], timeout: int = 5) -> list[Candidate]:
        """Bind host candidates, and ask the servers for at most `gather_timeout`."""
        settings = self._settings
        if settings.addresses is not None and not settings.relay_only:
            addresses = list(settings.addresses)
        candidates = []
        hosts = []
        for address in addresses:
            protocol = await self._bind(address)
            if protocol is not None:
                self._protocols.append(protocol)  # at once: a cancel must not lose the socket
                hosts.append(protocol)
                candidates.append(protocol.local_candidate)
        asked = self._ask_servers(hosts)
        if asked:
            done, late = await self._ask(list(asked))
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CLOSE_TIMEOUT)
            for task in done:
                candidates += self._answered(task)
            self._note_failures(asked)
        return candidates

    async def _bind(self, address: str) -> GuardedStun | None:
        loop = asyncio.get_running_loop()
        first, last = self._settings.ports or (0, 0)
        for port in random.sample(range(first, last + 1), min(PORT_TRIES, last + 1 - first)):
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: GuardedStun(self), local_addr=(address, port)
                )
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                return None  # an address that has just gone, or cannot be bound
            if self._closing:  # while it was being bound
                transport.abort()
                return None
            sock = transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, turn.UDP_SOCKET_BUFFER_SIZE)
            name = transport.get_extra_info("sockname")
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", name[0]),
                component=1,
                transport="udp",
                priority=candidate_priority(1, "host"),
                host=name[0],
                port=name[1],
                type="host",
            )
            return protocol
        return None

    def _ask_servers(self, hosts: list[GuardedStun]) -> dict[asyncio.Task[Any], str]:
        asked: dict[asyncio.Task[Any], str] = {}
        if self.stun_server:
            for protocol in hosts:
                if ipaddress.ip_address(protocol.local_candidate.host).version == 4:
                    query = aioice.ice.server_reflexive_candidate(protocol, self.stun_server)
                    asked[asyncio.create_task(query)] = "stun"
        if self.turn_server:
            relayed = aioice.ice.relayed_candidate(
                component=1,
                hide_related_address=True,
                protocol_factory=lambda: GuardedStun(self),
                turn_server=self.turn_server,
                turn_username=self.turn_username,
                turn_password=self.turn_password,
                turn_ssl=self.turn_ssl,
                turn_transport=self.turn_transport,
            )
            asked[asyncio.create_task(relayed)] = "turn"
        return asked

    async def _ask(self, tasks: list[asyncio.Task[Any]]) -> tuple[set[asyncio.Task[Any]], set[asyncio.Task[Any]]]:
        try:
            return await asyncio.wait(tasks, timeout=self._settings.gather_timeout)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            raise

    def _answered(self, task: asyncio.Task[Any]) -> list[Candidate]:
        if task.exception() is not None:
            return []
        candidate, protocol = task.result()
        if protocol is not None:
            self._protocols.append(protocol)
        return [candidate]

    def _note_failures(self, asked: dict[asyncio.Task[Any], str]) -> None:
        for kind in ("stun", "turn"):
            tasks = [task for task, asked_kind in asked.items() if asked_kind == kind]
            if tasks and all(task.cancelled() or task.exception() is not None for task in tasks):
                urls = [server.url for server in self._settings.ice_servers if server.url.startswith(kind)]
                self.failed_servers += urls[:1]

    async def query_consent(self) -> None:
        """Ask for consent until it is not given any more; then close."""
        assert self.remote_password is not None
        failures = 0
        while failures < CONSENT_FAILURES:
            await asyncio.sleep(CONSENT_INTERVAL * (0.8 + 0.4 * random.random()))
            for pair in list(self._nominated.values()):
                try:
                    await pair.protocol.request(
                        self.build_request(pair, nominate=False),
                        pair.remote_addr,
                        integrity_key=self.remote_password.encode(),
                        retransmissions=0,
                    )
                    failures = 0
                except stun.TransactionError:
                    failures += 1
        self._query_consent_task = None
        await self.close()

    async def close(self) -> None:
        """Close everything, a TURN allocation too, in `CLOSE_TIMEOUT` although its server may be dead."""
        relays = [each for each in self._protocols if isinstance(each.transport, turn.TurnTransport)]
        stop = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, _drop_relays, relays)
        try:
            await super().close()
        finally:
            stop.cancel()


def _drop_relays(relays: list[aioice.ice.StunProtocol]) -> None:
    """The server does not confirm: the allocation expires there by itself."""
    for protocol in relays:
        inner: Any = getattr(protocol.transport, "_TurnTransport__inner_protocol", None)
        closing: asyncio.Task[None] | None = getattr(protocol.transport, "_TurnTransport__close_task", None)
        if closing is not None:
            closing.cancel()
        if inner is not None:
            inner.transport.close()
