"""Stories of machines that slept."""

from __future__ import annotations

import asyncio
from random import Random

from litz.events import EndReason, SessionEnded, Woke
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions
from outproc.wake_watch import EVERY, SleepClocks
from tests.simulation.managers.stage import Actor, Stage, play

HOUR = 3_600.0


async def sleeper(stage: Stage, **options: float) -> Actor:
    """Alice, whose machine sleeps when the stage's loop is suspended; she has an endpoint of bob."""
    host = stage.network.host("alice")
    rng = Random(7)
    builder = host.builder("sim")
    manager = OutprocTransportManager(
        "alice",
        directory={"bob": ["sim://bob:1"]},
        builders=[builder],
        options=TransportOptions(**options),  # type: ignore[arg-type]  # all of these are seconds
        environment=Environment(lambda: 1, rng.randbytes, rng, SleepClocks(stage.loop.time, stage.loop.boot_time)),
    )
    await stage._stack.enter_async_context(manager)
    actor = Actor(stage, manager, [builder])
    stage._stack.push_async_callback(actor.stop_listening)
    actor.listen_in()
    return actor


def test_a_wake_that_only_resets_counters_would_leave_the_sleeper_in_its_backoff() -> None:
    """Others set the number of failures back when the machine woke, and slept their backoff to its end all the same:
    five minutes in a network that was fine. Here the wait itself ends."""

    async def story(stage: Stage) -> None:
        alice = await sleeper(stage, backoff_base=300.0, backoff_cap=300.0)
        await alice.manager.send("bob", b"hello", when_down="queue")
        await asyncio.sleep(5.0)
        assert alice.dials == 1
        bob = await stage.actor("bob")  # listens, and dials nobody
        stage.loop.suspend(8 * HOUR)
        began = stage.loop.time()
        await alice.until(lambda: alice.manager.is_connected("bob"), seconds=EVERY + 0.5)
        await bob.until(lambda: bob.got == [b"hello"])
        assert stage.loop.time() - began <= EVERY + 0.5
        assert alice.count(Woke) == 1
        assert alice.dials == 2

    play(story)


def test_a_nights_sleep_ends_the_session_and_the_peer_that_stayed_awake_says_what_it_got() -> None:
    """The lid is closed while messages are under way. Bob waits for two minutes and lets go; in the morning alice asks
    him, and knows of each message what became of it. None is sent into the new session by itself."""

    async def story(stage: Stage) -> None:
        alice, bob = await sleeper(stage, session_kept=120.0), await stage.actor("bob", session_kept=120.0)
        await alice.manager.send("bob", b"evening", confirm="processed")
        stage.network.partition(["alice"], ["bob"])
        last = await alice.manager.send("bob", b"good night")
        stage.loop.suspend(8 * HOUR)
        await bob.until(lambda: bob.count(SessionEnded) == 1, seconds=200)
        stage.network.heal()
        await alice.until(lambda: alice.count(SessionEnded) == 1, seconds=60)
        ended = next(event for event in alice.events if isinstance(event, SessionEnded))
        assert ended.reason in (EndReason.EXPIRED, EndReason.UNKNOWN_TO_PEER)
        assert [lost.receipt for lost in ended.lost] == [last]
        await alice.manager.send("bob", b"morning", confirm="received", timeout=30)
        assert bob.got == [b"evening", b"morning"]

    play(story)
