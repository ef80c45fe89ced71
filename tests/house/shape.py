"""Shape: sizes, names, docstrings, exported names, and tests that mirror the sources.

The naming rule of unit tests. The module `outproc.session.send_lane` is tested by a file
`test_<prefix_>send_lane.py` in `tests/unit/outproc_session/` (the package, dots written as underscores); base
names are unique in the whole tree, so the prefix is usually the last word of the package. Where one test
file covers several modules, or a module is tested elsewhere (contract, simulation, integration), that
file's docstring names the module in backticks: `outproc.session.send_lane`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence

from tests.house.sources import PACKAGES, Source, below

MAX_FILE = 400
MAX_FUNCTION = 70
SMALL = 30
"""Modules with at most so many lines of code in functions need no test file of their own."""

_CATCH_ALL = ("util", "utils", "misc", "common", "helpers")
_Named = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def files_are_short(sources: Sequence[Source]) -> list[str]:
    """At most `MAX_FILE` lines a file."""
    return [
        f"{source.path}: {lines} lines; at most {MAX_FILE}"
        for source in sources
        if (lines := len(source.text.splitlines())) > MAX_FILE
    ]


def functions_are_short(sources: Sequence[Source]) -> list[str]:
    """At most `MAX_FUNCTION` lines a function, decorators not counted."""
    return [
        f"{source.path}:{node.lineno}: {node.name} has {lines} lines; at most {MAX_FUNCTION}"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION
    ]


def names_say_the_job(sources: Sequence[Source]) -> list[str]:
    """No `utils.py` and no other name that says nothing."""
    return [
        f"{source.path}: the name does not say the one job of the file"
        for source in sources
        if source.path.stem in _CATCH_ALL
    ]


def public_things_are_documented(sources: Sequence[Source]) -> list[str]:
    """Every module that ships, and every public class and function in it, has a docstring. In litz.testing, whose
    checks are named by sentences, only what the package exports is public."""
    kit = {name for source in sources if source.module == "litz.testing" for name in exported_names(source)}
    complaints = []
    for source in sources:
        if source.tree.body and not ast.get_docstring(source.tree):
            complaints.append(f"{source.path}: the module has no docstring")
        complaints += [
            f"{source.path}:{node.lineno}: {node.name} has no docstring"
            for node in source.tree.body
            if isinstance(node, _Named)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
            and (node.name in kit or not below(source.module, "litz.testing"))
        ]
    return complaints


def exported_names_are_documented(sources: Sequence[Source]) -> list[str]:
    """litz, inproc and outproc say what they export, and each of these names is explained at its definition.

    A package without a manager yet exports nothing yet.
    """
    by_name = {source.module: source for source in sources}
    complaints = []
    for package in PACKAGES:
        if package not in by_name or f"{package}.manager" not in by_name:
            continue
        exported = exported_names(by_name[package])
        if not exported:
            complaints.append(f"{by_name[package].path}: no __all__")
        if exported != sorted(set(exported)):
            complaints.append(f"{by_name[package].path}: __all__ is not sorted, or names something twice")
        complaints += [
            f"{by_name[package].path}: exports {name}, which is not defined or not documented"
            for name in exported
            if not name.startswith("__") and not _documented(by_name[package], name, by_name)
        ]
    return complaints


def exported_names(source: Source) -> list[str]:
    """The names in `__all__`, as written."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def _documented(source: Source, name: str, by_name: dict[str, Source]) -> bool:
    # What is loaded when it is first used is imported for type checkers only.
    for_types = [
        node.body for node in source.tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    for position, node in enumerate([*source.tree.body, *(each for body in for_types for each in body)]):
        if isinstance(node, _Named) and node.name == name:
            return bool(ast.get_docstring(node))
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    origin = by_name.get(node.module or "")
                    return origin is not None and _documented(origin, alias.name, by_name)
        if isinstance(node, ast.Assign | ast.AnnAssign) and name in _targets(node):
            following = source.tree.body[position + 1 : position + 2]
            return bool(following) and isinstance(following[0], ast.Expr)
    return False


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [ast.unparse(target) for target in targets]


def tests_mirror_sources(sources: Sequence[Source]) -> list[str]:
    """Every module of some size has a test file by the naming rule above."""
    tests = [source for source in sources if source.path.parts[0] == "tests"]
    named = " ".join(ast.get_docstring(test.tree) or "" for test in tests)
    return [
        f"{source.path}: no tests/unit/{_unit_folder(source)}/test_*{source.path.stem}.py, and no test names it"
        for source in sources
        if source.path.parts[0] in PACKAGES
        and source.path.name != "__init__.py"
        and code_lines(source) > SMALL
        and f"`{source.module}`" not in named
        and not any(_mirrors(test, source) for test in tests)
    ]


def _unit_folder(source: Source) -> str:
    return source.package.replace(".", "_")


def _mirrors(test: Source, source: Source) -> bool:
    in_place = test.path.parts[:3] == ("tests", "unit", _unit_folder(source))
    return in_place and f"_{test.path.stem}".endswith(f"_{source.path.stem}")


def code_lines(source: Source) -> int:
    """Lines that do something: statements in function bodies, without docstrings, comments and blank lines.
    Declarations (dataclasses, abstract methods, tables) have nothing to test on their own."""
    lines: set[int] = set()
    for function in ast.walk(source.tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in function.body:
                for node in ast.walk(statement):
                    if isinstance(node, ast.stmt | ast.expr) and not _is_text(node):
                        lines.add(node.lineno)
    return len(lines)


def _is_text(node: ast.stmt | ast.expr) -> bool:
    value = node.value if isinstance(node, ast.Expr) else node
    return isinstance(value, ast.Constant)


def base_names_are_unique(sources: Sequence[Source]) -> list[str]:
    """Two test files of one name cannot be collected together."""
    names = Counter(source.path.name for source in sources if source.path.name.startswith("test_"))
    return [f"{name}: {count} test files have this name" for name, count in names.items() if count > 1]


RULES = (
    files_are_short,
    functions_are_short,
    names_say_the_job,
    tests_mirror_sources,
    base_names_are_unique,
)
SHIPPED_RULES = (public_things_are_documented, exported_names_are_documented)
