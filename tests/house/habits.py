"""Habits that have bitten others, and are not allowed here. Each rule returns its complaints as lines."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator, Sequence

from tests.house.floors import MACHINES, PURE
from tests.house.sources import Source, below

_FORBIDDEN = {
    "asyncio.wait_for": "swallows a cancel on 3.11; use asyncio.timeout",
    "asyncio.Condition": "loses a wake-up on cancel on 3.11; use an Event and level-triggered state",
    "asyncio.get_event_loop": "makes or finds a loop by accident; use get_running_loop",
    "pickle": "runs what a peer sends",
    "cloudpickle": "runs what a peer sends",
    "dill": "runs what a peer sends",
    "marshal": "is not safe for bytes from a peer",
    "shelve": "is pickle in a file",
}
_IMPURE_CALLS = ("time.", "random.", "Random", "secrets.", "uuid.", "os.urandom", "datetime.now", "datetime.utcnow")


def forbidden_tools(sources: Sequence[Source]) -> list[str]:
    """No tool that is known to lose a cancel or to run a peer's bytes, called or imported."""
    return [
        f"{source.path}:{line}: {name} {why}"
        for source in sources
        for name, line in _names_used(source)
        for bad, why in _FORBIDDEN.items()
        if below(name, bad)
    ]


def _names_used(source: Source) -> Iterator[tuple[str, int]]:
    for found in source.imports():
        yield found.name, found.line
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno


def cores_are_deterministic(sources: Sequence[Source]) -> list[str]:
    """A pure core is told the time and is given its randomness."""
    return [
        f"{source.path}:{node.lineno}: {name}() in a pure core; have it passed in"
        for source in sources
        if below(source.module, *PURE, *MACHINES)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func)).startswith(_IMPURE_CALLS)
    ]


def no_decision_iterates_a_set(sources: Sequence[Source]) -> list[str]:
    """In a pure core nothing iterates what is plainly a set: its order differs from process to process."""
    return [
        f"{source.path}:{node.iter.lineno}: iterates a set; sort it or use a dict"
        for source in sources
        if below(source.module, *PURE, *MACHINES)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.For | ast.comprehension)
        and (
            isinstance(node.iter, ast.Set | ast.SetComp)
            or (isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) in ("set", "frozenset"))
        )
    ]


def silencers_say_why(sources: Sequence[Source]) -> list[str]:
    """`type: ignore` and `noqa` name their code, and a reason follows."""
    complaints = []
    for source in sources:
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type != tokenize.COMMENT or not re.search(r"#\s*(type:\s*ignore|noqa)", token.string):
                continue
            rest = re.sub(r"#\s*(type:\s*ignore\[[a-z, -]+\]|noqa: ?[A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)*)", "", token.string)
            if re.search(r"#\s*(type:\s*ignore|noqa)", rest) or len(re.findall(r"\w", rest)) < 8:
                complaints.append(f"{source.path}:{token.start[0]}: {token.string!r} without a code or a reason")
    return complaints


def tasks_have_owners(sources: Sequence[Source]) -> list[str]:
    """The result of `create_task` and `ensure_future` is kept by somebody, or a TaskGroup owns it."""
    complaints = []
    for source in sources:
        groups = _task_groups(source)
        complaints += [
            f"{source.path}:{node.lineno}: nobody owns this task: {ast.unparse(node)}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Expr) and _starts_a_task(node.value, groups)
        ]
    return complaints


def _task_groups(source: Source) -> set[str]:
    entered = {
        ast.unparse(item.optional_vars)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if item.optional_vars is not None and "TaskGroup" in ast.unparse(item.context_expr)
    }
    return entered | {
        ast.unparse(node.targets[0])
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value).endswith("TaskGroup()")
    }


def _starts_a_task(node: ast.expr, groups: set[str]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    owner, _, verb = ast.unparse(node.func).rpartition(".")
    return verb in ("create_task", "ensure_future") and owner not in groups


_IMMUTABLE_CALLS = ("frozenset", "tuple", "MappingProxyType", "TypeVar", "ParamSpec", "NewType", "Struct", "compile")
_MUTABLE = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp


def no_global_state(sources: Sequence[Source]) -> list[str]:
    """inproc keeps nothing at module level that can change: a hub is explicit, never global."""
    complaints = []
    for source in sources:
        if not below(source.module, "inproc"):
            continue
        complaints += [
            f"{source.path}:{node.lineno}: mutable at module level: {ast.unparse(node)}"
            for node in source.tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and _mutable(node)
        ]
        complaints += [
            f"{source.path}:{node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Global)
        ]
    return complaints


def _mutable(node: ast.Assign | ast.AnnAssign) -> bool:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    if ast.unparse(target) == "__all__" or node.value is None:
        return False
    if isinstance(node.value, ast.Call):
        name = ast.unparse(node.value.func)
        return name != "logging.getLogger" and name.rpartition(".")[2] not in _IMMUTABLE_CALLS
    return isinstance(node.value, _MUTABLE)


# Spelled in pieces, so that this file does not break its own rule.
_MACHINE = [re.compile(rf"(?<![\w.])/{folder}/(?!\.\.\.)[\w.-]+") for folder in ("wo" + "rk", "ro" + "ot", "ho" + "me")]
_REGISTRY = [
    re.compile(word, re.IGNORECASE)
    for word in (r"py" r"pi\.(org|io)", r"python" r"hosted", r"index" r"-url", r"find" r"-links", r"npm" r"js\.")
]


def no_machine_in_text(name: str, text: str) -> list[str]:
    """No path of somebody's machine and no registry host in a file of the project."""
    return [
        f"{name}:{number}: {match.group()!r} belongs to a machine, not to the project"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (*_MACHINE, *_REGISTRY)
        if (match := pattern.search(line))
    ]


RULES: tuple[Callable[[Sequence[Source]], list[str]], ...] = (
    forbidden_tools,
    cores_are_deterministic,
    no_decision_iterates_a_set,
    silencers_say_why,
    tasks_have_owners,
    no_global_state,
)
