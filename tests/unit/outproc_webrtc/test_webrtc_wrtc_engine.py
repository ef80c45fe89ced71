"""The engine on wrtc: what it says of itself, how it ends, and what a peer cannot do to it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from outproc.wires.webrtc import wrtc_engine
from outproc.wires.webrtc.engine import BULK, DRAIN_AT, LABELS, URGENT, IceServer, Settings
from outproc.wires.webrtc.sdp_filter import read_description
from outproc.wires.webrtc.wrtc_engine import WrtcConnection, WrtcEngine
from tests.unit.outproc_webrtc.webrtc_kit import HERE, LOOPBACK

OFFERS = Settings(offerer=True, addresses=LOOPBACK)
ANSWERS = replace(OFFERS, offerer=False)


@dataclass
class Told:
    """Everything that a connection told."""

    opened: list[int] = field(default_factory=list)
    messages: list[tuple[int, bytes | str]] = field(default_factory=list)
    drains: list[int] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    ends: list[tuple[str, str]] = field(default_factory=list)

    def channel_open(self, channel: int) -> None:
        self.opened.append(channel)

    def message(self, channel: int, data: bytes | str) -> None:
        self.messages.append((channel, data))

    def drained(self, channel: int) -> None:
        self.drains.append(channel)

    def servers_failed(self, urls: tuple[str, ...]) -> None:
        self.failed += urls

    def closed(self, reason: Literal["remote", "lost", "protocol"], detail: str) -> None:
        self.ends.append((reason, detail))


async def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    """Look again each time the loop has done something, until it is true."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def engine() -> AsyncIterator[WrtcEngine]:
    made = WrtcEngine()
    yield made
    await made.aclose()


@dataclass
class End:
    connection: WrtcConnection
    told: Told


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[End, End]]:
    """Two connected ends, both channels open."""
    async with engine() as made:
        one, two = Told(), Told()
        ours, theirs = End(made.connect(OFFERS, one), one), End(made.connect(ANSWERS, two), two)
        try:
            answer = await theirs.connection.answer(read_description(await ours.connection.offer(), HERE))
            await ours.connection.answered(read_description(answer, HERE))
            await until(lambda: len(one.opened) == len(two.opened) == len(LABELS))
            yield ours, theirs
        finally:
            await ours.connection.aclose()
            await theirs.connection.aclose()


async def test_messages_arrive_whole_and_in_order_on_their_channels() -> None:
    async with pair() as (one, two):
        for number in range(100):
            one.connection.send(BULK, b"bulk %d" % number)
            one.connection.send(URGENT, b"urgent %d" % number)
        await until(lambda: len(two.told.messages) == 200)
        for channel, word in ((BULK, b"bulk"), (URGENT, b"urgent")):
            came = [data for at, data in two.told.messages if at == channel]
            assert came == [b"%b %d" % (word, number) for number in range(100)]
        assert two.connection.received_bytes == sum(len(data) for _, data in two.told.messages)


async def test_it_takes_the_largest_message_both_sides_state() -> None:
    async with pair() as (one, two):
        assert one.connection.max_message == 256 * 1024
        one.connection.send(BULK, bytes(one.connection.max_message))
        await until(lambda: two.told.messages)
        assert len(two.told.messages[0][1]) == 256 * 1024


async def test_it_says_where_it_runs_also_after_the_end() -> None:
    async with pair() as (one, _):
        # The library tells which pair ICE has chosen a little after the channels are open.
        await until(lambda: one.connection.path.local)
        path = one.connection.path
        assert path.route == "direct"
        assert path.remote
        one.connection.abort()
        assert one.connection.path == path


async def test_what_waits_is_counted_and_told_when_it_has_gone() -> None:
    async with pair() as (one, _):
        for _ in range(8):
            one.connection.send(BULK, bytes(128 * 1024))
        assert one.connection.buffered(BULK) > DRAIN_AT
        assert one.connection.buffered(URGENT) == 0
        assert not one.told.drains, "nothing is told from inside a method"
        await until(lambda: one.told.drains == [BULK])
        assert one.connection.buffered(BULK) <= DRAIN_AT


async def test_a_fast_connection_is_given_bytes_ahead_and_they_are_bounded() -> None:
    async with pair() as (one, two):
        assert one.connection._ahead == [0, 0]
        sent = 0
        for round_ in range(10):
            # However fast the library takes it: here it has more than it was given ahead, and that it falls is told.
            while one.connection.buffered(BULK) <= DRAIN_AT:
                one.connection.send(BULK, bytes(60 * 1024))
                sent += 1
            await until(lambda: len(one.told.drains) > round_)  # noqa: B023 - awaited in this round
            assert 0 < one.connection._ahead[BULK] <= wrtc_engine.MOST_AHEAD
        await until(lambda: len(two.told.messages) == sent)
        assert one.connection._ahead[URGENT] == 0


async def test_the_peer_learns_of_an_end_at_once_and_nothing_is_told_here() -> None:
    async with pair() as (one, two):
        one.connection.abort()
        await until(lambda: two.told.ends)
        assert [reason for reason, _ in two.told.ends] == ["remote"]
        two.connection.send(BULK, b"to nobody")
        one.connection.send(BULK, b"from nobody")
        assert one.connection.buffered(BULK) == 0
        await one.connection.aclose()
        await one.connection.aclose()
        await asyncio.sleep(0.05)
        assert not one.told.ends
        assert len(two.told.ends) == 1


async def test_text_is_handed_over_as_text() -> None:
    async with pair() as (one, two):
        one.connection._channels[BULK].send("word")
        await until(lambda: two.told.messages)
        assert two.told.messages == [(BULK, "word")]


async def test_a_peer_that_opens_a_channel_loses_the_connection() -> None:
    async with pair() as (one, two):
        one.connection._native.create_data_channel("mine")
        await until(lambda: two.told.ends)
        assert two.told.ends[0][0] == "protocol"


async def test_a_flood_costs_the_peer_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrtc_engine, "MAX_WAITING", 500)
    async with pair() as (one, two):
        for _ in range(4000):
            one.connection.send(BULK, b"more")
        # The loop is held, and the library's threads go on: the fault that the limit is for.
        deadline = time.monotonic() + 120
        while len(two.connection._backlog._mailbox) < 2000 and time.monotonic() < deadline:
            time.sleep(0.01)  # noqa: ASYNC251 - the loop must not run
        await until(lambda: two.told.ends)
        assert two.told.ends[0] == ("protocol", two.told.ends[0][1])
        assert "keeps to no credit" in two.told.ends[0][1]
        came = len(two.told.messages)
        assert came <= 2 * wrtc_engine.LOOK_EVERY
        await asyncio.sleep(0.05)
        assert len(two.told.messages) == came, "nothing is handed over after the verdict"


async def test_what_came_does_not_wait_for_a_busy_loop_to_rest() -> None:
    """The library alone would hand it over after a hundred turns in which something else was to be done."""
    async with pair() as (one, two):
        busy = asyncio.create_task(asyncio.Event().wait())

        async def work() -> None:
            while not busy.done():  # noqa: ASYNC110 - the busyness itself
                await asyncio.sleep(0)

        working = asyncio.create_task(work())
        await asyncio.sleep(0.05)
        one.connection.send(BULK, b"ping")
        mailbox = two.connection._backlog._mailbox
        deadline = time.monotonic() + 120
        for _ in range(8):  # that it was sent, that it came, and what else the library may have to tell
            while not mailbox and time.monotonic() < deadline:
                time.sleep(0.001)  # noqa: ASYNC251 - the loop must not run
            for _ in range(5):
                await asyncio.sleep(0)
            if two.told.messages:
                break
        assert two.told.messages == [(BULK, b"ping")]
        busy.cancel()
        await asyncio.wait([busy, working])


async def test_many_at_once_are_made_a_few_at_a_time() -> None:
    async with engine() as made:
        connections = [made.connect(OFFERS, Told()) for _ in range(3 * wrtc_engine.MAKING_AT_ONCE)]
        offering = [asyncio.create_task(each.offer()) for each in connections]
        most = 0
        while not all(task.done() for task in offering):
            most = max(most, sum(1 for each in connections if each._made is not None and not each._gathered.is_set()))
            await asyncio.sleep(0)
        assert 0 < most <= 2 * wrtc_engine.MAKING_AT_ONCE
        assert all("a=fingerprint" in task.result() for task in offering)
        for each in connections:
            await each.aclose()


async def test_a_burst_within_the_limit_costs_nothing() -> None:
    async with pair() as (one, two):
        for _ in range(4000):
            one.connection.send(BULK, b"more")
        await until(lambda: len(two.told.messages) == 4000)
        assert not two.told.ends


async def test_a_peer_with_another_certificate_never_opens() -> None:
    async with engine() as made:
        one, two = Told(), Told()
        ours, theirs = made.connect(OFFERS, one), made.connect(ANSWERS, two)
        offer = read_description(await ours.offer(), HERE)
        answer = read_description(await theirs.answer(offer), HERE)
        await ours.answered(replace(answer, fingerprint=bytes(32)))
        await until(lambda: one.ends)
        assert one.ends[0][0] == "lost"
        assert not one.opened
        await ours.aclose()
        await theirs.aclose()


async def test_descriptions_it_does_not_take_are_value_errors() -> None:
    async with engine() as made:
        ours, theirs = made.connect(OFFERS, Told()), made.connect(ANSWERS, Told())
        offer = read_description(await ours.offer(), HERE)
        with pytest.raises(ValueError, match="chooses a DTLS role"):
            await ours.answered(offer)
        with pytest.raises(ValueError, match="does not take the description"):
            await theirs.answer(replace(offer, ufrag="no spaces here"))
        await ours.aclose()
        await theirs.aclose()


async def test_settings_that_it_does_not_take_are_no_fault_of_the_peer() -> None:
    async with engine() as made:
        connection = made.connect(replace(OFFERS, ice_servers=(IceServer("turn:example.org"),)), Told())
        with pytest.raises(ConnectionError, match="settings"):
            await connection.offer()
        await connection.aclose()


async def test_a_server_that_does_not_answer_is_named_and_not_waited_for() -> None:
    async with engine() as made:
        told = Told()
        silent = IceServer("stun:127.0.0.1:9")
        connection = made.connect(replace(OFFERS, ice_servers=(silent,), gather_timeout=2.0), told)
        offer = read_description(await connection.offer(), HERE)
        assert offer.candidates
        await until(lambda: told.failed)
        assert told.failed == [silent.url]
        await connection.aclose()


async def test_ports_are_of_the_range() -> None:
    async with engine() as made:
        connection = made.connect(replace(OFFERS, ports=(42000, 42100)), Told())
        offer = read_description(await connection.offer(), HERE)
        assert offer.candidates
        assert all(42000 <= each.port <= 42100 for each in offer.candidates)
        await connection.aclose()


async def test_relay_only_names_no_address_of_this_host() -> None:
    async with engine() as made:
        settings = replace(OFFERS, relay_only=True, addresses=None, gather_timeout=0.2)
        connection = made.connect(settings, Told())
        assert read_description(await connection.offer(), HERE).candidates == ()
        await connection.aclose()


@pytest.mark.parametrize("turns", range(0, 12, 2))
async def test_it_can_be_cancelled_at_any_step(turns: int) -> None:
    """What is left behind is seen by the teardown of every test."""
    async with engine() as made:
        ours, theirs = made.connect(OFFERS, Told()), made.connect(ANSWERS, Told())

        async def make() -> None:
            answer = await theirs.answer(read_description(await ours.offer(), HERE))
            await ours.answered(read_description(answer, HERE))

        making = asyncio.create_task(make())
        for _ in range(turns):
            await asyncio.sleep(0)
        making.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await making
        await ours.aclose()
        await theirs.aclose()


async def test_a_closed_connection_says_so_to_who_still_makes_it() -> None:
    async with engine() as made:
        connection = made.connect(OFFERS, Told())
        making = asyncio.create_task(connection.offer())
        await asyncio.sleep(0)
        connection.abort()
        with pytest.raises(ConnectionAbortedError, match="closed while it was made"):
            await making
        await connection.aclose()


EXIT = """
import asyncio, os, sys
from outproc.wires.webrtc.engine import BULK, LABELS
from outproc.wires.webrtc.sdp_filter import read_description
from outproc.wires.webrtc.wrtc_engine import WrtcEngine
from tests.unit.outproc_webrtc.test_webrtc_wrtc_engine import ANSWERS, HERE, OFFERS, Told, until

async def main():
    engine, one, two = WrtcEngine(), Told(), Told()
    ours, theirs = engine.connect(OFFERS, one), engine.connect(ANSWERS, two)
    answer = await theirs.answer(read_description(await ours.offer(), HERE))
    await ours.answered(read_description(answer, HERE))
    await until(lambda: len(one.opened) == len(two.opened) == len(LABELS))
    ours.send(BULK, bytes(200_000))
    if "fork" in sys.argv:
        child = os.fork()
        if child == 0:
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        ours.send(BULK, b"after the fork")
        await until(lambda: len(two.messages) == 2)
    globals()["kept"] = ours, theirs
    print("open", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["exit", "fork"])
def test_a_process_may_end_or_fork_with_open_connections(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", EXIT, how], capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "open\n", "")


def living() -> int:
    native: Any = sys.modules["wrtc"]
    return int(native._alive()["RTCPeerConnection"])


async def test_closed_connections_are_freed() -> None:
    before = living()
    for _ in range(5):
        async with pair():
            pass
    await until(lambda: gc.collect() >= 0 and living() <= before)
