"""The documents of the project: what they link to, name and show. Each rule returns its complaints as lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from tests.house.sources import ROOT, tracked_files
from tests.simulation.core.checker import INVARIANTS as CORE_INVARIANTS
from tests.simulation.managers.record import INVARIANTS as MANAGER_INVARIANTS
from tests.simulation.mutants.registry import MUTANTS

_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
_PATH = re.compile(r"(?:litz|inproc|outproc|tests|examples|docs|benchmarks)/[\w./-]+")
_PROOF = re.compile(r"((?:litz|tests)/[\w./-]+\.py)?::(\w+)")
_NAMED = re.compile(r"(core|managers|mutant):([\w-]+)")
_KNOWN = {"core": CORE_INVARIANTS, "managers": MANAGER_INVARIANTS, "mutant": MUTANTS}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: `info` is what stands behind the fence, `line` where its code starts."""

    path: PurePosixPath
    line: int
    info: str
    code: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """One Markdown file: its path below the root, and its text."""

    path: PurePosixPath
    text: str

    @property
    def prose(self) -> str:
        """The text without fenced blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self) -> list[Block]:
        return [
            Block(self.path, self.text.count("\n", 0, match.start()) + 2, match[1].strip(), match[2])
            for match in _FENCE.finditer(self.text)
        ]

    def anchors(self) -> set[str]:
        """What `#...` may name: the headings, as code hosts spell them."""
        found = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in found}


@cache
def documents() -> Sequence[Document]:
    """Every Markdown file of the project."""
    paths = [path for path in tracked_files() if path.suffix == ".md"]
    return [Document(path, (ROOT / path).read_text("utf-8")) for path in paths]


def links_resolve(found: Sequence[Document]) -> list[str]:
    """A link to a file or a heading of the project leads somewhere."""
    by_path = {document.path: document for document in found}
    complaints = []
    for document in found:
        for target in _LINK.findall(document.prose):
            if re.match(r"\w+:", target):
                continue
            file, _, anchor = target.partition("#")
            path = _below_root(document.path.parent / file) if file else document.path
            if path not in by_path and not (ROOT / path).exists():
                complaints.append(f"{document.path}: {target} is not there")
            elif anchor and path in by_path and anchor not in by_path[path].anchors():
                complaints.append(f"{document.path}: {target} names no heading")
    return complaints


def _below_root(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def paths_exist(found: Sequence[Document]) -> list[str]:
    """A path of the project that is written as code is there."""
    return [
        f"{document.path}: there is no {code}"
        for document in found
        for code in _CODE.findall(document.prose)
        if _PATH.fullmatch(code) and not (ROOT / code).exists()
    ]


def make_targets_exist(found: Sequence[Document]) -> list[str]:
    """A command `make x` has its target."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return [
        f"{document.path}: the Makefile has no target {match[1]}"
        for document in found
        for code in _CODE.findall(document.prose)
        if (match := re.match(r"make ([a-z]+)\b", code)) and not re.search(rf"^{match[1]}:", makefile, re.MULTILINE)
    ]


def proofs_exist(found: Sequence[Document]) -> list[str]:
    """A test, invariant or mutant that is named as proof is there. `::name` is of the file named before it."""
    complaints = []
    for document in found:
        file = ""
        for code in _CODE.findall(document.prose):
            if match := _PROOF.fullmatch(code):
                file = match[1] or file
                if match[2] not in _functions(file):
                    complaints.append(f"{document.path}: {file or 'no file'} has no {match[2]}")
            elif (match := _NAMED.fullmatch(code)) and match[2] not in _KNOWN[match[1]]:
                complaints.append(f"{document.path}: there is no {code}")
    return complaints


@cache
def _functions(file: str) -> frozenset[str]:
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    return frozenset(re.findall(r"^\s*(?:async )?def (\w+)\(", path.read_text("utf-8"), re.MULTILINE))


def python_compiles(found: Sequence[Document]) -> list[str]:
    """A block marked `python` is Python; `await` may stand at its top unless it is a whole program."""
    complaints = []
    for block in python_blocks(found):
        flags = 0 if "runnable" in block.info else ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        try:
            compile(block.code, str(block), "exec", flags=flags, dont_inherit=True)
        except SyntaxError as error:
            complaints.append(f"{block}: {error}")
    return complaints


def python_blocks(found: Sequence[Document]) -> Iterator[Block]:
    """The blocks marked `python`; those marked `python runnable` are whole programs."""
    for document in found:
        for block in document.blocks():
            if block.info.split()[:1] == ["python"]:
                yield block


def table(document: Document, heading: str) -> dict[str, str]:
    """The table under `## heading`: the code in its first column, and its second column."""
    section = re.search(rf"^## {re.escape(heading)}\n((?:(?!## ).*\n?)*)", document.text, re.MULTILINE)
    return dict(re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", section[1] if section else "", re.MULTILINE))


RULES = (links_resolve, paths_exist, make_targets_exist, proofs_exist, python_compiles)
