"""What a mutant is: a few lines of shipped source made wrong, and the invariant that must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

CORE = "tests.simulation.core.run:run_seed"


class StaleMutantError(AssertionError):
    """The old text of a mutant is not in the source (once): the source has moved on, the mutant must follow."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In the module `module`, `old` (which is there exactly once) becomes `new`."""

    module: str
    old: str
    new: str

    @property
    def path(self) -> Path:
        return ROOT.joinpath(*self.module.split(".")).with_suffix(".py")

    def apply(self, source: str) -> str:
        found = source.count(self.old)
        if found != 1:
            raise StaleMutantError(f"{self.module} has this {found} times instead of once:\n{self.old}")
        return source.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mutant.

    rule     the rule of the design that it breaks
    killers  the invariants that may kill it; any other that fires first fails the test
    entry    "module:function": called with a seed, it returns or raises an error that has `invariant` (a name)
    """

    name: str
    rule: str
    edits: tuple[Edit, ...]
    killers: tuple[str, ...]
    entry: str = CORE

    def patched(self) -> dict[str, str]:
        """The source of every module it touches, with the edits applied. Raises StaleMutantError."""
        sources: dict[str, str] = {}
        for edit in self.edits:
            source = sources.get(edit.module)
            sources[edit.module] = edit.apply(edit.path.read_text("utf-8") if source is None else source)
        return sources
