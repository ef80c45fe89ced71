"""The Python sources the house rules look at, parsed once, with what each imports."""

from __future__ import annotations

import ast
import gc
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("litz", "inproc", "outproc")
_NOT_OURS = {".venv", ".git", "build", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis"}


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, by its full name. `later`: only while type checking, or inside a function."""

    name: str
    line: int
    later: bool


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: its path below the root, its dotted name, its text and tree."""

    path: PurePosixPath
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> Source:
        return cls(PurePosixPath(path), text, ast.parse(text, path))

    @property
    def module(self) -> str:
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def package(self) -> str:
        """What a relative import starts from."""
        return self.module if self.path.name == "__init__.py" else self.module.rpartition(".")[0]

    def imports(self) -> Iterator[Import]:
        """Every import, `from x import y` as `x.y` (whether y is a module is not known here)."""
        later = _later_nodes(self.tree)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, node.lineno, node in later)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    above = self.package.split(".")[: len(self.package.split(".")) - node.level + 1]
                    base = ".".join([*above, base] if base else above)
                for alias in node.names:
                    yield Import(f"{base}.{alias.name}", node.lineno, node in later)


def below(name: str, *packages: str) -> bool:
    """Whether the module `name` is one of `packages` or inside one of them."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _later_nodes(tree: ast.Module) -> set[ast.AST]:
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        if typing_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.update(ast.walk(node))
    return found


@cache
def tracked_files() -> Sequence[PurePosixPath]:
    """Every file of the project: what git has or would add, or all there is where git cannot tell."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
        names = [name for name in listing.split("\0") if name and (ROOT / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        names = [path.as_posix() for path in found if not _NOT_OURS.intersection(path.parts)]
    return [PurePosixPath(name) for name in sorted(set(names))]


@cache
def python_files() -> Sequence[Source]:
    """Every Python file of the project."""
    paths = [path for path in tracked_files() if path.suffix == ".py"]
    found = [Source.parse(str(path), (ROOT / path).read_text()) for path in paths]
    gc.collect()
    gc.freeze()  # a million nodes, kept for good: the collection after every test need not visit them
    return found


@cache
def package_files() -> Sequence[Source]:
    """The Python files that ship: those of litz, inproc and outproc."""
    return [source for source in python_files() if source.path.parts[0] in PACKAGES]


def none_of(complaints: Sequence[str]) -> None:
    """Fail with every complaint on a line of its own."""
    if complaints:
        pytest.fail(f"{len(complaints)} complaint(s):\n" + "\n".join(complaints), pytrace=False)
