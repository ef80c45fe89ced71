"""How long it takes, in real networks, until what docs/limits.md bounds has happened ("How soon it is noticed").

Each time is held against the bound there, and how late the processes' loops were is added: on a machine that is busy
with other things nothing is sooner. Percentiles of what was measured are printed. A round in which a bound was missed
is followed by two more, and most of the three decide.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from outproc.hastening import EACH
from outproc.network_news import LONGEST
from outproc.wake_watch import EVERY
from tests.prove.lab.namespaces import Lab, Namespace
from tests.prove.percentiles import summary
from tests.prove.processes import Worker
from tests.prove.rounds import all_of, judged_together, most_complain
from tests.prove.test_prove_networks import A, B, who

pytestmark = [pytest.mark.prove, pytest.mark.limit(1200)]

TIMING = "tests.prove.timing_worker:serve"
SLACK = 0.5
"""Seconds for `ip`, `iptables`, TCP, the handshake and the events' way here."""
LATE = 4
"""How many turns of a late loop one thing takes: the news, the decision, and both again at the other side."""
PATIENCE = 300.0
LONG = 600.0
QUICK: dict[str, Any] = {
    "ping_after": 0.5,
    "dead_after": 0.5,
    "wake_timeout": 0.5,
    "handshake_timeout": 5.0,
    "dial_timeout": 5.0,
    "backoff_cap": 0.2,
}
PATIENT = QUICK | {"ping_after": LONG, "dead_after": LONG}
"""Silence by itself is noticed late: only a wake or a change of the network is quick."""


class Pair:
    """a dials b through a cable."""

    def __init__(self, hosts: tuple[Namespace, Namespace], devices: tuple[str, str], nodes: tuple[Worker, Worker]):
        self.hosts = hosts
        self.devices = devices
        self.a, self.b = nodes

    async def up(self) -> None:
        """Both agree that a wire is up."""
        await self.a.control.call("send", dest="b")
        await self.b.control.call("send", dest="a")

    async def lateness(self) -> float:
        """How late the loops were since the last time that was asked."""
        return LATE * float(max([await each.control.call("lag") for each in (self.a, self.b)]))


@asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[Pair]:
    with Lab() as lab:
        a, b = lab.namespace("a"), lab.namespace("b")
        devices = lab.join(a, f"{A}/24", b, f"{B}/24")
        async with (
            Worker(TIMING, prefix=a.prefix, options=options, listen="ws://0.0.0.0:8401", **who("a", "b")) as at_a,
            Worker(TIMING, prefix=b.prefix, options=options, listen="ws://0.0.0.0:8400", **who("b", "a")) as at_b,
        ):
            await at_a.control.call("hint", dest="b", urls=[f"ws://{B}:8400"])
            yield Pair((a, b), devices, (at_a, at_b))


async def when(node: Worker, event: str, since: float, *words: str) -> float:
    """Seconds from `since` until the node was told the first such event."""
    end = time.monotonic() + PATIENCE
    while True:
        for at, name, text in await node.control.call("told", since=since):
            if name == event and all(word in text for word in words):
                return float(at) - since
        assert time.monotonic() < end, f"no {event}: {await node.control.call('told', since=since)}"
        await asyncio.sleep(0.02)


class Measured:
    """Times against one bound."""

    def __init__(self, what: str, bound: float) -> None:
        self.what, self.bound = what, bound
        self.times: list[float] = []
        self.over: list[str] = []

    def add(self, seconds: float, late: float) -> None:
        self.times.append(seconds)
        if seconds > self.bound + SLACK + late:
            self.over.append(f"{seconds:.3f} s, with loops {late:.3f} s late")

    def tell(self, capsys: pytest.CaptureFixture[str]) -> str:
        """Print what was measured. Returns what is to be complained of."""
        with capsys.disabled():
            print(f"\n{self.what}: {summary(self.times)}; the bound is {self.bound:g} s (and {SLACK} s for the test)")
        return f"{self.what}: {', '.join(self.over)}; the bound is {self.bound:g} s" if self.over else ""


@pytest.mark.parametrize("deaf", ["both", "a", "b"])
async def test_a_half_open_wire_is_found(deaf: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Packets vanish in both directions, or in one: each side gives the wire up in time, and it is back at once."""
    await judged_together(lambda _: half_open(deaf, capsys), most_complain)


async def half_open(deaf: str, capsys: pytest.CaptureFixture[str]) -> str:
    found = Measured(f"half-open, {deaf} deaf", QUICK["ping_after"] + QUICK["dead_after"])
    async with pair(**QUICK) as two:
        for _ in range(4):
            await two.up()
            await two.lateness()
            began = time.monotonic()
            for host, name, other in zip(two.hosts, "ab", (B, A), strict=True):
                if deaf in ("both", name):
                    host.deafen(other)
            took = time.monotonic() - began
            dead = [await when(node, "WireDown", began) for node in (two.a, two.b)]
            late = took + await two.lateness()
            for host in two.hosts:
                host.heal()
            for each in dead if deaf == "both" else [min(dead)]:
                found.add(each, late)
    return found.tell(capsys)


async def test_after_a_wake_dead_wires_are_found_and_what_waits_is_dialled(capsys: pytest.CaptureFixture[str]) -> None:
    """The clocks tell of a sleep (a test cannot put the machine to sleep); the network is a real one."""
    await judged_together(lambda _: wakes(capsys), most_complain)


async def wakes(capsys: pytest.CaptureFixture[str]) -> str:
    given_up = Measured("dead wires after a wake", EVERY + QUICK["wake_timeout"])
    dialled = Measured("dialled after a wake", EVERY)
    async with pair(**PATIENT | {"backoff_base": LONG, "backoff_cap": LONG}) as two:
        for _ in range(3):
            await two.up()
            for host, other in zip(two.hosts, (B, A), strict=True):
                host.deafen(other)
            await two.lateness()
            woke = float(await two.a.control.call("sleep", seconds=3_600.0))
            given_up.add(await when(two.a, "WireDown", woke), await two.lateness())
            await when(two.a, "ConnectFailed", woke)  # the first redial; the next one is far off
            for host in two.hosts:
                host.heal()
            await two.lateness()
            woke = float(await two.a.control.call("sleep", seconds=3_600.0))
            dialled.add(await when(two.a, "WireUp", woke), await two.lateness())
    return all_of(given_up.tell(capsys), dialled.tell(capsys))


async def test_a_process_that_stood_still_takes_nobody_for_dead() -> None:
    """SIGSTOP for a while, then on: it has not slept, and its wires were kept by the kernel."""
    async with pair(**QUICK | {"dead_after": 30.0}) as two:
        await two.up()
        began = time.monotonic()
        two.a.freeze()
        await asyncio.sleep(2.0)
        two.a.thaw()
        await two.up()
        await asyncio.sleep(1.0)
        for node in (two.a, two.b):
            told = [name for _, name, _ in await node.control.call("told", since=began)]
            assert "Woke" not in told
            assert "WireDown" not in told


async def test_traffic_goes_on_after_an_address_change(capsys: pytest.CaptureFixture[str]) -> None:
    """The kernel tells, the wire is asked and gives no answer, and another one carries on."""
    await judged_together(lambda _: address_changes(capsys), most_complain)


async def address_changes(capsys: pytest.CaptureFixture[str]) -> str:
    gap = Measured("traffic after an address change", LONGEST + QUICK["wake_timeout"])
    noticed = Measured("an address change noticed", LONGEST)
    async with pair(**PATIENT) as two:
        for number in range(4):
            await two.up()
            await two.lateness()
            began = time.monotonic()
            two.hosts[0].change_address(two.devices[0], f"10.88.0.{10 + number}/24")
            took = time.monotonic() - began
            confirmed = float(await two.a.control.call("send", dest="b"))
            late = took + await two.lateness()
            noticed.add(await when(two.a, "NetworkChanged", began, "gone"), late)
            gap.add(confirmed - began, late)
    return all_of(noticed.tell(capsys), gap.tell(capsys))


async def test_an_address_that_is_added_and_a_storm_of_them_disturb_nobody() -> None:
    async with pair(**PATIENT) as two:
        await two.up()
        began = time.monotonic()
        host, device = two.hosts[0], two.devices[0]
        for number in range(60):
            host.configure("addr", "add", f"10.99.{number}.1/24", "dev", device)
        await when(two.a, "NetworkChanged", began, "10.99.")
        await two.up()
        took = time.monotonic() - began
        told = [name for _, name, _ in await two.a.control.call("told", since=began)]
        assert told.count("NetworkChanged") <= took / LONGEST + 2
        assert "WireDown" not in told
        assert await two.a.control.call("dials", dest="b") == 1


async def test_a_dest_that_is_away_for_long_grows_cold_and_warms_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    await judged_together(lambda _: cold_and_warm(capsys), most_complain)


async def cold_and_warm(capsys: pytest.CaptureFixture[str]) -> str:
    cold = {"cold_failures": 4, "cold_after": 1.0, "cold_probe": 2.0, "dial_timeout": 0.3}
    attempt = cold["dial_timeout"] + QUICK["backoff_cap"]
    grown = Measured("cold", max(cold["cold_after"], cold["cold_failures"] * attempt) + attempt)
    gaps = Measured("between probes of a cold dest", cold["cold_probe"] + cold["dial_timeout"])
    network = Measured("warm by a change of the network", LONGEST + EACH)
    inbound = Measured("warm by a wire of the peer", 0.0)
    async with pair(**QUICK | cold) as two:
        host = two.hosts[1]
        await two.b.control.call("hint", dest="a", urls=[f"ws://{A}:8401"])
        for turn in range(2):
            host.deafen(A)
            two.hosts[0].deafen(B)
            await two.lateness()
            began = time.monotonic()
            await two.a.control.call("want", dest="b")
            failed = await when(two.a, "ConnectFailed", began)
            is_cold = await when(two.a, "DestCold", began)
            grown.add(is_cold - failed, await two.lateness())
            probes = await _probes(two, began + is_cold)
            late = await two.lateness()
            for gap in probes:
                assert gap >= cold["cold_probe"] / 2 - late - TICKS
                gaps.add(gap, late)
            host.heal()
            two.hosts[0].heal()
            since = time.monotonic()
            if turn:
                await two.b.control.call("send", dest="a")
                up = await when(two.a, "WireUp", since)
                inbound.add(await when(two.a, "DestWarm", since) - up, await two.lateness())
            else:
                two.hosts[0].configure("addr", "add", "10.77.0.1/24", "dev", two.devices[0])
                took = time.monotonic() - since
                network.add(await when(two.a, "DestWarm", since), took + await two.lateness())
    return all_of(*(each.tell(capsys) for each in (grown, gaps, network, inbound)))


TICKS = 0.1
"""Seconds by which two events are read sooner or later than they happened."""


async def _probes(two: Pair, since: float) -> list[float]:
    """Times between the ends of a few probes."""
    ends: list[float] = []
    end = time.monotonic() + PATIENCE
    while len(ends) < 4:
        assert time.monotonic() < end, "no probes"
        ends = [at for at, name, _ in await two.a.control.call("told", since=since) if name == "ConnectFailed"]
        await asyncio.sleep(0.05)
    return [later - sooner for sooner, later in pairwise(ends)]
