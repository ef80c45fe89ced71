"""A tab in a real Chromium and a node: 10,000 messages each way over each kind of wire, while wires are cut, the tab is
reloaded and goes offline. Every message arrives once and in order within its incarnation; every end of one is told."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web

from litz.errors import LitzError
from litz.events import EndReason, Event, Outcome, SessionEnded
from litz.message import Message
from litz.payload import ANY_KIND, PayloadType
from litz.wire import WireBuilder
from outproc.cli.cutting_proxy import CuttingProxy
from outproc.manager import OutprocTransportManager
from outproc.node.web.pages import add_pages
from outproc.options import TransportOptions
from outproc.security.shared_key import SharedKeyAuthenticator
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.options import WebRtcOptions
from outproc.wires.websocket.address import parse
from outproc.wires.websocket.builder import WebSocketWireBuilder
from tests.browser.chromium import Browser, JavaScriptError, Page, chromium

pytestmark = pytest.mark.prove

WORKER = Path(__file__).parents[1] / "browser/js/tab_worker.mjs"
LANES = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)
COUNT = 10_000
RELOADS = 3
WIRES = 10
"""Of one kind that must have been up at least."""
CUTS = 10
ENDS = (EndReason.CLOSED_BY_PEER, EndReason.PEER_RESTARTED)


@dataclass
class Tally:
    """What both sides said, and what they are held to."""

    to_tab: dict[tuple[int, int, int], str] = field(default_factory=dict)
    """What Python's `send` accepted: by session, lane and number."""
    got_by_tab: dict[int, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    """By lane, what the tab said it got, over all its lives: number and text."""
    got_by_bob: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    """By life of the tab and lane, the numbers it sent."""
    lives: list[int] = field(default_factory=list)
    wires: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    offline: int = 0
    loading: bool = False
    """The page is fetched, which no browser tries twice: nothing is to be cut."""
    violations: list[str] = field(default_factory=list)
    ends: list[SessionEnded] = field(default_factory=list)

    @property
    def tab_count(self) -> int:
        return sum(map(len, self.got_by_tab.values()))

    @property
    def bob_count(self) -> int:
        return sum(map(len, self.got_by_bob.values()))

    @property
    def of_last_life(self) -> int:
        """How many came from the tab as it is now."""
        last = self.lives[-1]
        return sum(len(numbers) for (life, _), numbers in self.got_by_bob.items() if life == last)

    def reported(self, said: dict[str, Any]) -> None:
        match said["event"]:
            case "life":
                self.lives.append(said["life"])
            case "got":
                self.got_by_tab[said["lane"]].append((said["number"], said["text"]))
            case "wireup":
                self.wires[said["kind"]] += 1
            case "offline":
                self.offline += 1
            case "violation":
                self.violations.append(said["text"])

    def handle(self, message: Message) -> None:
        life, number = message.data.split()
        self.got_by_bob[int(life), int(message.payload_type)].append(int(number))

    def check(self, sent_in_last_life: int) -> None:
        """Once, in order, loud: see the module."""
        assert self.violations == []
        # From the tab: within each life and lane without a hole from the first on; in the last life all of it.
        for (life, lane), numbers in self.got_by_bob.items():
            assert numbers == list(range(lane, 3 * len(numbers) + lane, 3)), f"life {life}, lane {lane}"
        assert self.of_last_life == sent_in_last_life
        # To the tab: per session and lane a beginning of what was accepted, and nothing that was "never accepted".
        lost = {
            (end.session, loss.channel.lane, loss.receipt[1]): loss.outcome for end in self.ends for loss in end.lost
        }
        for lane, got in self.got_by_tab.items():
            texts = [text for _, text in got]
            assert len(set(texts)) == len(texts), "doubled"
            for session in {session for session, _, _ in self.to_tab}:
                accepted = [self.to_tab[key] for key in sorted(self.to_tab) if key[:2] == (session, lane)]
                here = set(accepted)
                arrived = [text for text in texts if text in here]
                assert arrived == accepted[: len(arrived)], f"session {session}, lane {lane}"
                for key, text in self.to_tab.items():
                    if key[:2] == (session, lane) and lost.get(key) is Outcome.NEVER_ACCEPTED:
                        assert text not in arrived
                if session not in {end.session for end in self.ends}:
                    assert arrived == accepted, f"session {session} lives, and lane {lane} lacks some"


async def flood(bob: OutprocTransportManager, tally: Tally, stop: asyncio.Event) -> None:
    """Send until told to stop. What has no session to go to, because the tab said goodbye, is sent again."""
    number = 0
    while not stop.is_set():
        lane = LANES[number % 3]
        text = b"%d" % number + (b" " * 150_000 if number % 500 == 11 else b"")
        try:
            channel, position = await bob.send("tab", text, payload_type=lane, when_down="queue")
        except LitzError:
            await asyncio.sleep(0.02)
            continue
        tally.to_tab[channel.session, channel.lane, position] = str(number)
        number += 1
        if number % 20 == 0:
            await asyncio.sleep(0.004)


async def collect_ends(events: AsyncIterator[tuple[int, Event]], tally: Tally) -> None:
    async for _, event in events:
        if isinstance(event, SessionEnded):
            tally.ends.append(event)


async def soon(condition: Any, what: str, patience: float = 240.0) -> None:
    end = asyncio.get_running_loop().time() + patience
    while not condition():
        assert asyncio.get_running_loop().time() < end, f"waited in vain for: {what}"
        await asyncio.sleep(0.02)


def add_test_page(app: web.Application) -> None:
    """A page that runs the worker and nothing else."""
    worker = WORKER.read_text("utf-8")

    async def page(_: web.Request) -> web.Response:
        return web.Response(
            text='<!doctype html><script type="module" src="/worker.js"></script>', content_type="text/html"
        )

    async def script(_: web.Request) -> web.Response:
        return web.Response(text=worker, content_type="text/javascript")

    app.router.add_get("/test", page)
    app.router.add_get("/worker.js", script)


@asynccontextmanager
async def tab_of(browser: Browser, url: str, tally: Tally) -> AsyncIterator[Page]:
    page = await browser.open("about:blank")
    page.on_report = lambda text: tally.reported(json.loads(text))
    await page.call("Runtime.addBinding", name="report")
    await page.go(url)
    yield page


async def misfortunes(page: Page, tally: Tally, proxy: CuttingProxy) -> None:
    """Reload and go offline, spread over the traffic."""
    for turn in range(1, RELOADS + 1):
        wanted = COUNT * turn // (RELOADS + 1)
        await soon(lambda wanted=wanted: min(tally.tab_count, tally.bob_count) >= wanted, f"{wanted} messages each way")
        tally.loading = True
        await no_cut_due(proxy)
        await page.reload()
        await soon(lambda turn=turn: len(tally.lives) == turn + 1, "the next life")
        tally.loading = False
        await asyncio.sleep(0.3)
        await online(page, False)
        for link in list(proxy.links):
            link.cut()
        await asyncio.sleep(1.0)
        await online(page, True)


async def online(page: Page, yes: bool) -> None:
    """As if the cable were pulled out or put back; what is connected already must be cut besides."""
    rates = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await page.call("Network.emulateNetworkConditions", offline=not yes, **rates)


async def cut_connections(proxy: CuttingProxy, tally: Tally, every: int) -> None:
    """Again and again, each time that so many more messages have come: cuts that come by the clock are so frequent on a
    slow machine that nothing moves. Until cancelled."""
    due = 0
    while True:
        if tally.tab_count + tally.bob_count >= due and not tally.loading:
            due = tally.tab_count + tally.bob_count + every
            proxy.cut_named("")
        await asyncio.sleep(0.02)


async def no_cut_due(proxy: CuttingProxy) -> None:
    """Wait for the cuts that were begun: they come up to 0.3 s later."""
    await soon(lambda: not any(link.marked for link in proxy.links), "the last cut")


async def cut_data_channels(page: Page, tally: Tally) -> None:
    """Without a word to the peer, each time that one more is up and has carried something. Until cancelled."""
    while True:
        ups, came = tally.wires["webrtc"], tally.tab_count + tally.bob_count
        await asyncio.sleep(0.5)
        with suppress(JavaScriptError):  # it is being reloaded
            await page.evaluate("litz.cut('bob', 'webrtc')")
        await soon(lambda ups=ups: tally.wires["webrtc"] > ups, "another data channel")
        await soon(lambda came=came: tally.tab_count + tally.bob_count > came, "messages")


async def exchange(
    page: Page,
    bob: OutprocTransportManager,
    tally: Tally,
    proxy: CuttingProxy,
    harm: Sequence[Coroutine[Any, Any, None]],
    *,
    kind: str,
) -> None:
    """10,000 messages each way while all of it happens, until everything has arrived."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        flooding = group.create_task(flood(bob, tally, stop))
        harming = [group.create_task(each) for each in harm]
        await misfortunes(page, tally, proxy)
        await soon(lambda: min(tally.tab_count, tally.bob_count) >= COUNT, f"{COUNT} messages each way")
        await soon(lambda: tally.wires[kind] >= WIRES, f"{WIRES} wires that were cut and came back")
        await soon(lambda: proxy.cuts > CUTS, f"more than {CUTS} cuts")
        for task in harming:
            task.cancel()
        stop.set()
        await flooding
    # Else one may come between "all is acknowledged" and the goodbye, which nobody repeats.
    await no_cut_due(proxy)
    await page.evaluate("stopped = true")
    await page.until("drained()", "all that the tab accepted is acknowledged")
    await bob.drain("tab", timeout=120)
    await soon(lambda: finished(tally), "the tab's application has all")


async def tab_and_node(
    flags: Sequence[str], builders: Sequence[WireBuilder], options: TransportOptions, *, channels: bool
) -> Tally:
    """The whole of one test."""
    tally = Tally()
    app = web.Application()
    add_pages(app, "bob")
    add_test_page(app)
    async with (
        chromium(flags) as browser,
        OutprocTransportManager("bob", builders=builders, options=options) as bob,
        CuttingProxy(Random(3)) as proxy,
    ):
        listener = await bob.listen("ws://127.0.0.1:0", app=app, origins=("same",))
        port = await proxy.forward("127.0.0.1", parse(listener.endpoints[0].address).port)
        with bob.events() as events:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(bob.serve(tally.handle))
                ends = group.create_task(collect_ends(events, tally))
                async with tab_of(browser, f"http://127.0.0.1:{port}/test", tally) as page:
                    await bob.wait_connected("tab", timeout=120)
                    harm = [cut_connections(proxy, tally, 2_000 if channels else 1_000)]
                    if channels:
                        await soon(lambda: tally.wires["webrtc"], "a data channel")
                        harm.append(cut_data_channels(page, tally))
                    await exchange(page, bob, tally, proxy, harm, kind="webrtc" if channels else "websocket")
                    sent = int(await page.evaluate("sent"))
                    await soon(lambda: tally.of_last_life >= sent, "the node's application has all")
                    tally.check(sent)
                    # Every life but the last one has ended, and the node was told of each.
                    assert [end.reason in ENDS for end in tally.ends] == [True] * RELOADS
                    await page.evaluate("litz.close()")
                    await soon(lambda: len(tally.ends) == RELOADS + 1, "the goodbye")
                    assert (tally.ends[-1].reason, tally.ends[-1].lost) == (EndReason.CLOSED_BY_PEER, ())
                serving.cancel()
                ends.cancel()
        assert tally.offline == RELOADS
    print(f"{tally.tab_count} to the tab, {tally.bob_count} from it, {proxy.cuts} cuts, wires: {dict(tally.wires)}")
    return tally


@pytest.mark.limit(1200)
async def test_ten_thousand_each_way_over_websockets() -> None:
    tally = await tab_and_node((), [WebSocketWireBuilder()], TransportOptions(), channels=False)
    assert set(tally.wires) == {"websocket"}


@pytest.mark.limit(1200)
@pytest.mark.parametrize("mdns", [True, False], ids=["mdns", "addresses"])
async def test_ten_thousand_each_way_over_data_channels(mdns: bool) -> None:
    flags = () if mdns else ("--disable-features=WebRtcHideLocalIpsWithMdns",)
    # What the node sends goes by data channel or waits for one; but signaling needs the other wire.
    preference = dict.fromkeys(PayloadType, ("webrtc",)) | {PayloadType.RPC_SIGNAL: ("webrtc", ANY_KIND)}
    builders = [WebSocketWireBuilder(), WebRtcWireBuilder()]
    await tab_and_node(flags, builders, TransportOptions(wire_preference=preference), channels=True)


KEYED = """(async () => {
  const { Litz, sharedKey } = await import("/litz.js");
  globalThis.litz = new Litz({ id: "tab", url: `ws://${location.host}`, auth: await sharedKey("%s") });
  await litz.connect("bob");
})()"""
SECRET = "sixteen bytes and some more"


@pytest.mark.limit(600)
async def test_with_a_key_offers_are_signed_and_the_channel_is_bound_to_its_certificates() -> None:
    app = web.Application()
    add_pages(app, "bob")
    # Browsers cannot seal; and this node, which proves its id, must be told to use loopback for data channels.
    options = TransportOptions(seal="never")
    builders = [WebSocketWireBuilder(), WebRtcWireBuilder(WebRtcOptions(loopback=True, addresses=("127.0.0.1",)))]
    async with (
        chromium() as browser,
        OutprocTransportManager(
            "bob", authenticator=SharedKeyAuthenticator(SECRET), options=options, builders=builders
        ) as bob,
    ):
        listener = await bob.listen("ws://127.0.0.1:0", app=app, origins=("same",))
        page = await browser.open(listener.endpoints[0].address.replace("ws:", "http:") + "/litz.js")
        await page.evaluate(KEYED % SECRET)
        await page.until(
            "litz.snapshot()[0].wires.filter((wire) => wire.state === 'up' && wire.roundTrip).length === 2",
            "both wires",
        )
        kinds = [wire.kind for dest in bob.snapshot().dests for wire in dest.wires]
        assert sorted(kinds) == ["webrtc", "websocket"]
        await page.evaluate("litz.send('bob', 'hello')")
        async with bob.messages() as inbox:
            message = await anext(inbox)
        assert (message.data, message.verified) == (b"hello", True)


def finished(tally: Tally) -> bool:
    """Whether the tab has said that it got all of the session that lives."""
    live = max(session for session, _, _ in tally.to_tab)
    wanted = {text for key, text in tally.to_tab.items() if key[0] == live}
    return wanted <= {text for got in tally.got_by_tab.values() for _, text in got}
