"""litz.js under node.js against a real manager, over real WebSockets, while connections are cut."""

from __future__ import annotations

import asyncio
import base64
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from litz.events import EndReason, Event, SessionEnded
from litz.message import Message
from litz.payload import PayloadType
from litz.wire import Endpoint
from outproc.cli.cutting_proxy import CuttingProxy
from outproc.manager import OutprocTransportManager
from outproc.node.web.bundle import BUNDLE
from outproc.options import TransportOptions
from outproc.security.authenticator import Authenticator
from outproc.security.ed25519 import Ed25519Authenticator
from outproc.security.key_text import public_key_text
from outproc.security.shared_key import SharedKeyAuthenticator
from outproc.wires.websocket.address import parse
from tests.browser.node_js import FOLDER, node_js

LANES = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)
SECRET = "sixteen bytes and some more"


class JavaScriptPeer:
    """litz.js in a process of its own. What it says are JSON objects."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._heard: list[dict[str, Any]] = []

    async def hears(self, event: str) -> dict[str, Any]:
        """What it says of `event`, whatever else it says before."""
        assert self._process.stdout is not None
        async with asyncio.timeout(240):
            while True:
                for said in self._heard:
                    if said["event"] == event:
                        self._heard.remove(said)
                        return said
                line = await self._process.stdout.readline()
                assert line, f"it ended, and said before: {self._heard}"
                self._heard.append(json.loads(line))
                assert event == "error" or self._heard[-1]["event"] != "error", self._heard[-1]

    def crash(self) -> None:
        """End it without a word."""
        self._process.kill()

    async def close(self) -> dict[str, Any]:
        """Let it say goodbye, and return its last words."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"close\n")
        return await self.hears("closed")


@asynccontextmanager
async def javascript(**asked: Any) -> AsyncIterator[JavaScriptPeer]:
    asked = {"id": "tab", "dest": "bob", "count": 0, "bundle": BUNDLE.as_uri(), **asked}
    script = str(FOLDER / "interop_peer.mjs")
    process = await asyncio.create_subprocess_exec(
        node_js(), "--experimental-websocket", "--no-warnings", script, json.dumps(asked), stdin=PIPE, stdout=PIPE
    )
    try:
        yield JavaScriptPeer(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Served:
    """What the Python side got, and its answers to requests."""

    def __init__(self) -> None:
        self.got: dict[PayloadType, list[int]] = {lane: [] for lane in LANES}
        self.verified = False

    @property
    def count(self) -> int:
        return sum(map(len, self.got.values()))

    async def handle(self, message: Message) -> bytes | None:
        self.verified = message.verified
        if message.is_request:
            if message.data == b"fail":
                raise LookupError("asked to")
            if message.data == b"slow":
                await asyncio.sleep(1)
            return b"bob got " + bytes(message.data)
        if message.data != b"end":
            self.got[message.payload_type].append(int(message.data))
        return None


async def flood(bob: OutprocTransportManager, count: int) -> None:
    for number in range(count):
        text = b"%d" % number + (b" " * 200_000 if number % 500 == 11 else b"")
        await bob.send("tab", text, payload_type=LANES[number % 3], when_down="queue")
        if number % 50 == 0:
            await asyncio.sleep(0.002)


async def cut_as_it_goes(proxy: CuttingProxy, served: Served) -> None:
    """Cut the connection again and again, each time that so many more messages have come: cuts that come by the clock
    are so frequent on a slow machine that nothing moves."""
    due = 0
    while True:
        if served.count >= due:
            due = served.count + 1_000
            proxy.cut_named("")
        await asyncio.sleep(0.002)


async def ended(events: AsyncIterator[tuple[int, Event]]) -> SessionEnded:
    async for _, event in events:
        if isinstance(event, SessionEnded):
            return event
    raise AssertionError("no session ended")


@pytest.mark.limit(600)
async def test_ten_thousand_messages_each_way_while_connections_are_cut() -> None:
    count = 10_000
    served = Served()
    async with OutprocTransportManager("bob") as bob, CuttingProxy(Random(7)) as proxy:
        listener = await bob.listen("ws://127.0.0.1:0")
        serving = asyncio.create_task(bob.serve(served.handle))
        port = await proxy.forward("127.0.0.1", port_of(listener.endpoints))
        async with javascript(url=f"ws://127.0.0.1:{port}", count=count) as tab:
            await bob.wait_connected("tab", timeout=120)
            cutting = asyncio.create_task(cut_as_it_goes(proxy, served))
            flooding = asyncio.create_task(flood(bob, count))
            await tab.hears("all received")
            await tab.hears("all confirmed")
            await flooding
            cutting.cancel()
            assert (await tab.hears("reply"))["text"] == "bob got from tab"
            assert await tab.hears("failed") == {
                "event": "failed", "code": "remote", "name": "LookupError", "text": "asked to"
            }  # fmt: skip
            assert await tab.hears("failed") == {"event": "failed", "code": "timeout"}
            assert await bob.request("tab", b"from bob", timeout=120) == b"tab got from bob"
            with bob.events() as events:
                last = await tab.close()
                end = await ended(events)
        serving.cancel()
        assert proxy.cuts > 5
    for index, lane in enumerate(LANES):
        assert served.got[lane] == list(range(index, count, 3))
    assert (end.reason, end.lost) == (EndReason.CLOSED_BY_PEER, ())
    assert last["sessionstarted"] == 1
    assert last["violation"] == 0
    assert last["wireup"] > proxy.cuts / 2


def port_of(endpoints: tuple[Endpoint, ...]) -> int:
    return parse(endpoints[0].address).port


def ed25519_pair() -> tuple[Ed25519Authenticator, dict[str, Any]]:
    """Bob's authenticator, and what the tab is told of keys."""
    bob, tab = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    mine = public_key_text(bob.public_key().public_bytes_raw())
    theirs = tab.public_key().public_bytes_raw()
    pkcs8 = tab.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    asked = {
        "key": base64.b64encode(pkcs8).decode(),
        "public": base64.b64encode(theirs).decode(),
        "trusted": {"bob": mine},
    }
    return Ed25519Authenticator(bob, {"tab": public_key_text(theirs)}), asked


@pytest.mark.parametrize("method", ["shared-key", "ed25519"])
async def test_both_prove_who_they_are(method: str) -> None:
    authenticator: Authenticator
    if method == "shared-key":
        authenticator, asked = SharedKeyAuthenticator(SECRET), {"secret": SECRET}
    else:
        authenticator, asked = ed25519_pair()
    served = Served()
    # Browsers cannot seal. Where the channel is not protected by TLS the node must be told to do without.
    options = TransportOptions(seal="never")
    async with OutprocTransportManager("bob", authenticator=authenticator, options=options) as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        serving = asyncio.create_task(bob.serve(served.handle))
        async with javascript(url=f"ws://127.0.0.1:{port_of(listener.endpoints)}", count=300, **asked) as tab:
            await bob.wait_connected("tab", timeout=120)
            await flood(bob, 300)
            await tab.hears("all received")
            await tab.hears("all confirmed")
        serving.cancel()
    assert served.verified


@pytest.mark.parametrize("wrong", [{"secret": "another secret of some length"}, {}])
async def test_a_tab_that_cannot_prove_itself_is_refused(wrong: dict[str, str]) -> None:
    options = TransportOptions(seal="never")
    async with OutprocTransportManager("bob", authenticator=SharedKeyAuthenticator(SECRET), options=options) as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        async with javascript(url=f"ws://127.0.0.1:{port_of(listener.endpoints)}", **wrong) as tab:
            said = await tab.hears("error")
            assert said["code"] == "unreachable"
            assert bob.list_dests() == []


async def test_a_tab_that_crashed_and_came_back_is_another_incarnation() -> None:
    served = Served()
    async with OutprocTransportManager("bob") as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        serving = asyncio.create_task(bob.serve(served.handle))
        url = f"ws://127.0.0.1:{port_of(listener.endpoints)}"
        with bob.events() as events:
            async with javascript(url=url, count=0) as first:
                await first.hears("all confirmed")
                for said in ("reply", "failed", "failed"):
                    await first.hears(said)
                await bob.drain("tab", timeout=120)  # the answers as well
                first.crash()
                await asyncio.sleep(0.1)
                await bob.send("tab", b"0", when_down="queue")
                async with javascript(url=url, count=3) as second:
                    end = await ended(events)
                    assert end.reason is EndReason.PEER_RESTARTED
                    assert len(end.lost) == 1
                    await bob.wait_connected("tab", timeout=120)
                    await flood(bob, 3)
                    await second.hears("all received")
        serving.cancel()


async def test_two_tabs_of_one_id_the_newer_wins_and_the_older_is_told() -> None:
    served = Served()
    async with OutprocTransportManager("bob") as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        serving = asyncio.create_task(bob.serve(served.handle))
        url = f"ws://127.0.0.1:{port_of(listener.endpoints)}"
        async with javascript(url=url) as older:
            await older.hears("all confirmed")
            async with javascript(url=url) as newer:
                await newer.hears("all confirmed")
                assert (await older.hears("sessionended"))["reason"] == "replaced"
                assert bob.is_connected("tab")
        serving.cancel()
