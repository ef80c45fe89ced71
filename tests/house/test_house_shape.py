"""Files and functions are short, named for their job, documented, and tested where one looks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.house import shape
from tests.house.sources import Source, none_of, package_files, python_files

Rule = Callable[[Sequence[Source]], list[str]]

LONG_BODY = "\n".join(f"    x{number} = {number}" for number in range(70))
FORTY_LINES = '"""Doc."""\ndef _f(y):\n' + "\n".join(f"    x{number} = y" for number in range(40))

BAD: list[tuple[Rule, dict[str, str]]] = [
    (shape.files_are_short, {"litz/a.py": "x = 1\n" * 401}),
    (shape.functions_are_short, {"litz/a.py": f"class A:\n  async def f(self):\n{LONG_BODY}"}),
    (shape.names_say_the_job, {"tests/unit/utils.py": ""}),
    (shape.public_things_are_documented, {"litz/a.py": "x = 1"}),
    (shape.public_things_are_documented, {"inproc/a.py": '"""Doc."""\nclass Hub:\n    pass'}),
    (shape.public_things_are_documented, {"outproc/a.py": '"""Doc."""\nasync def f(): ...'}),
    (
        shape.public_things_are_documented,
        {
            "litz/testing/__init__.py": "'''Doc.'''\n__all__ = ['check']",
            "litz/testing/a.py": "'''Doc.'''\ndef check(): ...\ndef this_is_a_sentence(): ...",
        },
    ),
    (shape.exported_names_are_documented, {"inproc/__init__.py": "x = 1", "inproc/manager.py": ""}),
    (shape.exported_names_are_documented, {"litz/__init__.py": "__all__ = ['f']", "litz/manager.py": ""}),
    (
        shape.exported_names_are_documented,
        {
            "litz/__init__.py": "from litz.a import f\n__all__ = ['f']",
            "litz/a.py": "def f(): ...",
            "litz/manager.py": "",
        },
    ),
    (
        shape.exported_names_are_documented,
        {"litz/__init__.py": "A = 1\nB = 2\n'doc'\n__all__ = ['A', 'B']", "litz/manager.py": ""},
    ),
    (shape.tests_mirror_sources, {"litz/a.py": FORTY_LINES, "tests/unit/inproc/test_a.py": ""}),
    (shape.tests_mirror_sources, {"litz/lane.py": FORTY_LINES, "tests/unit/litz/test_litz_plane.py": ""}),
    (shape.base_names_are_unique, {"tests/unit/a/test_x.py": "", "tests/unit/b/test_x.py": ""}),
]

GOOD = {
    "litz/__init__.py": "'''Doc.'''\nfrom litz.a import B, f\nX = int\n'''Doc.'''\n__all__ = ['B', 'X', 'f']",
    "litz/a.py": f"{FORTY_LINES}\ndef f():\n    'doc'\n\nB = int\n'''doc'''\n\ndef _g(): ...",
    "litz/manager.py": '"""Doc."""',
    "outproc/session/send_lane.py": FORTY_LINES,
    "outproc/session/small.py": '"""Doc.\n' + "\n" * 100 + '"""\nx = 1',
    "outproc/session/table.py": '"""Doc."""\n' + "\n".join(f"x{number} = {number}" for number in range(100)),
    "outproc/wires/memory.py": FORTY_LINES,
    "tests/unit/litz/test_litz_a.py": "",
    "tests/unit/outproc_session/test_session_send_lane.py": "",
    "tests/contract/test_wires.py": '"""Of `outproc.wires.memory` and others."""',
}


def sources(files: dict[str, str]) -> list[Source]:
    return [Source.parse(path, text) for path, text in files.items()]


@pytest.mark.parametrize("rule", shape.RULES, ids=lambda rule: rule.__name__)
def test_shape(rule: Rule) -> None:
    none_of(rule(python_files()))


@pytest.mark.parametrize("rule", shape.SHIPPED_RULES, ids=lambda rule: rule.__name__)
def test_shape_of_what_ships(rule: Rule) -> None:
    none_of(rule(package_files()))


@pytest.mark.parametrize(("rule", "files"), BAD)
def test_a_bad_shape_is_seen(rule: Rule, files: dict[str, str]) -> None:
    assert len(rule(sources(files))) == 1


@pytest.mark.parametrize("rule", (*shape.RULES, *shape.SHIPPED_RULES), ids=lambda rule: rule.__name__)
def test_good_shapes_pass(rule: Rule) -> None:
    shipped = {path: text for path, text in GOOD.items() if not path.startswith("tests/")}
    assert rule(sources(shipped if rule in shape.SHIPPED_RULES else GOOD)) == []
