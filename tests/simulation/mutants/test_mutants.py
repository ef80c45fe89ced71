"""Every mutant of the registry is killed, by an invariant it names; the unpatched control lives. `make prove` hunts all
of them, `make test` one in twenty."""

from __future__ import annotations

import pytest

from tests.simulation.core.checker import INVARIANTS
from tests.simulation.mutants.mutant import CORE, Edit, Mutant, StaleMutantError
from tests.simulation.mutants.registry import ALL, MUTANTS, PROVED
from tests.simulation.mutants.runner import SEEDS, kill
from tests.simulation.mutants.stream_lane_mutants import STREAM_SEEDS

EASY = [name for name in MUTANTS if name not in PROVED][::20]


@pytest.mark.limit(1200)
@pytest.mark.parametrize(
    "name", [name if name in EASY else pytest.param(name, marks=pytest.mark.prove) for name in MUTANTS]
)
def test_mutant_is_killed_by_its_invariant(name: str) -> None:
    result = kill(name)
    assert result.invariant in MUTANTS[name].killers, (
        f"{name}: {result.invariant or 'survived'} after {result.seeds} seeds\n{result.detail}"
    )


@pytest.mark.limit(1200)
def test_the_unpatched_control_lives() -> None:
    result = kill("control", SEEDS // 4)
    assert result.invariant is None, result.detail


def test_every_rule_has_a_mutant_and_every_name_is_used_once() -> None:
    assert len(MUTANTS) == len(ALL)
    assert {f"R{number}" for number in range(1, 15)} <= {mutant.rule for mutant in ALL}


@pytest.mark.parametrize("name", list(MUTANTS))
def test_mutant_fits_the_source(name: str) -> None:
    mutant = MUTANTS[name]
    for module, source in mutant.patched().items():
        compile(source, module, "exec")
    if mutant.entry in (CORE, STREAM_SEEDS):
        assert set(mutant.killers) <= set(INVARIANTS)


def test_a_mutant_whose_old_text_is_gone_fails_loudly() -> None:
    mutant = Mutant("gone", "R1", (Edit("outproc.session.log", "no such line", "x"),), ("intact",))
    with pytest.raises(StaleMutantError, match="0 times"):
        mutant.patched()


def test_edits_of_one_module_apply_one_after_the_other() -> None:
    module = "outproc.session.tombstones"
    mutant = Mutant("two", "R1", (Edit(module, "self.keep = keep", "A"), Edit(module, "self.limit = limit", "B")), ())
    patched = mutant.patched()[module]
    assert "        A\n        B\n" in patched
