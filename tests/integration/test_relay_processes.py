"""A hub as a real process (`litz up --relay`), killed and started again, between nodes without a port of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from litz.events import WireDown
from outproc import OutprocTransportManager
from outproc.security import SharedKeyAuthenticator
from outproc.wires.relay import RelayWireBuilder
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.cli_process import Litz
from tests.integration.outproc_nodes import next_of, take, until

UP = r"is up at (ws://\S+)"
SECRET = "the secret of this group of nodes"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text(SECRET)
    return path


def hub_process(folder: Path, secret: Path, url: str) -> Litz:
    return Litz(folder, "up", "--id", "hub", "--listen", url, "--relay", "--shared-key-file", secret)


@asynccontextmanager
async def node(name: str, url: str) -> AsyncIterator[OutprocTransportManager]:
    """It knows the hub and nobody else."""
    async with OutprocTransportManager(
        name,
        directory={"hub": [url]},
        builders=[WebSocketWireBuilder(), RelayWireBuilder(via=["hub"])],
        authenticator=SharedKeyAuthenticator(SECRET),
    ) as manager:
        await manager.wait_connected("hub", timeout=120)
        yield manager


async def test_a_hub_that_is_killed_is_a_blip(tmp_path: Path, secret: Path) -> None:
    url = "ws://127.0.0.1:0"
    async with contextlib.AsyncExitStack() as stack:
        hub = hub_process(tmp_path, secret, url)
        with hub:
            url = await asyncio.to_thread(lambda: hub.hear(UP)[1])
            alice, bob = [await stack.enter_async_context(node(name, url)) for name in ("alice", "bob")]
            reading = asyncio.create_task(take(bob, 3_000))
            for number in range(1_000):
                await alice.send("bob", b"%d" % number)
            events = alice.events()
            hub.process.kill()
        for number in range(1_000, 2_000):
            await alice.send("bob", b"%d" % number)
        down = await next_of(events, WireDown)
        assert down.kind in ("websocket", "relay")
        with hub_process(tmp_path, secret, url) as again:
            await asyncio.to_thread(lambda: again.hear(UP))
            for number in range(2_000, 3_000):
                await alice.send("bob", b"%d" % number)
            got = [int(message.data) for message in await reading]
            assert got == list(range(3_000))
            for manager, other in ((alice, "bob"), (bob, "alice")):
                (dest,) = [each for each in manager.snapshot().dests if each.dest == other]
                assert (dest.session, dest.verified) == (0, True)
            await stack.aclose()


async def test_megabytes_and_requests_go_through_at_once(tmp_path: Path, secret: Path) -> None:
    with hub_process(tmp_path, secret, "ws://127.0.0.1:0") as hub:
        url = await asyncio.to_thread(lambda: hub.hear(UP)[1])
        async with node("alice", url) as alice, node("bob", url) as bob:
            blocks = [os.urandom(1 << 20) for _ in range(8)]

            async def send_all() -> None:
                for block in blocks:
                    await alice.send("bob", block)

            sending = asyncio.create_task(send_all())
            assert [message.data for message in await take(bob, 8)] == blocks
            await sending
            serving = asyncio.create_task(bob.serve(lambda message: bytes(message.data)[::-1]))
            assert await alice.request("bob", b"abc", timeout=120) == b"cba"
            serving.cancel()
            await until(lambda: alice.is_connected("bob"), "the relay is up")
