"""A sleep of the machine: noticed once for all dests, backoffs end, every wire is asked, and none is condemned."""

from __future__ import annotations

import asyncio
import ctypes
import time
from dataclasses import replace
from time import monotonic

import pytest

from litz.events import WireDown, Woke
from litz.manager import EventStream
from litz.testing import SimLoop
from outproc.wake_watch import SleepClocks, WakeWatch, system_clocks, unbiased_time
from tests.unit.outproc.town import Town, event_of, turns, virtual

HOUR = 3_600.0


def the_loop() -> SimLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimLoop)
    return loop


async def woke_within(events: EventStream, seconds: float) -> Woke:
    async with asyncio.timeout(seconds):
        return await event_of(events, Woke)


def test_a_wake_ends_every_backoff_at_once() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", sleeps=True, backoff_base=500, backoff_cap=500) as alice:
            dests = [f"bob{number}" for number in range(20)]
            for dest in dests:
                alice.send_nowait(dest, b"x")
            await turns()
            dials = town.builders["alice"].dials
            assert len(dials) == 20
            await asyncio.sleep(3)
            del dials[:]
            the_loop().suspend(HOUR)
            began = the_loop().time()
            assert (await woke_within(alice.events(), 1.01)).slept == pytest.approx(HOUR)
            await turns()
            assert [address for address, _ in dials] == [f"memory:{dest}" for dest in dests]
            assert all(when - began <= 1.01 for _, when in dials)

    virtual(scenario)


def test_what_could_not_be_looked_up_is_asked_for_again() -> None:
    async def scenario() -> None:
        town = Town()
        known: dict[str, list[str]] = {}

        class Late:
            async def look_up(self, dest: str) -> list[str]:
                return known.get(dest, [])

        async with (
            town.manager("bob") as bob,
            town.manager("alice", knows=Late(), sleeps=True, backoff_base=500, backoff_cap=500) as alice,
        ):
            await bob.listen("memory:bob")
            alice.send_nowait("bob", b"x")
            await asyncio.sleep(3)
            known["bob"] = ["memory:bob"]
            the_loop().suspend(HOUR)
            await alice.wait_connected("bob", timeout=1.1)

    virtual(scenario)


def test_dials_after_a_wake_keep_to_the_caps() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", sleeps=True, max_dials=3, backoff_base=500, backoff_cap=500) as alice:
            for number in range(10):
                alice.send_nowait(f"bob{number}", b"x")
            await asyncio.sleep(3)
            builder = town.builders["alice"]
            del builder.dials[:]
            builder.gates = {f"memory:bob{number}": asyncio.Event() for number in range(10)}
            the_loop().suspend(HOUR)
            await asyncio.sleep(1.1)
            assert len(builder.dials) == 3

    virtual(scenario)


def test_a_wire_that_died_in_the_sleep_is_found_by_the_short_deadline_and_another_lives() -> None:
    async def scenario() -> None:
        town = Town()
        async with (
            town.manager("bob") as bob,
            town.manager("carol") as carol,
            town.manager("alice", sleeps=True, ping_after=60, dead_after=60) as alice,
        ):
            for peer in (bob, carol):
                await peer.listen(f"memory:{peer.local_id}")
                await alice.send(peer.local_id, b"x", confirm="received")
            await asyncio.sleep(2)
            for link in list(bob._entered.node.links) if bob._entered is not None else []:
                link.wire.write = lambda buffers: None  # type: ignore[method-assign]  # a host that is gone
            the_loop().suspend(HOUR)
            began = the_loop().time()
            down = await event_of(alice.events(), WireDown)
            assert (down.dest, down.cause) == ("bob", "silent: no answer to a ping")
            assert 2.0 <= the_loop().time() - began <= 3.1
            await asyncio.sleep(20)
            assert alice.is_connected("carol")
            assert [address for address, _ in town.builders["alice"].dials].count("memory:carol") == 1

    virtual(scenario)


def test_a_loop_that_stood_still_has_not_slept() -> None:
    async def scenario() -> None:
        town = Town()
        async with (
            town.manager("bob") as bob,
            town.manager("alice", sleeps=True, backoff_base=10_000, backoff_cap=10_000) as alice,
        ):
            await bob.listen("memory:bob")
            await alice.send("bob", b"x", confirm="received")
            alice.send_nowait("nobody", b"x")
            await asyncio.sleep(1)
            dials = len(town.builders["alice"].dials)
            the_loop().stall(600)
            with pytest.raises(TimeoutError):
                await woke_within(alice.events(), 30)
            assert alice.is_connected("bob")
            assert len(town.builders["alice"].dials) == dials

    virtual(scenario)


def test_a_manager_with_nothing_to_wake_looks_at_no_clock() -> None:
    looks: list[float] = []

    async def scenario() -> None:
        town = Town()
        async with (
            town.manager("bob") as bob,
            town.manager("alice", sleeps=True) as alice,
        ):
            await bob.listen("memory:bob")
            watch = alice._entered.node.health.wake_watch if alice._entered is not None else None
            assert watch is not None

            def noted() -> float:
                looks.append(the_loop().time())
                return looks[-1]

            watch._clocks = SleepClocks(noted, the_loop().boot_time)
            await asyncio.sleep(60)
            assert looks == []
            await alice.send("bob", b"x", confirm="received")
            assert looks, "now there is a wire"

    virtual(scenario)


def test_the_clocks_are_looked_at_as_often_as_silence_is_watched_and_at_least_every_second() -> None:
    watch = WakeWatch(SleepClocks(lambda: 0.0, lambda: 0.0), 5.0, lambda slept: None)
    assert watch.look(10.0) == 11.0
    assert watch.look(10.5) == 11.0
    watch.ping_after = 0.5
    assert watch.look(11.0) == 11.1
    watch.ping_after = 600.0
    assert watch.look(12.0) == 13.0


def test_a_health_check_with_its_own_interval_looks_as_often() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", sleeps=True) as alice:
            alice.start_health_checker(0.5)
            assert alice._entered is not None
            watch = alice._entered.node.health.wake_watch
            assert watch is not None
            assert watch.ping_after == 0.5

    virtual(scenario)


def test_the_clocks_of_this_system_go_alike_while_it_is_awake() -> None:
    clocks = system_clocks()
    assert clocks.exact, "Linux, macOS and Windows have them"

    def ahead() -> tuple[float, float]:
        """At least and at most: between two looks the machine may do something else."""
        before, going, after = clocks.standing(), clocks.going(), clocks.standing()
        return going - after, going - before

    least, most = ahead()
    end = monotonic() + 0.05
    while monotonic() < end:
        pass
    later_least, later_most = ahead()
    assert later_least <= most + 0.01
    assert later_most >= least - 0.01


def test_windows_has_a_clock_that_stands_while_it_sleeps() -> None:
    class Kernel:
        @staticmethod
        def QueryUnbiasedInterruptTime(ticks: object) -> int:  # noqa: N802 - its name there
            ctypes.cast(ticks, ctypes.POINTER(ctypes.c_ulonglong))[0] = 123 * 10_000_000 + 5_000_000  # type: ignore[arg-type]  # a pointer, as C takes it
            return 1

    class Old:
        pass

    read = unbiased_time(lambda name: Kernel() if name == "kernel32" else None)
    assert read is not None
    assert read() == 123.5
    assert unbiased_time(None) is None
    assert unbiased_time(lambda name: Old()) is None


def test_elsewhere_the_wall_clock_is_asked_which_takes_no_adjustment_for_a_sleep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.delattr(time, "CLOCK_UPTIME_RAW", raising=False)
    monkeypatch.setattr(ctypes, "WinDLL", None, raising=False)
    clocks = system_clocks()
    assert not clocks.exact
    assert clocks.going() == pytest.approx(time.time(), abs=60)
    told: list[float] = []
    wall = [0.0]
    watch = WakeWatch(SleepClocks(lambda: 0.0, lambda: wall[0], clocks.threshold, exact=False), 5.0, told.append)
    for second, ahead in enumerate((0.0, 9.0, 9.5, 4.0, -3_600.0)):  # set forward, slewed, set back
        wall[0] = ahead
        watch.look(second * 1.0)
    assert told == []
    wall[0] += 20.0
    watch.look(10.0)
    assert told == [20.0]


def test_a_clock_that_was_only_set_ends_no_session() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", sleeps=True) as alice:
            assert alice._entered is not None
            node = alice._entered.node
            assert node.environment.clocks is not None
            node.environment.clocks = replace(node.environment.clocks, exact=False)
            await bob.listen("memory:bob")
            await alice.send("bob", b"x", confirm="received")
            events = alice.events()
            town.builders["alice"].errors = {"memory:bob": OSError("not now")}
            town.builders["alice"].cut()
            await asyncio.sleep(1.0)
            the_loop().suspend(HOUR)
            await woke_within(events, 2.0)
            await asyncio.sleep(60.0)
            town.builders["alice"].errors = {}
            await alice.send("bob", b"y", confirm="received")
            assert [dest.session for dest in alice.snapshot().dests] == [0]

    virtual(scenario)
