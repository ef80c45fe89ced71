"""Each fault of the nemesis does what its name says, is over after `heal_all`, and is counted only if it hit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from litz.testing import Link, Nemesis, RecordingSink, SimConnection, SimLoop, SimNetwork, WireSpec, run_simulation

KILLS = ("reset", "remote close")
SILENCES = ("half open", "one-way loss", "reset one side")
HOLDS = ("stall", "partition", "one-way partition", "freeze")


class Field:
    """Two hosts, one started connection, and a nemesis."""

    def __init__(self, loop: SimLoop, seed: int, *, reliable: bool = True) -> None:
        self.loop = loop
        self.network = SimNetwork(loop, seed=seed, link=Link(latency=0.01))
        hosts = self.network.host("a"), self.network.host("b")
        self.connection = self.network.connect(*hosts, WireSpec(ordered=reliable, reliable=reliable))
        self.sinks = RecordingSink(), RecordingSink()
        self.connection.dialler.start(self.sinks[0])
        self.connection.acceptor.start(self.sinks[1])
        self.nemesis = Nemesis(self.network, seed=seed, longest=3600.0)

    async def round_trip(self, frame: bytes) -> tuple[bool, bool]:
        """Whether a frame written now arrives back and there within a second."""
        self.connection.dialler.write([frame])
        self.connection.acceptor.write([frame])
        await asyncio.sleep(1)
        return frame in self.sinks[0].frames, frame in self.sinks[1].frames

    @property
    def told(self) -> list[bool]:
        return [sink.loss is not None for sink in self.sinks]


def run(scenario: Callable[[Field], Awaitable[None]], *, reliable: bool = True) -> None:
    async def main(loop: SimLoop, seed: int) -> None:
        field = Field(loop, seed, reliable=reliable)
        await scenario(field)
        field.nemesis.heal_all()
        for end in (field.connection.dialler, field.connection.acceptor):
            end.abort()
        await asyncio.sleep(1)

    for seed in range(5):
        run_simulation(lambda loop, seed=seed: main(loop, seed), seed=seed)  # type: ignore[misc]  # seed is bound now


@pytest.mark.parametrize("name", KILLS)
def test_it_kills_a_wire_and_both_learn_it(name: str) -> None:
    async def scenario(field: Field) -> None:
        assert field.nemesis.apply(name)
        await asyncio.sleep(1)
        assert field.told == [True, True]
        assert field.nemesis.hits[name] == 1
        assert not field.nemesis.apply(name), "there is nothing left to hit"
        assert field.nemesis.hits[name] == 1

    run(scenario)


@pytest.mark.parametrize("name", SILENCES)
def test_it_silences_a_wire_for_good_and_at_most_one_learns_it(name: str) -> None:
    async def scenario(field: Field) -> None:
        assert field.nemesis.apply(name)
        field.nemesis.heal_all()
        assert not all(await field.round_trip(b"x"))
        assert sum(field.told) == (name == "reset one side")

    run(scenario)


@pytest.mark.parametrize("name", HOLDS)
def test_it_holds_frames_until_all_is_healed(name: str) -> None:
    async def scenario(field: Field) -> None:
        assert field.nemesis.apply(name)
        assert not all(await field.round_trip(b"held"))
        field.nemesis.heal_all()
        await asyncio.sleep(1)
        assert [b"held" in sink.frames for sink in field.sinks] == [True, True]
        assert await field.round_trip(b"after") == (True, True)
        assert field.told == [False, False]

    run(scenario)


@pytest.mark.parametrize("name", ["delay", "slow link", "lossy link"])
def test_it_changes_a_way_until_all_is_healed(name: str) -> None:
    async def times(field: Field) -> list[float]:
        """How long 30 frames take to arrive, one way each; lost ones count as for ever."""
        before = [len(sink.frames) for sink in field.sinks]
        began = field.loop.time()
        for _ in range(30):
            field.connection.dialler.write([bytes(100)])
            field.connection.acceptor.write([bytes(100)])
        try:
            async with asyncio.timeout(60):
                for sink, count in zip(field.sinks, before, strict=True):
                    while len(sink.frames) != count + 30:  # noqa: ASYNC110 - counts what arrives
                        await asyncio.sleep(0.001)
        except TimeoutError:
            return [float("inf")]
        return [round(field.loop.time() - began, 2)]

    async def scenario(field: Field) -> None:
        usual = await times(field)
        assert field.nemesis.apply(name)
        changed = await times(field)
        field.nemesis.heal_all()
        await asyncio.sleep(5)
        assert changed > usual
        assert await times(field) == usual

    run(scenario, reliable=name != "lossy link")


def test_the_process_lags_and_the_machine_sleeps() -> None:
    async def scenario(field: Field) -> None:
        loop = field.loop
        before = loop.time()
        assert field.nemesis.apply("lag")
        assert loop.time() > before
        gap = loop.boot_time() - loop.time()
        assert field.nemesis.apply("suspend")
        assert loop.boot_time() - loop.time() > gap

    run(scenario)


def test_what_finds_nothing_to_hit_says_so() -> None:
    async def main(loop: SimLoop) -> None:
        nemesis = Nemesis(SimNetwork(loop, seed=1))
        for name in nemesis.FAULTS:
            if name not in ("lag", "suspend") and not name.startswith("dial: "):
                assert not nemesis.apply(name), name
        assert not nemesis.hits

    run_simulation(main, seed=1)


def test_faults_that_last_end_by_themselves() -> None:
    async def main(loop: SimLoop) -> None:
        network = SimNetwork(loop, seed=1)
        host = network.host("a")
        nemesis = Nemesis(network, seed=1, longest=3.0)
        for _ in range(5):
            assert nemesis.apply("freeze")
            assert host.frozen
            assert not nemesis.apply("freeze"), "it is frozen already"
            await asyncio.sleep(3.001)
            assert not host.frozen

    run_simulation(main, seed=1)


def test_faults_of_dials_wait_for_a_dial_or_for_healing() -> None:
    async def main(loop: SimLoop) -> None:
        network = SimNetwork(loop, seed=1)
        nemesis = Nemesis(network, seed=1)
        assert nemesis.apply("dial: refuse")
        assert len(network.dial_faults) == 1
        assert nemesis.hits["dial: refuse"] == 0, "no dial has had it"
        nemesis.heal_all()
        assert network.dial_faults == []

    run_simulation(main, seed=1)


def test_the_same_seed_chooses_the_same_faults() -> None:
    async def main(loop: SimLoop, seed: int) -> list[str | None]:
        field = Field(loop, 1)
        nemesis = Nemesis(field.network, seed=seed)
        chosen = [nemesis.apply_random({"freeze": 1.0, "lag": 1.0, "suspend": 2.0, "delay": 1.0}) for _ in range(20)]
        nemesis.heal_all()
        connection: SimConnection = field.connection
        connection.dialler.abort()
        connection.acceptor.abort()
        await asyncio.sleep(1)
        return chosen

    one, same, other = (run_simulation(lambda loop, s=s: main(loop, s), seed=1).value for s in (1, 1, 2))  # type: ignore[misc]  # s is bound now
    assert one == same != other
