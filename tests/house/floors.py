"""Import floors (design, section 3): imports only go down. Each rule returns its complaints as lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.house.sources import Import, Source, below

PURE = (
    "litz.admission",
    "litz.backoff",
    "litz.dead_letters",
    "litz.episode_messages",
    "litz.episodes",
    "litz.low_water",
    "litz.order",
    "litz.ordering",
    "litz.retry_budget",
    "litz.supervision",
    "outproc.frames",
    "outproc.session",
    "outproc.dial_line",
    "outproc.failure_words",
    "outproc.pool",
    "outproc.reachability",
    "outproc.round_verdict",
    "outproc.slots",
    "outproc.streams.moves",
    "outproc.streams.rests",
    "outproc.streams.table",
    "outproc.streams.words",
    "outproc.health",
    "outproc.wire_choice",
    "outproc.waiting_room",
    "outproc.hastening",
    "outproc.network_news",
    "outproc.retry.backoff",
    "outproc.retry.classify",
    "outproc.retry.wake",
)
"""Values in, values out: no loop, no clock, no randomness, no system."""

MACHINES = ("outproc.handshake",)
"""Pure too, but they check proofs: they may know `outproc.security`, whose keys come from files and chance."""

LEAVES = tuple(f"outproc.{leaf}" for leaf in ("wires", "signaling", "directory", "outbox", "adapters"))
FRIENDS = {"outproc.wires": ("outproc.signaling",)}
"""Leaves that may know another leaf: WebRTC wires are made by signaling."""
TOP = ("outproc.cli", "outproc.node")
_MAY_IMPORT_LEAVES = (*TOP, "litz.testing")

_LOOPS = frozenset({"asyncio", "concurrent", "multiprocessing", "queue", "select", "selectors", "threading"})
_SYSTEM = frozenset({"os", "signal", "socket", "ssl", "subprocess", "tempfile"})
_CLOCKS_AND_CHANCE = frozenset({"random", "secrets", "time", "uuid"})
_ALLOWED = ("random", "random.Random")
"""As the type of what is passed in; `habits.cores_are_deterministic` sees to it that nothing is drawn from it."""
_ERRORS_ONLY = {"outproc.retry.classify": ("ssl", "socket"), "outproc.failure_words": ("ssl", "socket")}
"""Modules whose job is to tell apart the errors of these."""
_PURE_THIRD_PARTY = ("pydantic", "pydantic_core")


def _complain(source: Source, found: Import, why: str) -> str:
    return f"{source.path}:{found.line}: imports {found.name}, but {why}"


def contract_is_self_contained(sources: Sequence[Source]) -> list[str]:
    """litz imports only the standard library and itself; only litz.testing may import more."""
    return [
        _complain(source, found, "litz stands on the standard library and itself only")
        for source in sources
        if below(source.module, "litz") and not below(source.module, "litz.testing")
        for found in source.imports()
        if below(found.name, "litz.testing")
        or (not below(found.name, "litz") and found.name.split(".")[0] not in sys.stdlib_module_names)
    ]


def managers_never_meet(sources: Sequence[Source]) -> list[str]:
    """inproc and outproc do not import each other, nor the test kit above them."""
    rules = {"inproc": ("outproc", "litz.testing"), "outproc": ("inproc", "litz.testing")}
    return [
        _complain(source, found, f"{package} may not know {' or '.join(forbidden)}")
        for package, forbidden in rules.items()
        for source in sources
        if below(source.module, package)
        for found in source.imports()
        if below(found.name, *forbidden)
    ]


def leaves_hang_free(sources: Sequence[Source]) -> list[str]:
    """A leaf is imported by its own family and by the composing top, by nobody else."""
    complaints = []
    for source in sources:
        if source.module == "outproc" or below(source.module, *_MAY_IMPORT_LEAVES):
            continue
        own = next((leaf for leaf in LEAVES if below(source.module, leaf)), "")
        complaints += [
            _complain(source, found, "leaves are imported by the composing top only")
            for found in source.imports()
            if any(below(found.name, leaf) for leaf in LEAVES if leaf not in (own, *FRIENDS.get(own, ())))
        ]
    return complaints


def top_is_on_top(sources: Sequence[Source]) -> list[str]:
    """cli and node are imported by nobody below; cli may use node."""
    return [
        _complain(source, found, "cli and node are the top floor")
        for source in sources
        if not below(source.module, "outproc.cli", "litz.testing")
        for found in source.imports()
        if any(below(found.name, top) and not below(source.module, top) for top in TOP)
    ]


def cores_are_pure(sources: Sequence[Source]) -> list[str]:
    """A pure core reaches no loop, clock, system or driver, not even through what it imports."""
    by_name = {source.module: source for source in sources}
    complaints = []
    for source in sources:
        machine = below(source.module, *MACHINES)
        if not machine and not below(source.module, *PURE):
            continue
        for target, route in _reach(source, by_name, past=("outproc.security",) if machine else ()).items():
            why = _machine_impurity(target) if machine else _impurity(target)
            if why:
                complaints.append(f"{source.path}: {' -> '.join([*route, target])}: {why}")
    return complaints


def _impurity(name: str) -> str:
    head = name.partition(".")[0]
    if head in _LOOPS | _SYSTEM | _CLOCKS_AND_CHANCE:
        return f"a pure core has no {head}"
    if head == "outproc" and name != "outproc" and not below(name, *PURE):
        return "a pure core knows no driver"
    if head not in sys.stdlib_module_names and head not in ("litz", "outproc", *_PURE_THIRD_PARTY):
        return f"a pure core does not need {head}"
    return ""


def _machine_impurity(name: str) -> str:
    if below(name, *MACHINES, "outproc.security", "cryptography"):
        return ""
    return _impurity(name)


def _reach(start: Source, by_name: dict[str, Source], past: tuple[str, ...]) -> dict[str, list[str]]:
    """Everything `start` imports, directly or through our own modules, with the way there. What the modules
    of `past` import is not looked at."""
    reached: dict[str, list[str]] = {}
    waiting = [(start, [start.module])]
    while waiting:
        source, route = waiting.pop()
        for found in source.imports():
            if (found.later and source is not start) or found.name in _ALLOWED:
                continue
            if below(found.name, *_ERRORS_ONLY.get(source.module, ())):
                continue
            target = _module_of(found.name, by_name)
            if target in reached or target == start.module:
                continue
            reached[target] = route
            if target in by_name and not below(target, *past):
                waiting.append((by_name[target], [*route, target]))
    return reached


def no_cycles(sources: Sequence[Source]) -> list[str]:
    """No module imports itself by a detour while it is being imported."""
    by_name = {source.module: source for source in sources}
    graph = {
        name: sorted({_module_of(found.name, by_name) for found in source.imports() if not found.later} & set(by_name))
        for name, source in by_name.items()
    }
    done: set[str] = set()
    cycles: list[str] = []

    def visit(name: str, route: list[str]) -> None:
        if name in route:
            cycles.append("import cycle: " + " -> ".join([*route[route.index(name) :], name]))
        elif name not in done:
            for target in graph[name]:
                if target != name:
                    visit(target, [*route, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return cycles


def _module_of(name: str, by_name: dict[str, Source]) -> str:
    """The module that `from a import b` (here `a.b`) loads: `a.b` where that is a module, else `a`."""
    if name in by_name:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent in by_name else name


RULES = (contract_is_self_contained, managers_never_meet, leaves_hang_free, top_is_on_top, cores_are_pure, no_cycles)
