"""Two wires between two nodes, one aborted 500 times on real sockets: the other is never touched, nothing is lost, and
what was under way is late by a round trip at most.

How the delay is measured. Every message carries the time it was sent; sender and receiver share a clock. A wire is
aborted by RST at both its sockets. Detection is the moment the sender's `WireDown` event is emitted. The extra delay of
a message that was sent before and arrived after a detection is the time from detection to arrival, and of one sent
within 20 ms after a detection the time from sending to arrival, each less the median delay of undisturbed messages, and
less what the kernel says that this process waited for a processor meanwhile.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from litz.events import WireDown
from outproc import pool
from tests.integration.outproc_nodes import LOOPBACK, Manager, dest_of, dials, node, until, url_of
from tests.prove.fault_proxy import FaultProxy
from tests.prove.percentiles import median, percentile, summary
from tests.prove.processor import ProcessorWait

pytestmark = [pytest.mark.prove, pytest.mark.limit(600)]

ABORTS = 500
GAP = 0.001
SLACK = 0.05
OPTIONS = {"backoff_base": 0.01, "backoff_cap": 0.2}
_STAMP = struct.Struct("<Idd")


Moment = tuple[float, float]
"""When, and how long the process had waited for a processor by then."""


class Stream:
    """Messages from a to b, one every `GAP` seconds, each with its number and the moment it was sent."""

    def __init__(self, a: Manager, b: Manager, wait: ProcessorWait) -> None:
        self._a = a
        self._b = b
        self._wait = wait
        self.sent = 0
        self.arrivals: list[tuple[Moment, Moment]] = []
        self.detections: list[Moment] = []
        self.stopping = False

    def now(self) -> Moment:
        return time.perf_counter(), self._wait.seconds

    def stamp(self) -> bytes:
        """The next message."""
        return _STAMP.pack(self.sent, *self.now())

    async def send(self) -> None:
        while not self.stopping:
            await self._a.send("b", self.stamp())
            self.sent += 1
            await asyncio.sleep(GAP)

    async def receive(self) -> None:
        async for message in self._b.messages():
            number, *sent = _STAMP.unpack(message.data)
            assert number == message.number == len(self.arrivals), "lost, doubled or reordered"
            self.arrivals.append(((sent[0], sent[1]), self.now()))

    async def watch(self) -> None:
        async for _, event in self._a.events():
            if isinstance(event, WireDown):
                self.detections.append(self.now())

    def extra_delays(self) -> list[Moment]:
        """Of the messages that a loss concerned, and how long the process waited for a processor meanwhile. Both lists
        ascend."""
        calm = median([arrived - sent for (sent, _), (arrived, _) in self.arrivals])
        delays = []
        at = 0
        for detected in self.detections:
            while at < len(self.arrivals) and self.arrivals[at][1] < detected:
                at += 1
            for sent, arrived in self.arrivals[at:]:
                if sent[0] > detected[0] + 0.02:
                    break
                begun = max(sent, detected)
                delays.append((max(0.0, arrived[0] - begun[0] - calm), arrived[1] - begun[1]))
        return delays


def carrier(a: Manager, proxies: list[FaultProxy]) -> int:
    """Which proxy carries lane 0 of a."""
    lane = next(lane for lane in dest_of(a, "b").lanes if lane.lane == 0)
    ports = [str(proxy.port) for proxy in proxies]
    return next((index for index, port in enumerate(ports) if f":{port}" in lane.wire), 0)


async def run(
    choose: Callable[[Manager, list[FaultProxy]], int], wait: ProcessorWait
) -> tuple[Stream, list[int], list[int], float]:
    """Abort the wire that `choose` names, wait until it is back, 500 times, while messages flow."""
    async with node("b", listen=LOOPBACK, options=OPTIONS) as b:
        port = int(b.endpoints[0].rpartition(":")[2])
        async with FaultProxy("127.0.0.1", port) as first, FaultProxy("127.0.0.1", port) as second:
            proxies = [first, second]
            knows = {"b": [url_of(proxy) for proxy in proxies]}
            async with node("a", knows=knows, options=OPTIONS) as a:
                await a.get_or_create_transport("b")
                await until(lambda: len(dest_of(a, "b").wires) == 2, "two wires")
                stream = Stream(a, b, wait)
                tasks = [asyncio.create_task(work()) for work in (stream.send, stream.receive, stream.watch)]
                aborted = [0, 0]
                for _ in range(ABORTS):
                    which = choose(a, proxies)
                    aborted[which] += 1
                    proxy, seen = proxies[which], len(stream.detections)
                    await asyncio.sleep(0.01)
                    proxy.reset(proxy.links[max(proxy.links)])
                    await until(lambda: len(stream.detections) > seen, "detected")  # noqa: B023 - awaited in this round
                    await until(lambda: len(dest_of(a, "b").wires) == 2, "two wires again")
                stream.stopping = True
                await tasks[0]
                await until(lambda: len(stream.arrivals) == stream.sent, "everything arrived")
                round_trips = []
                for _ in range(100):
                    begun = time.perf_counter()
                    await a.send("b", stream.stamp(), confirm="received")
                    stream.sent += 1
                    round_trips.append(time.perf_counter() - begun)
                made = dials(a, "b")
                assert dest_of(a, "b").heals == 0, "with another wire up the dest was never down"
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                return stream, made, aborted, percentile(round_trips, 99)


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here wires break more often in a row than they are dialled at once: the pool's own tests have the rest."""
    monkeypatch.setattr(pool, "AT_ONCE", 10_000)


@pytest.fixture
def wait() -> Iterator[ProcessorWait]:
    with ProcessorWait() as opened:
        yield opened


async def test_the_other_wire_is_never_touched(wait: ProcessorWait, capsys: pytest.CaptureFixture[str]) -> None:
    stream, made, _, _ = await run(lambda a, proxies: 0, wait)
    with capsys.disabled():
        print(f"\n{stream.sent} messages over {ABORTS} aborts of one wire, each once and in order; dials {made}")
    assert made == [ABORTS + 1, 1]


async def test_what_was_under_way_is_late_by_a_round_trip(
    wait: ProcessorWait, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here the wire that carries the messages is the one that is aborted, each time."""
    stream, made, aborted, round_trip = await run(carrier, wait)
    raw = [late for late, _ in stream.extra_delays()]
    delays = [max(0.0, late - waited) for late, waited in stream.extra_delays()]
    bound = round_trip + SLACK
    with capsys.disabled():
        print(f"\n{stream.sent} messages over {ABORTS} aborts of the wire in use {aborted}; dials {made}")
        print(f"extra delay after detection: {summary(delays)}; bound {bound:.4f} s (round trip {round_trip:.4f} s)")
        print(f"with the time in which the process waited for a processor: {summary(raw)}")
    assert made == [count + 1 for count in aborted]
    assert len(delays) >= ABORTS
    assert percentile(delays, 99) <= bound
