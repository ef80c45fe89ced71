"""A dest that fails for long grows cold, one with a budget is given up; both are told once, and end as they should.

Of `outproc.round_verdict` and `outproc.slots` too, as far as users notice them.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import pytest

from litz.errors import BusyError, ConnectError, GaveUpError, SessionExpiredError, UntrustedPeerError
from litz.events import DestCold, DestGivenUp, DestWarm, Event, SessionEnded
from litz.manager import EventStream
from litz.snapshot import DestSnapshot, DestState
from outproc import OutprocTransportManager
from outproc.reachability import Redial
from tests.unit.outproc.town import Town, virtual

Found = TypeVar("Found", bound=Event)
REFUSED = {"memory:bob": ConnectionRefusedError("nobody listens")}
MINUTE, HOUR = 60.0, 3600.0


class Watcher:
    """All events of one manager."""

    def __init__(self, manager: OutprocTransportManager) -> None:
        self.seen: list[Event] = []
        self._events: EventStream = manager.events()
        self._task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for _, event in self._events:
            self.seen.append(event)

    def of(self, kind: type[Found]) -> list[Found]:
        return [event for event in self.seen if isinstance(event, kind)]


def bob_of(manager: OutprocTransportManager) -> DestSnapshot:
    (dest,) = manager.snapshot().dests
    return dest


def dials(town: Town, since: float = 0.0) -> list[float]:
    return [at for _, at in town.builders["alice"].dials if at >= since]


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_dest_that_fails_for_minutes_is_cold_and_seldom_dialled() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            watcher = Watcher(alice)
            town.builders["alice"].errors = dict(REFUSED)
            await alice.send("bob", b"kept", when_down="queue")
            await asyncio.sleep(290)
            assert (watcher.of(DestCold), bob_of(alice).cold) == ([], False)
            assert bob_of(alice).cause == "connection refused"
            await asyncio.sleep(20)
            (cold,) = watcher.of(DestCold)
            assert (cold.dest, cold.cause) == ("bob", "connection refused")
            assert cold.failures >= 10
            assert cold.seconds >= 300
            assert cold.retry_in is not None
            assert 30 <= cold.retry_in <= 60
            began = now()
            await asyncio.sleep(6 * HOUR)
            assert 360 <= len(dials(town, began)) <= 720
            assert len(watcher.of(DestCold)) == 1
            shown = bob_of(alice)
            assert shown.cold
            assert not shown.given_up
            assert shown.retry_in is not None
            assert 0 <= shown.retry_in <= 60

    virtual(scenario, max_time=100_000.0)


async def cold_town(town: Town, alice: OutprocTransportManager) -> Watcher:
    """Bob was reached once, and is cold."""
    watcher = Watcher(alice)
    async with town.manager("bob") as bob:
        await bob.listen("memory:bob")
        await alice.send("bob", b"x", confirm="received")
        town.builders["alice"].errors = dict(REFUSED)
        town.builders["bob"].errors = {"memory:alice": ConnectionRefusedError("nobody listens")}
        town.builders["alice"].cut()
        await asyncio.sleep(400)
    await asyncio.sleep(1)
    assert bob_of(alice).cold
    return watcher


def test_an_answer_of_the_peer_warms_it() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            watcher = await cold_town(town, alice)
            town.builders["alice"].errors.clear()
            async with town.manager("bob") as bob:
                await bob.listen("memory:bob")
                await asyncio.sleep(61)
                assert alice.is_connected("bob")
            assert [event.reason for event in watcher.of(DestWarm)] == ["it is reached"]

    virtual(scenario, max_time=100_000.0)


def test_a_wire_of_the_peer_warms_it_at_once() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            await alice.listen("memory:alice")
            watcher = await cold_town(town, alice)
            began = now()
            async with town.manager("bob") as bob:
                await bob.send("alice", b"here I am", confirm="received")
                shown = bob_of(alice)
                assert (shown.cold, shown.cause, shown.retry_in) == (False, "", None)
                await asyncio.sleep(0)
                assert len(watcher.of(DestWarm)) == 1
                assert dials(town, began) == []

    virtual(scenario, max_time=100_000.0)


@pytest.mark.parametrize("how", ["confirm", "request", "wait", "reconnect", "endpoint", "same endpoint"])
def test_who_waits_for_it_gets_a_dial_at_once(how: str) -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            watcher = await cold_town(town, alice)
            began = now()
            match how:
                case "confirm":
                    asking: Any = alice.send("bob", b"y", confirm="received", timeout=1)
                case "request":
                    asking = alice.request("bob", b"y", timeout=1)
                case "wait":
                    asking = alice.send("bob", b"y", when_down="wait", timeout=1)
                case "reconnect":
                    asking = alice.reconnect("bob")
                case _:
                    alice.add_endpoints("bob", ["memory:bob" if how == "same endpoint" else "memory:elsewhere"])
                    asking = asyncio.sleep(1)
            task = asyncio.ensure_future(asking)
            await asyncio.sleep(0.5)
            assert dials(town, began)[0] == began
            assert len(watcher.of(DestWarm)) == 1
            assert not bob_of(alice).cold
            await asyncio.wait([task])
            task.exception()

    virtual(scenario, max_time=100_000.0)


def test_a_wake_warms_it() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", sleeps=True) as alice:
            watcher = await cold_town(town, alice)
            loop: Any = asyncio.get_running_loop()
            loop.suspend(HOUR)
            began = now()
            await asyncio.sleep(2)
            assert dials(town, began)
            assert [event.reason for event in watcher.of(DestWarm)] == ["the machine woke"]

    virtual(scenario, max_time=100_000.0)


def test_a_message_that_nobody_waits_for_does_not_warm_it() -> None:
    """Or each would cost a dial: it goes with the next probe."""

    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            watcher = await cold_town(town, alice)
            began = now()
            for _ in range(100):
                await alice.send("bob", b"y")
                await asyncio.sleep(1)
            assert len(dials(town, began)) <= 4
            assert watcher.of(DestWarm) == []

    virtual(scenario, max_time=100_000.0)


def test_a_peer_that_is_busy_for_hours_is_no_pattern() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", redial={"bob": Redial(attempts=3)}) as alice:
            watcher = Watcher(alice)
            town.builders["alice"].errors = {"memory:bob": BusyError("later", retry_after=20.0)}
            await alice.send("bob", b"kept", when_down="queue")
            await asyncio.sleep(4 * HOUR)
            assert (watcher.of(DestCold), watcher.of(DestGivenUp)) == ([], [])

    virtual(scenario, max_time=100_000.0)


def test_the_budget_of_attempts_ends_it_and_who_waits_is_told() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", redial={"bob": Redial(attempts=4)}) as alice:
            watcher = Watcher(alice)
            town.builders["alice"].errors = dict(REFUSED)
            await alice.send("bob", b"never accepted", when_down="queue")
            waiting = asyncio.ensure_future(alice.send("bob", b"confirmed", confirm="received", when_down="queue"))
            await asyncio.sleep(HOUR)
            assert len(dials(town)) == 4
            with pytest.raises(SessionExpiredError, match="4 dials have failed"):
                await waiting
            (ended,) = watcher.of(SessionEnded)
            assert len(ended.lost) == 2
            (gave_up,) = watcher.of(DestGivenUp)
            assert isinstance(gave_up.error, GaveUpError)
            assert "4 dials have failed" in gave_up.cause
            shown = bob_of(alice)
            assert (shown.given_up, shown.retry_in, shown.cause) == (True, None, "connection refused")

    virtual(scenario, max_time=100_000.0)


def test_a_budget_that_is_used_up_begins_anew_for_who_asks() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", redial={"*": Redial(attempts=2)}) as alice, town.manager("bob") as bob:
            await bob.listen("memory:bob")
            watcher = Watcher(alice)
            town.builders["alice"].errors = dict(REFUSED)
            with pytest.raises(ConnectError):
                await alice.send("bob", b"one dial")
            await alice.send("bob", b"x", when_down="queue")
            await asyncio.sleep(HOUR)
            assert bob_of(alice).given_up
            town.builders["alice"].errors.clear()
            await alice.send("bob", b"y", when_down="queue", confirm="received")
            assert not bob_of(alice).given_up
            assert len(watcher.of(DestWarm)) == 1

    virtual(scenario, max_time=100_000.0)


def test_a_dest_that_is_given_up_is_up_again_when_the_peer_comes() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", redial={"bob": Redial(attempts=2)}) as alice:
            await alice.listen("memory:alice")
            watcher = Watcher(alice)
            town.builders["alice"].errors = dict(REFUSED)
            await alice.send("bob", b"x", when_down="queue")
            await asyncio.sleep(HOUR)
            async with town.manager("bob") as bob:
                await bob.send("alice", b"hello", confirm="received")
                assert not bob_of(alice).given_up
                await asyncio.sleep(0)
                assert len(watcher.of(DestWarm)) == 1
                town.builders["alice"].errors.clear()
                await bob.listen("memory:bob")
                town.builders["bob"].cut()
                await asyncio.sleep(2)
                assert alice.is_connected("bob")

    virtual(scenario, max_time=100_000.0)


def test_the_budget_of_seconds() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", redial={"bob": Redial(seconds=60.0)}) as alice:
            watcher = Watcher(alice)
            town.builders["alice"].errors = dict(REFUSED)
            began = now()
            await alice.send("bob", b"x", when_down="queue")
            await asyncio.sleep(HOUR)
            assert 50.0 <= dials(town)[-1] - began <= 60.0
            assert len(watcher.of(DestGivenUp)) == 1

    virtual(scenario, max_time=100_000.0)


def test_a_peer_that_shows_the_wrong_key_is_not_dialled_again_by_itself() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", sleeps=True) as alice:
            watcher = Watcher(alice)
            town.builders["alice"].errors = {"memory:bob": UntrustedPeerError("that is not bob's key")}
            await alice.send("bob", b"kept", when_down="queue")
            await asyncio.sleep(4 * HOUR)
            assert len(dials(town)) == 1
            (gave_up,) = watcher.of(DestGivenUp)
            assert gave_up.cause == "its certificate or key is not trusted"
            assert bob_of(alice).given_up
            town.builders["alice"].errors.clear()
            async with town.manager("bob") as bob:
                await bob.listen("memory:bob")
                await alice.reconnect("bob")
                assert not bob_of(alice).given_up
                await asyncio.sleep(0)
                assert len(watcher.of(DestWarm)) == 1

    virtual(scenario, max_time=100_000.0)


def test_keys_that_were_read_again_give_it_a_chance() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice, town.manager("bob") as bob:
            await bob.listen("memory:bob")
            town.builders["alice"].errors = {"memory:bob": UntrustedPeerError("that is not bob's key")}
            await alice.send("bob", b"kept", when_down="queue")
            await asyncio.sleep(HOUR)
            assert bob_of(alice).given_up
            town.builders["alice"].errors.clear()
            await alice.reauthorize()
            await alice.wait_connected("bob", timeout=1)

    virtual(scenario, max_time=100_000.0)


def test_a_flood_of_messages_to_who_is_given_up_is_no_flood_of_dials() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", redial={"bob": Redial(attempts=2)}) as alice:
            town.builders["alice"].errors = dict(REFUSED)
            began = now()
            for _ in range(1_000):
                await alice.send("bob", b"x", when_down="queue")
                await asyncio.sleep(0.1)
            assert len(dials(town, began)) <= 2 * (100 / 5 + 1)

    virtual(scenario, max_time=100_000.0)


def test_backoffs_of_a_dest_and_of_a_builder() -> None:
    async def scenario() -> None:
        town = Town()
        own = {"carol": Redial(base=100.0, cap=100.0)}
        manager = town.manager("alice", knows={n: [f"memory:{n}"] for n in ("bob", "carol")}, redial=own)
        town.builders["alice"].backoff = (10.0, 10.0)
        town.builders["alice"].errors = {f"memory:{name}": ConnectionRefusedError() for name in ("bob", "carol")}
        async with manager as alice:
            for name in ("bob", "carol"):
                await alice.send(name, b"x", when_down="queue")
            await asyncio.sleep(250)
            counts = [sum(address == f"memory:{name}" for address, _ in town.builders["alice"].dials) for name in own]
            assert counts[0] <= 10
            assert 25 <= sum(address == "memory:bob" for address, _ in town.builders["alice"].dials) <= 90

    virtual(scenario, max_time=100_000.0)


def test_what_was_never_reached_and_nobody_waits_for_is_forgotten() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", redial={"*": Redial(attempts=1)}) as alice:
            town.builders["alice"].errors = dict(REFUSED)
            with pytest.raises(GaveUpError, match="reconnect"):
                await alice.send("bob", b"x")
            assert alice.has_dest("bob") is None
            await alice.send("bob", b"x", when_down="queue")
            await asyncio.sleep(1)
            assert alice.has_dest("bob") in (DestState.CONNECTING, DestState.DETACHED)

    virtual(scenario, max_time=100_000.0)
