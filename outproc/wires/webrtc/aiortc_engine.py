"""The engine on aiortc, pure Python: always there, not fast. Imported when the first connection is made.

Uses aiortc's parts (ICE, DTLS, SCTP) without its `RTCPeerConnection`, so that each can be given limits of our own and
no text of a peer reaches its SDP parser.
"""

from __future__ import annotations

import asyncio
import contextlib
from importlib.metadata import version
from typing import Any, Final, Literal

from aiortc import (
    RTCCertificate,
    RTCDataChannel,
    RTCDataChannelParameters,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
    RTCSctpCapabilities,
)

from litz.wire import WirePath
from outproc.wires.webrtc.description import Candidate, CandidateType, Description
from outproc.wires.webrtc.engine import DRAIN_AT, LABELS, LOCAL_MAX_MESSAGE, URGENT, Events, PeerConnection, Settings
from outproc.wires.webrtc.guarded_dtls import GuardedDtls
from outproc.wires.webrtc.guarded_ice import GuardedIce
from outproc.wires.webrtc.guarded_sctp import GuardedSctp
from outproc.wires.webrtc.smooth_sctp import SmoothSctp

CLOSE_TIMEOUT: Final = 2.0

MOST_OVERTAKING: Final = 64 * 1024
"""Bytes of urgent messages that go before the bulk that waits; then comes a turn of bulk, so that it never starves."""

NEEDED: Final = {
    RTCIceGatherer: ("gather",),
    GuardedDtls.__mro__[1]: ("_set_role", "_register_data_receiver"),
    SmoothSctp.__mro__[1]: (
        "_handle_data", "_receive_data_chunk", "_receive_sack_chunk", "_send_sack", "_send_chunk", "_update_rto",
        "_data_channel_receive", "_data_channel_flush", "_transmit", "stop", "_send", "_t3_start", "_t3_restart",
        "_t3_cancel", "_t3_expired",
    ),
    GuardedIce.__mro__[1]: (
        "get_component_candidates", "query_consent", "build_request", "data_received", "check_incoming",
    ),
}  # fmt: skip
"""What of aiortc 1.16 and aioice 0.13 is used though it is private."""


def check_version() -> str:
    """The name and version of the library. Raises ImportError when it is not one that this engine knows."""
    missing = [
        f"{owner.__name__}.{name}" for owner, names in NEEDED.items() for name in names if not hasattr(owner, name)
    ]
    if missing:
        raise ImportError(
            f"aiortc {version('aiortc')} has no {', '.join(missing)}; litz was written for aiortc 1.16: "
            "pip install 'aiortc==1.16.*'"
        )
    return f"aiortc {version('aiortc')}"


class AiortcConnection(PeerConnection):
    """One peer connection on aiortc."""

    def __init__(self, settings: Settings, events: Events) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._events = events
        self._ice = GuardedIce(settings)
        gatherer = RTCIceGatherer(iceServers=[])
        gatherer._connection = self._ice
        self._gatherer = gatherer
        self._transport = RTCIceTransport(gatherer)
        self._certificate = RTCCertificate.generateCertificate()
        self._dtls = GuardedDtls(self._transport, [self._certificate])
        self._ice.on_dtls = self._dtls.take
        self._sctp = GuardedSctp(
            self._dtls,
            on_message=self._message,
            on_progress=self._progress,
            on_malformed=self._malformed,
        )
        self._channels = [
            RTCDataChannel(self._sctp, RTCDataChannelParameters(label=label, negotiated=True, id=channel))
            for channel, label in LABELS.items()
        ]
        self._full = [False for _ in LABELS]
        self._overtaking = 0
        self._remote: Description | None = None
        self._starting: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._told = False
        for channel, each in enumerate(self._channels):
            each.on("open", lambda channel=channel: self._opened(channel))
        self._channels[0].on("close", self._association_ended)
        self._dtls.on("statechange", self._dtls_changed)
        self._transport.on("statechange", self._ice_changed)

    # -- what it is -----------------------------------------------------------------------------------

    @property
    def max_message(self) -> int:
        """The smaller of both sides'."""
        assert self._remote is not None
        return min(LOCAL_MAX_MESSAGE, self._remote.max_message)

    @property
    def received_bytes(self) -> int:
        """Bytes of DTLS records that came from the peer."""
        return self._ice.received_bytes

    @property
    def path(self) -> WirePath:
        """Of the pair of addresses that ICE has chosen."""
        pair = self._ice._nominated.get(1)
        if pair is None:
            return WirePath()
        kinds = {pair.local_candidate.type, pair.remote_candidate.type}
        route: Literal["direct", "reflexive", "relay"] = "direct"
        if "relay" in kinds:
            route = "relay"
        elif "srflx" in kinds or "prflx" in kinds:
            route = "reflexive"
        return WirePath(route, _address(pair.local_addr), _address(pair.remote_addr))

    # -- making it ------------------------------------------------------------------------------------

    async def offer(self) -> str:
        """See `PeerConnection`."""
        return (await self._describe("actpass", "0")).to_sdp()

    async def answer(self, offer: Description) -> str:
        """See `PeerConnection`. This side becomes the DTLS client unless the peer insists on being it."""
        server = offer.setup == "active"
        self._dtls._set_role("server" if server else "client")
        mine = await self._describe("passive" if server else "active", offer.mid)
        self._begin(offer)
        return mine.to_sdp()

    async def answered(self, answer: Description) -> None:
        """See `PeerConnection`."""
        if answer.setup == "actpass":
            raise ValueError("an answer chooses a DTLS role")
        self._dtls._set_role("server" if answer.setup == "active" else "client")
        self._begin(answer)

    async def _describe(self, setup: Literal["actpass", "active", "passive"], mid: str) -> Description:
        await self._gatherer.gather()
        if self._ice.failed_servers:
            self._loop.call_soon(self._events.servers_failed, tuple(self._ice.failed_servers))
        parameters = self._gatherer.getLocalParameters()
        (print_,) = [each for each in self._certificate.getFingerprints() if each.algorithm == "sha-256"]
        return Description(
            ufrag=str(parameters.usernameFragment),
            pwd=str(parameters.password),
            fingerprint=bytes.fromhex(print_.value.replace(":", "")),
            setup=setup,
            candidates=tuple(_ours(each) for each in self._gatherer.getLocalCandidates()),
            max_message=LOCAL_MAX_MESSAGE,
            mid=mid,
        )

    def _begin(self, remote: Description) -> None:
        if self._closing is not None:
            raise ConnectionAbortedError("the connection was given up while it was described")
        if self._starting is not None:
            raise RuntimeError("a connection is made once")
        self._remote = remote
        self._starting = self._loop.create_task(self._connect(remote), name="litz webrtc connect")

    async def _connect(self, remote: Description) -> None:
        """ICE, then DTLS, then SCTP. The end of candidates is never told, so that ICE waits for a peer whose addresses
        are seen only when its own checks come; the deadline is the caller's."""
        try:
            for candidate in remote.candidates:
                await self._transport.addRemoteCandidate(_theirs(candidate))
            await self._transport.start(RTCIceParameters(usernameFragment=remote.ufrag, password=remote.pwd))
            if self._transport.state != "completed":
                return
            prints = [RTCDtlsFingerprint(algorithm="sha-256", value=remote.fingerprint_text)]
            await self._dtls.start(RTCDtlsParameters(fingerprints=prints))
            if self._dtls.state == "connected":
                await self._sctp.start(RTCSctpCapabilities(maxMessageSize=remote.max_message), remote.sctp_port)
        except Exception as error:
            # Libraries raise what they like; the connection is what it costs.
            self._tell_closed("lost", f"{type(error).__name__}: {error}")

    # -- messages -------------------------------------------------------------------------------------

    def send(self, channel: int, data: bytes) -> None:
        """Queue a message; urgent ones go before bulk that was not begun, but not for ever."""
        target = self._channels[channel]
        if target.readyState != "open":
            return
        target.send(data)
        queue = self._sctp._data_channel_queue
        if channel == URGENT and len(queue) > 1:
            self._overtaking += len(data)
            if self._overtaking <= MOST_OVERTAKING:
                item = queue.pop()
                place = next((index for index in range(len(queue), 0, -1) if queue[index - 1][0] is target), 0)
                queue.insert(place, item)
            else:
                self._overtaking = 0
        if self.buffered(channel) > DRAIN_AT:
            self._full[channel] = True

    def buffered(self, channel: int) -> int:
        """What waits for its turn, and of bulk also what was cut and not sent."""
        waiting = self._channels[channel].bufferedAmount
        return waiting if channel == URGENT else waiting + self._sctp.unsent()

    def _progress(self) -> None:
        for channel, full in enumerate(self._full):
            if full and self.buffered(channel) <= DRAIN_AT:
                self._full[channel] = False
                self._events.drained(channel)

    def _message(self, channel: int, data: bytes | str) -> None:
        if not self._told:
            self._events.message(channel, data)

    # -- the end --------------------------------------------------------------------------------------

    def _opened(self, channel: int) -> None:
        self._loop.call_soon(self._events.channel_open, channel)

    def _ice_changed(self) -> None:
        if self._transport.state == "failed":
            self._tell_closed("lost", "ICE failed: no path, or the peer does not answer any more")

    def _dtls_changed(self) -> None:
        if self._dtls.state == "failed":
            self._tell_closed("lost", "the DTLS handshake failed")
        elif self._dtls.state == "closed":
            lost = self._transport.state == "failed"
            self._tell_closed("lost" if lost else "remote", "DTLS was closed")

    def _association_ended(self) -> None:
        self._tell_closed("remote", "the association was closed")

    def _malformed(self, detail: str) -> None:
        self._tell_closed("protocol", detail)

    def _tell_closed(self, reason: Literal["remote", "lost", "protocol"], detail: str) -> None:
        if not self._told:
            self._told = True
            self._loop.call_soon(self._events.closed, reason, detail)

    def abort(self) -> None:
        """See `PeerConnection`."""
        self._told = True
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(), name="litz webrtc close")

    async def aclose(self) -> None:
        """See `PeerConnection`."""
        self.abort()
        assert self._closing is not None
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if self._starting is not None:
                    self._starting.cancel()
                    await asyncio.wait([self._starting])
                await self._sctp.stop()
                pump: asyncio.Task[Any] | None = self._dtls._task  # type: ignore[assignment]  # a task, says its source
                await self._dtls.stop()
                if pump is not None:
                    await asyncio.wait([pump])
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._transport.stop()
                # Gathered, but never started: the transport does not close what it has not opened.
                await self._ice.close()
        self._ice.on_dtls = None
        for emitter in (self._dtls, self._transport, self._gatherer, self._sctp, *self._channels):
            emitter.remove_all_listeners()


class AiortcEngine:
    """`Engine` on aiortc."""

    def __init__(self) -> None:
        self.name = check_version()

    def connect(self, settings: Settings, events: Events) -> AiortcConnection:
        """A new idle connection."""
        return AiortcConnection(settings, events)

    async def aclose(self) -> None:
        """Nothing is kept."""


def _address(pair: tuple[str, int]) -> str:
    host, port = pair
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_KINDS: Final[dict[str, CandidateType]] = {"host": "host", "srflx": "srflx", "prflx": "prflx", "relay": "relay"}


def _ours(candidate: RTCIceCandidate) -> Candidate:
    return Candidate(
        candidate.foundation, candidate.priority, candidate.ip, candidate.port, _KINDS.get(candidate.type, "host")
    )


def _theirs(candidate: Candidate) -> RTCIceCandidate:
    return RTCIceCandidate(
        component=1,
        foundation=candidate.foundation,
        ip=candidate.address,
        port=candidate.port,
        priority=candidate.priority,
        protocol="udp",
        type=candidate.type,
    )
