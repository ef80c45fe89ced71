"""ICE servers that are dead, credentials that fail, and whose fault it is: `outproc.wires.webrtc.ice_servers`."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from litz.errors import ConnectError
from outproc.signaling.messages import open_envelope, read_body
from outproc.wires.webrtc.engine import IceServer
from outproc.wires.webrtc.ice_servers import IceServers
from outproc.wires.webrtc.options import Credentials, WebRtcOptions
from tests.unit.outproc_webrtc.signaling_town import LOCAL, town_of

STUN, TURN = IceServer("stun:stun.example.org"), IceServer("turn:turn.example.org:3478", "user", "old")


@pytest.mark.parametrize(
    "url",
    [
        "stun:h",
        "stuns:h:5349",
        "turn:192.0.2.1:3478?transport=udp",
        "turns:[2001:db8::1]:443?transport=tcp",
        "turn:h_x",
    ],
)
def test_urls_of_ice_servers(url: str) -> None:
    assert IceServer(url).relays == url.startswith("turn")


@pytest.mark.parametrize("url", ["", "stun:", "turn:", "http://example.org", "turn:user@h", "stun:h/path", "stun h"])
def test_what_is_no_ice_server_is_refused_when_it_is_named(url: str) -> None:
    with pytest.raises(ValueError, match="is no ICE server; write stun:HOST"):
        IceServer(url)


async def test_a_relay_that_rests_is_asked_all_the_same_when_only_a_relay_will_do() -> None:
    """That a STUN server lives says nothing of it: one lost answer made every dial fail for a minute."""
    servers = IceServers(WebRtcOptions(ice_servers=(STUN, TURN), relay_only=True), time.monotonic)
    assert await servers.current("bob") == (TURN,)
    servers.failed((TURN.url,))
    assert await servers.current("bob") == (TURN,)


async def test_new_credentials_for_a_server_are_tried_though_the_old_ones_failed() -> None:
    given = [TURN]

    async def credentials() -> list[IceServer]:
        return list(given)

    servers = IceServers(WebRtcOptions(ice_servers=(STUN,), credentials=credentials), time.monotonic)
    assert await servers.current("bob") == (STUN, TURN)
    servers.failed((TURN.url,))
    assert await servers.current("bob") == (STUN,)
    given[:] = [fresh := IceServer(TURN.url, "user", "new")]
    assert await servers.current("bob") == (STUN, fresh)


async def fails() -> list[IceServer]:
    raise RuntimeError("the database is down")


async def gives_urls() -> list[IceServer]:
    return cast(list[IceServer], ["turn:turn.example.org"])


async def gives_nothing() -> list[IceServer]:
    return cast(list[IceServer], None)


@pytest.mark.parametrize("credentials", [fails, gives_urls, gives_nothing])
async def test_credentials_that_fail_are_told_and_the_rest_goes_on(credentials: Credentials) -> None:
    told: list[Exception] = []
    servers = IceServers(WebRtcOptions(ice_servers=(STUN,), credentials=credentials), time.monotonic, told.append)
    assert await servers.current("bob") == (STUN,)
    (problem,) = told
    assert isinstance(problem, RuntimeError | TypeError)


@pytest.mark.parametrize("side", ["ann", "bob"])
async def test_without_a_relay_it_fails_soon_and_blames_nobody_else(side: str) -> None:
    """Whoever can only be reached through TURN, and has no address there, need not wait for a path."""
    patient = {"gather_timeout": 0.2, "open_timeout": 3600.0, "answer_timeout": 3600.0}
    only = {"relay_only": True, "ice_servers": (IceServer("turn:127.0.0.1:9", "u", "p"),)}
    silent = LOCAL.model_copy(update={**patient, **only})
    async with town_of() as town:
        town.add("ann", silent if side == "ann" else LOCAL)
        town.add("bob", silent if side == "bob" else LOCAL)
        town.meet("ann", "bob")
        story = "no TURN server gave an address" if side == "ann" else "could not make its side"
        with pytest.raises(ConnectError, match=story):
            await town.dial("ann", "bob")


@pytest.mark.parametrize("engine", ["aiortc", "wrtc"])
async def test_when_no_port_of_the_range_is_free_it_fails_at_once_and_says_so(engine: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("0.0.0.0", 0))
        port = taken.getsockname()[1]
        here = LOCAL.model_copy(update={"ports": (port, port), "open_timeout": 3600.0, "engine": engine})
        async with town_of() as town:
            town.add("ann", here)
            town.add("bob", LOCAL)
            town.meet("ann", "bob")
            with pytest.raises(ConnectError, match=f"no UDP port from {port} to {port} is free for bob; name more"):
                await town.dial("ann", "bob")


async def test_an_offer_withdrawn_before_its_answer_is_begun_is_over_at_once() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> list[IceServer]:
        asked.set()
        await go_on.wait()
        return []

    async with town_of() as town:
        town.add("ann", LOCAL)
        town.add("bob", LOCAL.model_copy(update={"credentials": slow, "gather_timeout": 3600.0}))
        town.meet("ann", "bob")
        dial = asyncio.ensure_future(town.dial("ann", "bob"))
        await asked.wait()
        dial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dial
        desk = town.builders["bob"]._desk
        assert desk is not None
        await _until(lambda: not len(desk.attempts))
        go_on.set()
        await _until(lambda: not town.builders["bob"]._answering)
        assert [read_body(open_envelope(data)[0]).type for _, data in town.ports["bob"].posted] == []


async def _until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)
