"""The manager contract over WebRTC: user lanes ride on WebRTC wires only, a WebSocket carries the signaling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest

from litz import TransportManager
from litz.events import WireUp
from litz.payload import ANY_KIND, PayloadType
from litz.testing.manager_case import Check
from litz.testing.manager_contract import MANAGER_CHECKS, check_manager
from outproc import OutprocTransportManager, TransportOptions
from outproc.security import Authenticator, Ed25519Authenticator
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.engines import EngineName
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.websocket import WebSocketWireBuilder

ONLY_WEBRTC = TransportOptions(
    wire_preference={
        kind: ("webrtc", ANY_KIND) if kind is PayloadType.RPC_SIGNAL else ("webrtc",) for kind in PayloadType
    }
)
"""Signaling rides where signals may."""

FROM_NOTHING = (
    "unknown_dests_fail_wait_or_queue_as_asked",
    "dests_are_counted_and_told_apart",
    "a_peer_handle_is_the_same_verbs",
)
"""Checks that begin before there is any dest. The others begin with WebRTC up: some count milliseconds."""


class Known:
    """A directory that learns where the managers listen."""

    def __init__(self) -> None:
        self.where: dict[str, list[str]] = {}

    async def look_up(self, dest: str) -> Sequence[str]:
        return self.where.get(dest, ())


@asynccontextmanager
async def met(
    proofs: tuple[Authenticator | None, Authenticator | None], webrtc: WebRtcOptions, *, cold: bool
) -> AsyncIterator[tuple[TransportManager, TransportManager]]:
    known = Known()
    a, b = (
        OutprocTransportManager(
            name,
            directory=known,
            authenticator=proof,
            builders=[WebSocketWireBuilder(), WebRtcWireBuilder(webrtc)],
            options=ONLY_WEBRTC,
        )
        for name, proof in zip("ab", proofs, strict=True)
    )
    async with a, b:
        for node in (a, b):
            await node.listen("ws://127.0.0.1:0")
            known.where[node.local_id] = node.endpoints
        if not cold:
            await a.get_or_create_transport("b")
            await until_webrtc(a)
        yield a, b


async def until_webrtc(manager: OutprocTransportManager) -> None:
    """Until a WebRTC wire is up: some checks count milliseconds from their beginning."""
    with manager.events() as events:
        async with asyncio.timeout(120):
            async for _, event in events:
                if isinstance(event, WireUp) and event.kind == "webrtc":
                    return


def without_proof(*, cold: bool) -> AbstractAsyncContextManager[tuple[TransportManager, TransportManager]]:
    return met((None, None), WebRtcOptions(upgrade_after=0.01, engine="aiortc"), cold=cold)


def with_keys(
    *, cold: bool, engine: EngineName = "aiortc"
) -> AbstractAsyncContextManager[tuple[TransportManager, TransportManager]]:
    a, b = Ed25519Authenticator(b"a" * 32), Ed25519Authenticator(b"b" * 32)
    a.ring.trust("b", b.public_key)
    b.ring.trust("a", a.public_key)
    here = WebRtcOptions(upgrade_after=0.01, engine=engine, addresses=("127.0.0.1",), loopback=True)
    return met((a, b), here, cold=cold)


@pytest.mark.parametrize("check", MANAGER_CHECKS, ids=lambda check: check.__name__)
async def test_over_webrtc(check: Check) -> None:
    await check_manager(partial(without_proof, cold=check.__name__ in FROM_NOTHING), check)


@pytest.mark.parametrize("check", MANAGER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.uvloop
async def test_over_webrtc_with_keys(check: Check) -> None:
    await check_manager(partial(with_keys, cold=check.__name__ in FROM_NOTHING), check)


@pytest.mark.parametrize("check", MANAGER_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.both_loops
async def test_over_webrtc_on_wrtc(check: Check) -> None:
    await check_manager(partial(with_keys, cold=check.__name__ in FROM_NOTHING, engine="wrtc"), check)
