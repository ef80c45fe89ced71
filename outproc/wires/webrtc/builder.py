"""`WebRtcWireBuilder`: dials WebRTC wires and answers those who dial, with signaling over the session that stands."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from litz.errors import ConnectError, IncompatibleError, InvalidEndpointError, LitzError
from litz.node_port import NodePort
from litz.wire import Endpoint, WireBuilder
from outproc.signaling.desk import Desk, crossed_error
from outproc.signaling.messages import TOPIC, Answer, Offer
from outproc.wires.webrtc.description import Description
from outproc.wires.webrtc.engine import Engine, Settings
from outproc.wires.webrtc.engines import make_engine
from outproc.wires.webrtc.ice_servers import IceServers
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.webrtc.sdp_filter import AddressPolicy, read_description
from outproc.wires.webrtc.wire import KIND, WebRtcWire

LOOPBACK: Final = ("127.0.0.1",)

BINDING: Final = b"litz webrtc binding 1\0"


class WebRtcWireBuilder(WireBuilder):
    """Wires of kind "webrtc" for `webrtc:DEST` endpoints.

    A dial waits a moment for a session with DEST by another wire, because signaling travels in it; so it comes after a
    WebSocket or a relay, and fails where there is none. Offers of peers are answered at any time; their wires go to
    the manager like those of a listener. Belongs to one manager.
    """

    kind = KIND
    schemes: Sequence[str] = (KIND,)

    def __init__(self, options: WebRtcOptions | None = None) -> None:
        self._given = options
        self._port: NodePort | None = None
        self._desk: Desk | None = None
        self._servers: IceServers | None = None
        self._engine: Engine | None = None
        self._wires: dict[WebRtcWire, None] = {}
        self._attempts: dict[str, WebRtcWire] = {}
        self._loading: asyncio.Task[Engine] | None = None
        self._settled: dict[str, None] = {}
        """Peers whose session has stood for a while: they are reachable by WebRTC."""
        self._settling: dict[str, asyncio.TimerHandle] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._freeing: set[asyncio.Task[None]] = set()

    @property
    def _options(self) -> WebRtcOptions:
        """Those given here, else those given to the manager, else the defaults."""
        if self._given is None:
            given = self._port.settings.get(KIND) if self._port is not None else None
            self._given = given if isinstance(given, WebRtcOptions) else WebRtcOptions()
        return self._given

    def attach(self, port: NodePort) -> None:
        """The manager that this builder belongs to has begun."""
        if self._port is not None:
            raise RuntimeError("a WebRtcWireBuilder belongs to one manager; make one for each")
        self._port = port
        self._desk = Desk(port, self, limit=self._options.max_attempts)
        self._servers = IceServers(self._options, asyncio.get_running_loop().time, _tell_problem)
        self._desk.open()

    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        """`webrtc:DEST` for every dest that says it speaks WebRTC and whose session has stood for a while, unless told
        otherwise: what is over in a moment needs no second wire."""
        return [Endpoint(KIND, f"{KIND}:{dest}")] if dest in self._settled else []

    def peer_came(self, dest: str) -> None:
        """A session has begun."""
        if self._port is not None and TOPIC in self._port.features(dest) and self._options.every_peer:
            self.peer_left(dest)
            loop = asyncio.get_running_loop()
            self._settling[dest] = loop.call_later(self._options.upgrade_after, self._settle, dest)

    def peer_left(self, dest: str) -> None:
        """The session is over."""
        self._settled.pop(dest, None)
        timer = self._settling.pop(dest, None)
        if timer is not None:
            timer.cancel()

    def _settle(self, dest: str) -> None:
        assert self._port is not None
        del self._settling[dest]
        self._settled[dest] = None
        self._port.endpoints_changed()

    def is_local(self, endpoint: Endpoint) -> bool:
        """Whether only loopback is used."""
        return self._loopback_only

    # -- dialling -------------------------------------------------------------------------------------

    async def build(self, dest: str, endpoint: Endpoint) -> WebRtcWire:
        """Offer a connection to `dest` and return it open, not started.

        Raises `ConnectError` (no session, no path), `BusyError` (too many at once; or the peer's own offer counts, and
        its wire comes by itself), `IncompatibleError`, and TimeoutError, which says for what it has waited.
        """
        desk, port = self._desk, self._port
        if desk is None or port is None:
            raise ConnectError("a WebRTC wire needs a manager that carries its signaling", dest=dest)
        if endpoint.address.partition(":")[2] != dest:
            raise InvalidEndpointError(f"{endpoint} does not lead to {dest}; write webrtc:{dest}")
        async with _deadline(self._options.session_wait, f"no session with {dest} carries the signaling"):
            await port.session_up(dest)
        if TOPIC not in port.features(dest):
            raise IncompatibleError(f"{dest} does not speak WebRTC; let it install litz with aiortc")
        attempt = os.urandom(16).hex()
        try:
            await desk.begin(dest, attempt)
            return await self._offer(desk, dest, attempt)
        finally:
            desk.over(dest, attempt)

    async def _offer(self, desk: Desk, dest: str, attempt: str) -> WebRtcWire:
        options = self._options
        wire = await self._new_wire(dest, offerer=True)
        self._attempts[attempt] = wire
        try:
            async with _deadline(options.gather_timeout + 2, "candidates were not gathered"):
                mine = self._described(await wire.connection.offer(), dest)
            async with _deadline(options.answer_timeout, f"{dest} did not answer the offer"):
                answer = await desk.ask(dest, attempt, mine.to_sdp(), mine.fingerprint_text)
            try:
                theirs = self._theirs(answer)
                await wire.connection.answered(theirs)
            except ValueError as error:
                raise IncompatibleError(f"{dest} sent a description that cannot be used: {error}") from error
            await self._open(wire, mine, theirs)
        except BaseException as error:
            wire.abort()
            if desk.attempts.mine(dest) == attempt:
                desk.withdraw(dest, attempt)
            elif isinstance(error, Exception):  # it yielded: whoever waits, waits for the peer's connection
                await desk.peers_attempt_over(dest)
                raise crossed_error(dest) from error
            raise
        finally:
            del self._attempts[attempt]
        return wire

    # -- answering ------------------------------------------------------------------------------------

    def take(self, offer: Offer) -> None:
        """Answer an offer in a task of this builder."""
        task = asyncio.get_running_loop().create_task(self._answer(offer), name=f"litz webrtc answer {offer.sender}")
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def give_up(self, attempt: str) -> None:
        """Nobody wants this attempt any more."""
        wire = self._attempts.get(attempt)
        if wire is not None:
            wire.abort()

    async def _answer(self, offer: Offer) -> None:
        desk, port = self._desk, self._port
        assert desk is not None
        assert port is not None
        theirs: Description | None = None
        wire: WebRtcWire | None = None
        said = False
        try:
            theirs = self._theirs(offer)
            wire = await self._new_wire(offer.sender, offerer=False)
            if desk.attempts.theirs(offer.sender) != offer.attempt:
                return  # given up before there was anything to abort
            self._attempts[offer.attempt] = wire
            async with _deadline(self._options.gather_timeout + 2, "candidates were not gathered"):
                mine = self._described(await wire.connection.answer(theirs), offer.sender)
            if desk.attempts.theirs(offer.sender) != offer.attempt:
                return
            desk.answer(offer, mine.to_sdp(), mine.fingerprint_text)
            said = True
            await self._open(wire, mine, theirs)
            port.accept(wire, offer.sender)
            wire = None
        except Exception as error:
            # Libraries and callbacks raise what they like; the peer must not wait for an answer that will not come.
            if not said:
                unfit = isinstance(error, ValueError) and (theirs is None or wire is not None)
                desk.refuse(offer, "unfit" if unfit else "failed", 5.0)
            if not isinstance(error, LitzError | OSError | ValueError | ImportError):
                _tell_problem(error)
        finally:
            self._attempts.pop(offer.attempt, None)
            if wire is not None:
                wire.abort()
            desk.over(offer.sender, offer.attempt)

    # -- both -----------------------------------------------------------------------------------------

    async def _new_wire(self, dest: str, *, offerer: bool) -> WebRtcWire:
        assert self._servers is not None
        options = self._options
        addresses = options.addresses
        if addresses is None and self._loopback_only:
            addresses = LOOPBACK
        settings = Settings(
            offerer=offerer,
            ice_servers=await self._servers.current(dest),
            relay_only=options.relay_only,
            addresses=addresses,
            ports=options.ports,
            gather_timeout=options.gather_timeout,
        )
        engine = await self._loaded_engine()
        wire = WebRtcWire(
            lambda events: engine.connect(settings, events),
            heartbeat=options.heartbeat,
            dead_after=options.dead_after,
            servers_failed=self._servers.failed,
        )
        self._wires[wire] = None
        wire.over.add_done_callback(lambda _: self._bury(wire))
        return wire

    async def _open(self, wire: WebRtcWire, mine: Description, theirs: Description) -> None:
        async with _deadline(self._options.open_timeout, "the connection did not open: no path between the two"):
            await asyncio.shield(wire.opened)
        offerer = mine.setup == "actpass"
        prints = (mine.fingerprint, theirs.fingerprint) if offerer else (theirs.fingerprint, mine.fingerprint)
        wire.channel_binding = hashlib.sha256(BINDING + b"".join(prints)).digest()

    def _theirs(self, message: Offer | Answer) -> Description:
        """The peer's description, without what must not be tried."""
        description = read_description(message.sdp, self._policy)
        if not hmac.compare_digest(description.fingerprint_text, message.fingerprint):
            raise ValueError("its fingerprint is not the one that was signed")
        return description

    def _described(self, sdp: str, dest: str) -> Description:
        """Our own description, as the peer will read it. Raises `ConnectError` if it leads nowhere."""
        mine = read_description(sdp, AddressPolicy(loopback=True, link_local=True))
        if mine.candidates:
            return mine
        if self._options.relay_only:
            raise ConnectError(
                f"only a relay may lead to {dest} (relay_only) and no TURN server gave an address; see that they "
                "run, can be reached and take the credentials",
                dest=dest,
            )
        if self._options.ports is not None:
            first, last = self._options.ports
            raise ConnectError(f"no UDP port from {first} to {last} is free for {dest}; name more of them", dest=dest)
        return mine

    @property
    def _loopback_only(self) -> bool:
        return self._options.loopback == "auto" and self._port is not None and self._port.proves == "nothing"

    @property
    def _policy(self) -> AddressPolicy:
        options = self._options
        return AddressPolicy(self._loopback_only or options.loopback is True, options.link_local, self._allows)

    def _allows(self, address: str, number: int) -> bool:
        """The rule of the options, and the manager's for every address that others name."""
        own, port = self._options.allow_address, self._port
        if self._loopback_only and not _is_loopback(address):
            return False
        return (own is None or own(address)) and (port is None or port.allows(address, number, "sdp"))

    async def _loaded_engine(self) -> Engine:
        """Libraries take half a second to load: that is done in a thread, which then ends."""
        chosen = self._options.engine
        if self._engine is None and not isinstance(chosen, str):
            self._engine = chosen
        elif self._engine is None and isinstance(chosen, str):
            if self._loading is None or self._loading.done():
                load = partial(make_engine, chosen, chosen_addresses=self._options.addresses is not None)
                self._loading = asyncio.get_running_loop().create_task(_in_thread(load), name="litz webrtc load")
                self._loading.add_done_callback(lambda task: task.cancelled() or task.exception())  # who waits has it
            self._engine = await asyncio.shield(self._loading)
        assert self._engine is not None
        return self._engine

    # -- the end --------------------------------------------------------------------------------------

    def _bury(self, wire: WebRtcWire) -> None:
        """A wire is dead: free its connection, and forget it then."""
        task = asyncio.get_running_loop().create_task(wire.connection.aclose(), name="litz webrtc free")
        self._freeing.add(task)
        task.add_done_callback(self._freeing.discard)
        del self._wires[wire]

    async def aclose(self) -> None:
        """End all attempts and connections, and free the library."""
        for dest in list(self._settling):
            self.peer_left(dest)
        if self._desk is not None:
            await self._desk.aclose()
        if self._loading is not None:
            await asyncio.wait([self._loading])
        answering = list(self._answering)
        for task in answering:
            task.cancel()
        if answering:
            await asyncio.wait(answering)
        for wire in list(self._wires):
            wire.abort()
        await asyncio.sleep(0)  # the end of each wire is told in the next turn, and begins to free it
        while self._freeing:
            await asyncio.wait(list(self._freeing))
        if self._engine is not None:
            await self._engine.aclose()
            self._engine = None


@contextlib.asynccontextmanager
async def _deadline(seconds: float, what: str) -> AsyncIterator[None]:
    """A timeout whose error says what was waited for."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"{what} within {seconds:g} s") from None


async def _in_thread(load: Callable[[], Engine]) -> Engine:
    pool = ThreadPoolExecutor(1, "litz webrtc load")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, load)
    finally:
        pool.shutdown(wait=False)


def _tell_problem(error: Exception) -> None:
    context = {"message": "litz: an error while a WebRTC connection was prepared", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback
