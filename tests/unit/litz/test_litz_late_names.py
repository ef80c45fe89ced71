"""`litz.late_names`: names of a package that are loaded when they are first used."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = """
from litz.late_names import late_names
__getattr__ = late_names(__name__, {"Thing": f"{__name__}.things", "Broken": f"{__name__}.broken"})
"""
SLOW = """
import threading
loads = globals().get("loads", 0) + 1
threading.Event().wait(0.05)
class Thing: pass
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"late_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "things.py").write_text(SLOW)
    (folder / "broken.py").write_text("import a_package_that_is_not_installed")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_name_is_loaded_when_it_is_used_and_then_is_an_attribute_like_others(package: str) -> None:
    module = import_module(package)
    assert f"{package}.things" not in sys.modules and "Thing" not in vars(module)
    thing = module.Thing
    assert thing is sys.modules[f"{package}.things"].Thing
    assert vars(module)["Thing"] is thing, "it is looked up once"


def test_threads_that_ask_at_once_get_the_same_and_it_is_loaded_once(package: str) -> None:
    module = import_module(package)
    found: list[object] = []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        found.append(module.Thing)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1
    assert sys.modules[f"{package}.things"].loads == 1


def test_other_names_are_no_attributes_and_a_broken_module_says_why(package: str) -> None:
    module = import_module(package)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Nothing'"):
        _ = module.Nothing
    assert not hasattr(module, "Nothing")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_installed"):
        _ = module.Broken
