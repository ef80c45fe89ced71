"""Durable messages against a simple reference, with either side killed, cut, saved and restored between any two steps.

The reference is the list of what was accepted: all of it is handled, in order, twice only where a restart explains it
and then marked; and every effect that is committed with the inbox exactly once. Covers `outproc.outbox.outgoing`,
`outproc.outbox.incoming`, `outproc.outbox.sqlite_outbox` and `outproc.outbox.sqlite_inbox` together.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.outproc_outbox.durable_world import DurableWorld

USUAL = ["send", "send", "exchange", "exchange", "pump", "to_inbox", "to_outbox", "commit", "delete"]
HANDLING = ["handle", "apply", "apply_ahead"]
FAULTS = ["begin", "cut", "kill_sender", "kill_receiver"]
RESTORES = ["save", "restore"]


def run(folder: Path, steps: list[str]) -> None:
    with closing(DurableWorld(folder)) as world:
        for step in steps:
            getattr(world, step)()
            if step in FAULTS or step == "restore":
                world.begin()
        world.settle()
        judge(world)
        if "apply_ahead" not in steps and not world.restored:
            firsts = list(dict.fromkeys(each.payload for each in world.handled))
            assert firsts == world.accepted, "out of order"


def judge(world: DurableWorld) -> None:
    handled = [each.payload for each in world.handled]
    assert set(world.accepted) <= set(handled), "lost"
    seen: dict[int, int] = {}
    for each in world.handled:
        first_life = seen.setdefault(each.payload, each.life)
        if each.life != first_life:
            assert each.redelivered, f"{each.payload} was handled before, and is not marked"
    if world.restored:
        return
    effects = world.effects()
    twice = [payload for payload, count in Counter(effects).items() if count > 1]
    assert not twice, "effects that happened twice"
    assert world.effects_by_work <= set(effects) | world.plain
    firsts = list(dict.fromkeys(effects))
    assert set(effects) <= set(world.accepted)
    assert sorted(set(world.accepted) - world.plain) == sorted(set(firsts) - world.plain), "an effect is missing"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from([*USUAL, *HANDLING, *FAULTS]), max_size=80))
def test_whatever_dies_and_when_nothing_is_lost_and_effects_happen_once(steps: list[str]) -> None:
    with TemporaryDirectory() as folder:
        run(Path(folder), ["begin", *steps])


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from([*USUAL, "handle", "apply", *FAULTS, *RESTORES]), max_size=80))
def test_a_sender_restored_from_a_backup_loses_nothing_that_it_accepts_afterwards(steps: list[str]) -> None:
    with TemporaryDirectory() as folder:
        run(Path(folder), ["begin", *steps])


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("faults", [FAULTS, ["kill_receiver"], [*FAULTS, *RESTORES], RESTORES], ids=str)
def test_long_walks(seed: int, faults: list[str], tmp_path: Path) -> None:
    rng = Random(seed)
    handling = HANDLING if seed % 2 else ["handle", "apply"]
    steps = rng.choices([*USUAL * 2, *handling, *faults], k=200)
    run(tmp_path, ["begin", *steps])


LIFE = ["send", "send", "begin", "to_inbox", "to_outbox", "pump", "to_inbox", "handle", "commit", "to_outbox", "delete"]


@pytest.mark.parametrize("victim", ["kill_sender", "kill_receiver", "cut"])
@pytest.mark.parametrize("at", range(len(LIFE) + 1))
def test_one_death_at_each_step(at: int, victim: str, tmp_path: Path) -> None:
    run(tmp_path, [*LIFE[:at], victim, *LIFE[at:]])


def test_without_faults_messages_are_handled_once_in_order_and_unmarked(tmp_path: Path) -> None:
    with closing(DurableWorld(tmp_path)) as world:
        world.send(40)
        world.settle()
        assert [(each.payload, each.redelivered) for each in world.handled] == [(each, False) for each in range(40)]


def test_new_messages_after_a_restored_backup_are_not_taken_for_old_ones(tmp_path: Path) -> None:
    with closing(DurableWorld(tmp_path)) as world:
        world.send(3)
        world.save()
        world.send(10)
        world.settle()
        world.restore()
        world.send(12)
        world.settle()
        assert world.sender.renewed
        assert set(range(25)) == {each.payload for each in world.handled}
