"""The kinds of wire that are installed: what the entry-point group `litz.wires` names."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from litz.wire import WireBuilder

ENTRY_POINTS: Final = "litz.wires"


@dataclass(frozen=True, slots=True)
class BrokenWire:
    """An entry point that gives no wire builder, and why. It concerns nobody who does not need its kind of wire."""

    name: str
    distribution: str
    error: Exception

    def __str__(self) -> str:
        cause = f"{type(self.error).__name__}: {self.error}"
        cure = f"repair, upgrade or uninstall {self.distribution}"
        return f"the wire {self.name!r} of {self.distribution} cannot be used ({cause}); {cure}"


@dataclass(frozen=True, slots=True)
class Installed:
    """One builder of every kind of wire that is installed, and what is installed and broken."""

    builders: tuple[WireBuilder, ...]
    broken: tuple[BrokenWire, ...] = ()


def installed_wires() -> Installed:
    """Look what is installed. Never raises: a package of somebody else's that is broken costs its kind of wire only."""
    builders: list[WireBuilder] = []
    broken: list[BrokenWire] = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            builders.append(_builder(entry))
        except Exception as error:
            distribution = entry.dist.name if entry.dist is not None else "an unknown distribution"
            broken.append(BrokenWire(entry.name, distribution, error))
    return Installed(tuple(builders), tuple(broken))


def _builder(entry: EntryPoint) -> WireBuilder:
    builder = entry.load()()
    if not isinstance(builder, WireBuilder):
        raise TypeError(f"{entry.value} makes a {type(builder).__name__}, which is no litz.WireBuilder")
    if isinstance(builder.schemes, str) or not all(isinstance(scheme, str) for scheme in builder.schemes):
        raise TypeError(f"{entry.value} has schemes {builder.schemes!r}; it should have a tuple of strings")
    if not isinstance(builder.kind, str):
        raise TypeError(f"{entry.value} has the kind {builder.kind!r}; it should have a string")
    return builder
