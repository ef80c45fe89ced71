"""The door: what is installed is pinned, and what the README promises as a command exists."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.sources import PACKAGES, ROOT, none_of

EXACT = re.compile(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)")


def pins(text: str) -> tuple[dict[str, str], list[str]]:
    """The pinned version of every name, and a complaint for each line that is no exact pin."""
    found: dict[str, str] = {}
    complaints = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = EXACT.fullmatch(line.strip())
        if match is None:
            complaints.append(f"{line!r} is not `name==version`")
        else:
            found[canonicalize_name(match[1])] = match[2]
    return found, complaints


def unpinned(wanted: Iterable[str], pinned: dict[str, str]) -> list[str]:
    """A complaint for each requirement that has no pin, or one that it does not allow; transitively."""
    complaints = []
    waiting = [(Requirement(text), "pyproject.toml") for text in wanted]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, by = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        if name not in pinned or not requirement.specifier.contains(pinned[name], prereleases=True):
            complaints.append(f"{requirement} (for {by}) has no fitting pin in constraints.txt")
        key = (name, frozenset(requirement.extras))
        if key not in seen:
            seen.add(key)
            waiting += [(needed, name) for needed in _requires(name, requirement.extras)]
    return complaints


def _requires(name: str, extras: Iterable[str]) -> list[Requirement]:
    try:
        texts = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for text in texts:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            requirement.marker = None
            found.append(requirement)
    return found


def project() -> dict[str, list[str]]:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {"": table["dependencies"], **table["optional-dependencies"]}


def test_every_dependency_is_pinned_exactly_transitive_ones_too() -> None:
    pinned, complaints = pins((ROOT / "constraints.txt").read_text())
    none_of([*complaints, *unpinned([text for texts in project().values() for text in texts], pinned)])


def test_what_is_installed_is_what_is_pinned() -> None:
    pinned, _ = pins((ROOT / "constraints.txt").read_text())
    none_of(
        [
            f"{name} {version} is pinned, {metadata.version(name)} is installed: run make"
            for name, version in pinned.items()
            if _installed(name) and metadata.version(name) != version
        ]
    )


def _installed(name: str) -> bool:
    return any(True for _ in metadata.distributions(name=name))


@pytest.mark.parametrize("line", ["rich", "rich>=14", "rich==14.*", "-e .", "rich @ file:///x", "--extra-x y"])
def test_a_line_that_is_no_pin_is_seen(line: str) -> None:
    assert len(pins(line)[1]) == 1


def test_a_missing_or_unfitting_pin_is_seen() -> None:
    assert unpinned(["pytest>=9"], {})[0].startswith("pytest>=9")
    assert any("pluggy" in complaint for complaint in unpinned(["pytest>=9"], {"pytest": "9.2.0"}))
    assert unpinned(["idna>=3"], {"idna": "2.0"}) != []
    assert unpinned(["idna>=3"], {"idna": "3.20"}) == []


@pytest.mark.parametrize("target", ["demo", "test", "prove", "soak", "bench", "lint", "clean", "help"])
def test_make_has_the_target_and_says_what_it_does(target: str) -> None:
    assert re.search(rf"^{target}:.*## \w", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_ci_runs_what_a_contributor_runs_and_then_the_proof() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line.startswith(("make", "set", "export"))]
    assert commands == ["set -euo pipefail", "export CI=true", "make test", "make prove"]


def test_readme_names_the_two_commands_on_its_first_screen() -> None:
    first_screen = (ROOT / "README.md").read_text().splitlines()[:45]
    assert any("make demo" in line for line in first_screen)
    assert any("make test" in line for line in first_screen)
    assert "```python" in first_screen


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_published(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_the_changelog_knows_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## \[({re.escape(version)}|Unreleased)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
