"""The simulated network: each fault does what its name says, is counted, and replays from its seed.

Covers `litz.testing.nemesis`, `litz.testing.sim_builder`, `litz.testing.sim_pipe`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from litz.testing import DialFault, Link, Nemesis, SimConnection, SimLoop, SimNetwork, WireSpec, run_simulation
from litz.testing.recording import RecordingSink
from litz.wire import LossReason, Wire


class World:
    """Two hosts with one started connection."""

    def __init__(self, loop: SimLoop, seed: int = 1, **link: float) -> None:
        self.network = SimNetwork(loop, seed=seed, link=Link(**{"latency": 0.01, **link}))  # type: ignore[arg-type]  # all are floats
        self.a, self.b = self.network.host("a"), self.network.host("b")
        self.sinks = RecordingSink(), RecordingSink()
        self.connection = self.network.connect(self.a, self.b, WireSpec())
        self.connection.dialler.start(self.sinks[0])
        self.connection.acceptor.start(self.sinks[1])

    def close(self) -> None:
        for connection in list(self.network.connections):
            connection.dialler.abort()
            connection.acceptor.abort()


def simulate(scenario: Callable[[World], Awaitable[None]], seed: int = 1, **link: float) -> World:
    async def main(loop: SimLoop) -> World:
        world = World(loop, seed, **link)
        await scenario(world)
        world.close()
        return world

    return run_simulation(main, seed=seed).value


def test_a_reset_loses_a_suffix_and_both_learn_it() -> None:
    prefixes: set[int] = set()

    async def scenario(world: World) -> None:
        for number in range(20):
            world.connection.dialler.write([b"%d" % number])
        world.connection.reset()
        world.connection.dialler.write([b"never"])
        await asyncio.sleep(1)
        for sink in world.sinks:
            assert sink.loss is not None
            assert sink.loss.reason is LossReason.RESET
        got = world.sinks[1].frames
        assert got == [b"%d" % number for number in range(len(got))]
        prefixes.add(len(got))

    for seed in range(60):
        simulate(scenario, seed)
    assert {0, 20} <= prefixes
    assert len(prefixes) > 10


def test_what_is_on_its_way_can_be_replaced() -> None:
    async def scenario(world: World) -> None:
        connection = world.connection
        assert connection.in_flight("acceptor") == b""
        with pytest.raises(ValueError, match="no frame"):
            connection.replace_in_flight([], "acceptor")
        for number in range(3):
            connection.dialler.write([b"%d" % number])
        assert connection.in_flight("acceptor") == b"0"
        assert connection.in_flight("dialler") == b""
        connection.replace_in_flight([b"x", b"yy"], "acceptor")
        connection.replace_in_flight([b"z"], "acceptor")
        await asyncio.sleep(1)
        assert world.sinks[1].frames == [b"z", b"yy", b"1", b"2"]
        for _ in range(2):
            connection.dialler.write([bytes(40_000)])
        connection.replace_in_flight([], "acceptor")
        await asyncio.sleep(1)
        assert world.sinks[1].frames[4:] == [bytes(40_000)], "what never arrives takes up room on the way"

    simulate(scenario)


Command = Callable[[SimConnection], None]


@pytest.mark.parametrize(
    ("command", "there", "back", "ends"),
    [
        (lambda c: c.reset(learn="dialler"), False, False, [True, False]),
        (lambda c: c.half_open(), False, False, [False, False]),
        (lambda c: c.one_way_loss("acceptor"), False, True, [False, False]),
        (lambda c: c.one_way_loss("dialler"), True, False, [False, False]),
        (lambda c: c.stall(), False, False, [False, False]),
        (lambda c: c.stall("acceptor"), False, True, [False, False]),
        (lambda c: c.shut(), False, False, [True, True]),
        (lambda c: c.delay(0.5), True, True, [False, False]),
    ],
    ids=["reset one", "half open", "loss there", "loss back", "stall", "stall one", "shut", "delay"],
)
def test_what_a_fault_lets_through(command: Command, there: bool, back: bool, ends: list[bool]) -> None:
    async def scenario(world: World) -> None:
        command(world.connection)
        world.connection.dialler.write([b"there"])
        world.connection.acceptor.write([b"back"])
        await asyncio.sleep(10)
        assert [bool(sink.frames) for sink in world.sinks] == [back, there]
        assert [sink.loss is not None for sink in world.sinks] == ends

    simulate(scenario)


def test_a_half_open_wire_fills_up_and_can_only_be_killed() -> None:
    async def scenario(world: World) -> None:
        world.connection.half_open()
        wire = world.connection.dialler
        for _ in range(10):
            wire.write([bytes(60_000)])
        assert wire.buffered_bytes > 400_000
        assert not wire.writable
        await asyncio.sleep(600)
        assert wire.buffered_bytes > 400_000
        wire.abort()
        await asyncio.sleep(600)
        assert world.sinks[0].loss is not None
        assert world.sinks[1].loss is None
        assert world.network.connections == [world.connection]

    simulate(scenario)


def test_what_was_stalled_or_cut_off_arrives_after_healing() -> None:
    async def scenario(world: World) -> None:
        world.connection.stall()
        world.network.partition(["a"], ["b"])
        world.a.freeze()
        world.connection.dialler.write([b"patience"])
        for heal in (world.connection.resume, world.network.heal, world.a.thaw):
            await asyncio.sleep(5)
            assert world.sinks[1].frames == []
            heal()
        await asyncio.sleep(1)
        assert world.sinks[1].frames == [b"patience"]

    simulate(scenario)


def test_a_one_way_partition_cuts_one_way() -> None:
    async def scenario(world: World) -> None:
        world.network.partition(["a"], ["b"], one_way=True)
        world.connection.dialler.write([b"there"])
        world.connection.acceptor.write([b"back"])
        await asyncio.sleep(5)
        assert (world.sinks[0].frames, world.sinks[1].frames) == ([b"back"], [])

    simulate(scenario)


def test_delay_reorders_two_wires_against_each_other() -> None:
    async def scenario(world: World) -> None:
        other, sink = world.network.connect(world.a, world.b, WireSpec()), RecordingSink()
        other.acceptor.start(sink)
        world.connection.delay(0.5)
        world.connection.dialler.write([b"first"])
        other.dialler.write([b"second"])
        await sink.until(lambda: bool(sink.frames), "the second frame")
        assert world.sinks[1].frames == []
        await asyncio.sleep(1)
        assert world.sinks[1].frames == [b"first"]

    simulate(scenario)


def test_bandwidth_takes_its_time() -> None:
    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(20):
            world.connection.dialler.write([bytes(10_000)])
        assert world.connection.dialler.buffered_bytes == 190_000
        await world.sinks[1].until(lambda: len(world.sinks[1].frames) == 20, "all frames")
        assert 2.0 <= loop.time() - began < 2.1
        assert world.connection.dialler.buffered_bytes == 0

    simulate(scenario, bandwidth=100_000)


def test_a_kind_may_have_less_room_in_the_network_and_spikes() -> None:
    async def scenario(world: World) -> None:
        spec = WireSpec(kind="other", buffer=1_000, spikes=0.5)
        other = world.network.connect(world.a, world.b, spec)
        sink = RecordingSink()
        other.acceptor.start(sink)
        for wire in (other.dialler, world.connection.dialler):
            wire.write([bytes(900)])
            wire.write([bytes(900)])
        assert (other.dialler.buffered_bytes, world.connection.dialler.buffered_bytes) == (900, 0)
        for _ in range(20):
            other.dialler.write([b"x"])
        await asyncio.sleep(10)
        assert sink.frames[2:] == [b"x"] * 20
        assert 0 < world.network.hits["latency spike"] < 22

    simulate(scenario)


def test_a_changed_buffer_shows() -> None:
    async def scenario(world: World) -> None:
        buffer = bytearray(b"before")
        world.connection.dialler.write([bytes(1000)])
        world.connection.dialler.write([buffer])
        buffer[:] = b"after!"
        await asyncio.sleep(1)
        assert world.sinks[1].frames[1] == b"after!"

    simulate(scenario, bandwidth=100_000)


@pytest.mark.parametrize("tell", [True, False])
def test_a_crash_kills_wires_and_listeners_and_a_restart_is_another_host(tell: bool) -> None:
    async def scenario(world: World) -> None:
        old, accepted = world.b.builder(), list[Wire]()
        await old.listen(old.endpoint("b"), accepted.append)
        world.b.crash(tell_peers=tell)
        world.connection.dialler.write([b"anyone?"])
        await asyncio.sleep(5)
        assert (world.sinks[0].loss is not None) is tell
        assert world.sinks[1].frames == []
        dialler = world.a.builder()
        with pytest.raises(ConnectionRefusedError):
            await dialler.build("b", dialler.endpoint("b"))
        with pytest.raises(OSError, match="down"):
            await old.build("a", old.endpoint("a"))
        again = world.network.host("b")
        assert again is not world.b
        new = again.builder()
        listener = await new.listen(new.endpoint("b"), accepted.append)
        await dialler.build("b", listener.endpoints[0])
        assert len(accepted) == 1
        with pytest.raises(OSError, match="in use"):
            await new.listen(new.endpoint("b"), accepted.append)
        await listener.aclose()

    simulate(scenario)


def test_dial_faults() -> None:
    async def scenario(world: World) -> None:
        loop = asyncio.get_running_loop()
        dialler, acceptor, accepted = world.a.builder(), world.b.builder(), list[tuple[float, Wire]]()
        listener = await acceptor.listen(acceptor.endpoint("b", 0), lambda wire: accepted.append((loop.time(), wire)))
        endpoint = listener.endpoints[0]

        async def dial(mode: str, limit: float = 10.0) -> float:
            world.network.dial_faults.append(DialFault(mode, delay=3.0))
            began = loop.time()
            async with asyncio.timeout(limit):
                await dialler.build("b", endpoint)
            return loop.time() - began

        with pytest.raises(ConnectionRefusedError):
            await dial("refuse")
        with pytest.raises(TimeoutError):
            await dial("hang")
        with pytest.raises(ConnectionResetError):
            await dial("orphan")
        assert len(accepted) == 1
        assert 3 < await dial("late") < 3.1
        assert 3 < await dial("slow") < 3.1
        assert accepted[2][0] < loop.time() - 2.9
        world.network.partition(["a"], ["b"])
        with pytest.raises(TimeoutError):
            await dial("none")
        world.network.heal()
        # Cancelled when the far end has accepted: nothing is left, and the far end learns it.
        with pytest.raises(TimeoutError):
            await dial("slow", limit=1.0)
        sink = RecordingSink()
        accepted[-1][1].start(sink)
        await sink.until(lambda: sink.loss is not None, "the end of the cancelled dial")
        assert dialler.dials == world.network.dials["a", endpoint.address] == 7
        hits = world.network.hits
        assert [hits[f"dial: {mode}"] for mode in ("refuse", "hang", "orphan", "late", "slow")] == [1, 1, 1, 1, 2]

    simulate(scenario)


async def chaos(loop: SimLoop, seed: int) -> Counter[str]:
    """A sender redials and counts from 0 on each wire, while the nemesis is at work."""
    network = SimNetwork(loop, seed=seed, link=Link(latency=0.01, jitter=0.02, bandwidth=1e6))
    dialler = network.host("a").builder(max_frame=[64, 1200, 65536])
    acceptor = network.host("b").builder("sim")
    sinks: list[RecordingSink] = []

    def accept(wire: Wire) -> None:
        sinks.append(RecordingSink())
        wire.start(sinks[-1])

    def connect_lossy() -> SimConnection:
        spec = WireSpec(ordered=False, reliable=False)
        connection = network.connect(network.host("a"), network.host("b"), spec)
        connection.acceptor.start(RecordingSink())
        connection.dialler.start(RecordingSink())
        return connection

    listener = await acceptor.listen(acceptor.endpoint("b"), accept)

    async def send() -> None:
        while True:
            try:
                lossy = connect_lossy()
                async with asyncio.timeout(1):
                    wire = await dialler.build("b", listener.endpoints[0])
            except OSError:
                await asyncio.sleep(0.1)
                continue
            wire.start(RecordingSink())
            for number in range(40):
                wire.write([b"%04d" % number])
                lossy.dialler.write([b"lossy"])
                await asyncio.sleep(0.01)
            wire.abort()
            lossy.dialler.abort()

    task = asyncio.create_task(send())
    nemesis = Nemesis(network, seed=seed, longest=1.0)
    await nemesis.run(30, every=0.2)
    task.cancel()
    await asyncio.wait([task])
    assert network.dial_faults == []
    assert not any(host.frozen for host in network.hosts)
    assert all(link == network.default_link for link in network.links())
    for connection in list(network.connections):
        connection.dialler.abort()
        connection.acceptor.abort()
    await asyncio.sleep(0)
    assert network.connections == []
    for sink in sinks:
        assert sink.wrong == []
        assert sink.frames == [b"%04d" % number for number in range(len(sink.frames))]
    return network.hits


def test_every_fault_of_the_nemesis_hits_and_the_law_holds() -> None:
    total: Counter[str] = Counter()
    for seed in range(20):
        total += run_simulation(lambda loop, seed=seed: chaos(loop, seed), seed=seed).value  # type: ignore[misc]  # seed is bound now
    network = SimNetwork(SimLoop())
    never = [name for name in Nemesis(network).FAULTS if not total[name]]
    asyncio.set_event_loop(None)
    network.loop.close()
    assert never == []
    for effect in ("frame dropped", "frame doubled", "frame reordered", "frame lost in flight", "dial: stuck"):
        assert total[effect], f"{effect} never happened"


def test_a_scenario_adds_its_own_faults() -> None:
    async def scenario(world: World) -> None:
        nemesis = Nemesis(world.network)
        answers = [False, True]
        nemesis.add("restart", answers.pop)
        assert "restart" in nemesis.FAULTS
        assert nemesis.apply("restart")
        assert not nemesis.apply("restart")
        assert nemesis.hits["restart"] == 1
        with pytest.raises(ValueError, match="already"):
            nemesis.add("reset", answers.pop)

    simulate(scenario)


def test_chaos_replays() -> None:
    def digest(seed: int) -> str:
        return run_simulation(lambda loop: chaos(loop, seed), seed=seed).digest

    assert digest(1) == digest(1)
    assert digest(1) != digest(2)
