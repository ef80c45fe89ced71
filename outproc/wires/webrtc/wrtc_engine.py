"""The engine on wrtc (libwebrtc, the engine of Chrome): many times aiortc's rate. Imported when it is first chosen.

ICE, DTLS and SCTP run in threads of the library, and its events come to the loop through a queue that the loop empties.
Those threads are made with the first connection of the process and stay. What is different from aiortc, and why this
engine is or is not chosen, is in docs/webrtc-engines.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Awaitable
from functools import partial
from importlib.metadata import version
from typing import Any, Final, Literal, TypeVar

import webrtc
from webrtc.utils.loops import LoopState

from litz.wire import WirePath
from outproc.wires.webrtc.description import Description
from outproc.wires.webrtc.engine import DRAIN_AT, LABELS, LOCAL_MAX_MESSAGE, URGENT, Events, PeerConnection, Settings
from outproc.wires.webrtc.local_description import read_local
from outproc.wires.webrtc.pace import Pace
from outproc.wires.webrtc.wrtc_channel import let_go, take_over

MAX_WAITING: Final = 32 * 1024
"""Messages that may wait in the library for the loop, of all connections of it together; from then on the busiest
connection is at fault. A peer that keeps to its credit has about a thousand at most."""

MAX_WAITING_BYTES: Final = 256 * 1024 * 1024
"""The same in bytes, as far as they can be told: what waits is taken to be as large as what came last."""

RECORD_SIZE: Final = 200
"""Bytes that a waiting message takes besides its own, about."""

LOOK_EVERY: Final = 512
"""Messages of one loop between two looks at how many wait."""

MAKING_AT_ONCE: Final = 4
"""Connections of one loop whose descriptions are made at the same time. Each step of that holds up the events of all
others for a turn of the loop; who waits has no connection in the library yet, and costs nothing."""

AHEAD_FOR: Final = 0.005
"""Seconds of sending for which the library is given bytes ahead, at the rate at which it sends: its thread then never
waits for the loop, and what is urgent never waits longer than that behind bulk."""

MOST_AHEAD: Final = 512 * 1024
"""Bytes of that at most."""

CLOSED_BY_PEER: Final = 12
"""SCTP cause "user-initiated abort" (RFC 9260, section 3.3.10.12): what libwebrtc and aiortc say when they close."""

CLOSED_MEANWHILE: Final = "the connection was closed while it was made"

_T = TypeVar("_T")


NEEDED: Final = ("of", "MAX_DEFERRALS", "_busy")
"""What of wrtc 0.1 is used though it is private."""


def check_version() -> str:
    """The name and version of the library. Raises ImportError when it is not one that this engine knows."""
    if not all(hasattr(LoopState, name) for name in NEEDED):
        raise ImportError(f"wrtc {version('wrtc')} is not one litz was written for: pip install 'wrtc==0.1.*'")
    return f"wrtc {version('wrtc')}"


class Backlog:
    """What waits in the library's queue of one loop. It has no limit of its own, and its thread reads the network
    whether or not the loop keeps up; a litz peer is held back by credit, and who is not costs itself its wire."""

    def __init__(self) -> None:
        state = LoopState.of(asyncio.get_running_loop())
        # On a loop with anything else to do it would hand over one event per turn, on asyncio's after 100 turns, so
        # that a browser's order of events and promises holds. Nobody here waits for a promise between two events, and
        # pings must not starve on a busy loop. 100 events per turn remain the limit.
        state.MAX_DEFERRALS = 0
        state._busy = _never_busy  # type: ignore[method-assign]  # of this loop only
        self._mailbox = state.mailbox
        self.making = asyncio.Semaphore(MAKING_AT_ONCE)
        self._messages = 0
        self._bytes = 0
        self._busy: dict[WrtcConnection, int] = {}

    def count(self, connection: WrtcConnection, size: int) -> None:
        """One message of this connection was taken out of the queue."""
        self._busy[connection] = self._busy.get(connection, 0) + size + RECORD_SIZE
        self._bytes += size
        self._messages += 1
        if self._messages < LOOK_EVERY:
            return
        waiting = len(self._mailbox)
        if waiting > MAX_WAITING or waiting * self._bytes > MAX_WAITING_BYTES * self._messages:
            busiest = max(self._busy, key=lambda each: self._busy[each])
            busiest.tell_closed("protocol", f"{waiting} messages wait: the peer keeps to no credit")
        self._messages = self._bytes = 0
        self._busy = {}

    def forget(self, connection: WrtcConnection) -> None:
        """It has closed."""
        self._busy.pop(connection, None)


class WrtcConnection(PeerConnection):
    """One peer connection on wrtc."""

    def __init__(self, settings: Settings, events: Events, backlog: Backlog) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._events = events
        self._backlog = backlog
        self._remote: Description | None = None
        self._over = False
        self._told = False
        self._gathered = asyncio.Event()
        self._failed_servers: dict[str, None] = {}
        self._path = WirePath()
        self._received = 0
        self._made: webrtc.RTCPeerConnection | None = None
        self._channels: list[webrtc.RTCDataChannel] = []
        self._ahead = [0 for _ in LABELS]
        self._paces = [Pace(self._loop.time()) for _ in LABELS]

    def _make(self) -> webrtc.RTCPeerConnection:
        """Only now: a connection in the library is not cheap, and not each that is asked for comes so far."""
        if self._over:
            raise ConnectionAbortedError(CLOSED_MEANWHILE)
        try:
            made = webrtc.RTCPeerConnection(_configuration(self._settings))
        except webrtc.RTCException as error:
            raise ConnectionError(f"the WebRTC library does not take the settings: {error}") from error
        self._made = made
        self._channels = [self._new_channel(made, channel, label) for channel, label in LABELS.items()]
        made.on("icegatheringstatechange", self._gathering_changed)
        made.on("icecandidateerror", self._server_failed)
        made.on("connectionstatechange", self._state_changed)
        made.on("datachannel", lambda event: self.tell_closed("protocol", "the peer opened a channel"))
        return made

    @property
    def _native(self) -> webrtc.RTCPeerConnection:
        assert self._made is not None, "offer or answer comes first"
        return self._made

    def _new_channel(self, native: webrtc.RTCPeerConnection, channel: int, label: str) -> webrtc.RTCDataChannel:
        priority = webrtc.RTCPriorityType.high if channel == URGENT else webrtc.RTCPriorityType.low
        made = native.create_data_channel(
            label, webrtc.RTCDataChannelInit(negotiated=True, id=channel, priority=priority)
        )
        made.buffered_amount_low_threshold = DRAIN_AT
        made.on("open", lambda event: self._opened(channel))
        take_over(made, partial(self._message, channel), partial(self._drained, channel))
        made.on("error", self._failed)
        made.on("close", lambda event: self.tell_closed("remote", "the channels were closed"))
        return made

    # -- what it is -----------------------------------------------------------------------------------

    @property
    def max_message(self) -> int:
        """The smaller of both sides'."""
        assert self._remote is not None
        return min(LOCAL_MAX_MESSAGE, self._remote.max_message)

    @property
    def received_bytes(self) -> int:
        """Bytes of whole messages: the library counts others, but tells them only when it is asked and later."""
        return self._received

    @property
    def path(self) -> WirePath:
        """Of the pair of addresses that ICE has chosen."""
        sctp = None if self._over or self._made is None else self._made.sctp
        pair = sctp.transport.ice_transport.get_selected_candidate_pair() if sctp is not None else None
        if pair is not None:
            kinds = {str(pair.local.type), str(pair.remote.type)}
            route: Literal["direct", "reflexive", "relay"] = "direct"
            if "relay" in kinds:
                route = "relay"
            elif kinds & {"srflx", "prflx"} and not _is_loopback(pair.local):
                # Within one host an address that was not described shows as reflexive too.
                route = "reflexive"
            self._path = WirePath(route, _address(pair.local), _address(pair.remote))
        return self._path

    # -- making it ------------------------------------------------------------------------------------

    async def offer(self) -> str:
        """See `PeerConnection`. Raises ConnectionError for settings that the library does not take."""
        async with self._backlog.making:
            native = self._make()
            await self._done(native.set_local_description(await self._done(native.create_offer())))
        return await self._describe()

    async def answer(self, offer: Description) -> str:
        """See `PeerConnection`. This side becomes the DTLS client unless the peer insists on being it."""
        async with self._backlog.making:
            native = self._make()
            await self._take("offer", offer)
            await self._done(native.set_local_description(await self._done(native.create_answer())))
        return await self._describe()

    async def answered(self, answer: Description) -> None:
        """See `PeerConnection`."""
        if answer.setup == "actpass":
            raise ValueError("an answer chooses a DTLS role")
        await self._take("answer", answer)

    async def _take(self, kind: Literal["offer", "answer"], remote: Description) -> None:
        self._remote = remote
        text = webrtc.RTCSessionDescriptionInit(type=kind, sdp=remote.to_sdp())
        await self._done(self._native.set_remote_description(text))

    async def _done(self, call: Awaitable[_T]) -> _T:
        """What the library refuses is, for us, a description that it does not take."""
        try:
            return await call
        except asyncio.CancelledError as error:
            # A call that a close overtook is "aborted", which the library says by a cancel that nobody asked for.
            task = asyncio.current_task()
            if self._over and task is not None and not task.cancelling():
                raise ConnectionAbortedError(CLOSED_MEANWHILE) from error
            raise
        except webrtc.InvalidStateError as error:
            raise ConnectionAbortedError(CLOSED_MEANWHILE) from error
        except webrtc.RTCException as error:
            raise ValueError(f"the library does not take the description: {type(error).__name__}") from error

    async def _describe(self) -> str:
        late = False
        try:
            async with asyncio.timeout(self._settings.gather_timeout):
                await self._gathered.wait()
        except TimeoutError:
            late = True
        text = self._native.local_description
        if text is None:
            raise ConnectionAbortedError(CLOSED_MEANWHILE)
        mine, answered = read_local(text.sdp, self._settings.addresses)
        # Of a host with several networks each asks for itself: one of them may have no way to a server that is well.
        failed = [
            server.url
            for server in self._settings.ice_servers
            if (late or server.url in self._failed_servers) and ("relay" if server.relays else "srflx") not in answered
        ]
        if failed:
            self._loop.call_soon(self._events.servers_failed, tuple(failed))
        return mine.to_sdp()

    def _gathering_changed(self, event: webrtc.Event) -> None:
        if self._native.ice_gathering_state == webrtc.RTCIceGatheringState.complete:
            self._gathered.set()

    def _server_failed(self, event: webrtc.RTCPeerConnectionIceErrorEvent) -> None:
        asked = (server.url for server in self._settings.ice_servers)
        self._failed_servers |= dict.fromkeys(url for url in asked if url.split("?")[0] == event.url.split("?")[0])

    # -- messages -------------------------------------------------------------------------------------

    def send(self, channel: int, data: bytes) -> None:
        """Queue a message. The library keeps 16 MiB and refuses more, which the wire above never comes near."""
        if self._over or not self._channels:
            return
        self._paces[channel].gave(len(data))
        try:
            self._channels[channel].send(data)
        except webrtc.InvalidStateError:
            return  # not open yet, or not any more: its event is on its way
        except webrtc.OperationError as error:
            # The message is lost, so what follows it must not arrive.
            self.tell_closed("lost", f"the library takes no more: {error}")

    def buffered(self, channel: int) -> int:
        """What the library has not given to SCTP, above what it is given ahead."""
        if self._over or not self._channels:
            return 0
        return max(0, self._channels[channel].buffered_amount - self._ahead[channel])

    def _opened(self, channel: int) -> None:
        if not self._over:
            self._events.channel_open(channel)

    def _message(self, channel: int, data: Any) -> None:
        if self._over or self._told:
            return
        self._received += len(data)
        self._backlog.count(self, len(data))
        self._events.message(channel, data)

    def _drained(self, channel: int) -> None:
        if self._over:
            return
        pace = self._paces[channel]
        pace.drained(self._loop.time())
        self._ahead[channel] = ahead = pace.bytes_in(AHEAD_FOR, 0, MOST_AHEAD)
        # Half of it is left then, so that the library never waits, and what comes next is worth the call.
        self._channels[channel].buffered_amount_low_threshold = DRAIN_AT + ahead // 2
        self._events.drained(channel)

    # -- the end --------------------------------------------------------------------------------------

    def _state_changed(self, event: webrtc.Event) -> None:
        if self._over:
            return
        if self._native.connection_state == webrtc.RTCPeerConnectionState.failed:
            self.tell_closed("lost", "ICE or DTLS failed: no path, or the peer does not answer any more")

    def _failed(self, event: webrtc.RTCErrorEvent) -> None:
        error = event.error
        if error.error_detail == webrtc.RTCErrorDetailType.sctp_failure and error.sctp_cause_code != CLOSED_BY_PEER:
            self.tell_closed("protocol", f"SCTP failed, cause {error.sctp_cause_code}")
        elif error.error_detail == webrtc.RTCErrorDetailType.sctp_failure:
            self.tell_closed("remote", "the association was closed")
        else:
            self.tell_closed("lost", f"{error.error_detail}")

    def tell_closed(self, reason: Literal["remote", "lost", "protocol"], detail: str) -> None:
        """The connection is dead, for this reason; unless it ended before."""
        if not self._told and not self._over:
            self._told = True
            self._loop.call_soon(self._closed_soon, reason, detail)

    def _closed_soon(self, reason: Literal["remote", "lost", "protocol"], detail: str) -> None:
        if not self._over:
            self._events.closed(reason, detail)

    def abort(self) -> None:
        """See `PeerConnection`. The library closes in place, in about half a millisecond."""
        if self._over:
            return
        self._over = True
        self._gathered.set()
        self._backlog.forget(self)
        for channel in self._channels:
            let_go(channel)
        if self._made is not None:
            with contextlib.suppress(webrtc.RTCException):
                self._made.close()

    async def aclose(self) -> None:
        """See `PeerConnection`. Handlers are gone with the objects; the library keeps none of a closed connection."""
        self.abort()


class WrtcEngine:
    """`Engine` on wrtc."""

    def __init__(self) -> None:
        self.name = check_version()
        self._backlogs: dict[asyncio.AbstractEventLoop, Backlog] = {}
        # For the whole process, and only before its first connection. A description names loopback only where the
        # settings do.
        with contextlib.suppress(webrtc.InvalidStateError):
            webrtc.allow_loopback()

    def connect(self, settings: Settings, events: Events) -> WrtcConnection:
        """A new idle connection."""
        loop = asyncio.get_running_loop()
        backlog = self._backlogs.get(loop)
        if backlog is None:
            backlog = self._backlogs[loop] = Backlog()
        return WrtcConnection(settings, events, backlog)

    async def aclose(self) -> None:
        """Forget the loop."""
        self._backlogs.pop(asyncio.get_running_loop(), None)


def _configuration(settings: Settings) -> webrtc.RTCConfiguration:
    servers = [
        webrtc.RTCIceServer(urls=server.url, username=server.username or None, credential=server.password or None)
        for server in settings.ice_servers
    ]
    policy = webrtc.RTCIceTransportPolicy.relay if settings.relay_only else webrtc.RTCIceTransportPolicy.all
    return webrtc.RTCConfiguration(ice_servers=servers, ice_transport_policy=policy, port_range=settings.ports)


def _never_busy(ready: object) -> bool:
    return False


def _address(candidate: webrtc.RTCIceCandidate) -> str:
    """For people. The library hides that of a peer which was never described."""
    host = candidate.address
    if not host:
        return "not described"
    return f"[{host}]:{candidate.port}" if ":" in host else f"{host}:{candidate.port}"


def _is_loopback(candidate: webrtc.RTCIceCandidate) -> bool:
    return bool(candidate.address) and ipaddress.ip_address(str(candidate.address)).is_loopback
