"""Imports only go down (design, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.house import floors
from tests.house.sources import Source, none_of, package_files

Rule = Callable[[Sequence[Source]], list[str]]

BAD: list[tuple[Rule, dict[str, str]]] = [
    (floors.contract_is_self_contained, {"litz/a.py": "import websockets"}),
    (floors.contract_is_self_contained, {"litz/a.py": "from outproc import frames"}),
    (floors.contract_is_self_contained, {"litz/a.py": "def f():\n    import litz.testing.sim_loop"}),
    (floors.managers_never_meet, {"inproc/a.py": "from outproc.frames import decode"}),
    (floors.managers_never_meet, {"outproc/a/b.py": "import inproc.hub"}),
    (floors.managers_never_meet, {"outproc/a.py": "from litz import testing"}),
    (floors.leaves_hang_free, {"outproc/manager.py": "from outproc.wires.websocket import builder"}),
    (floors.leaves_hang_free, {"outproc/manager.py": "from .wires import websocket"}),
    (floors.leaves_hang_free, {"outproc/wires/a.py": "import outproc.directory.static"}),
    (floors.top_is_on_top, {"outproc/manager.py": "from outproc.cli import main"}),
    (floors.top_is_on_top, {"outproc/node/app.py": "import outproc.cli.main"}),
    (floors.cores_are_pure, {"outproc/session/log.py": "import asyncio"}),
    (floors.cores_are_pure, {"outproc/pool.py": "def f():\n    from time import monotonic"}),
    (floors.cores_are_pure, {"outproc/frames/a.py": "import aiohttp"}),
    (floors.cores_are_pure, {"outproc/health.py": "from outproc.manager import Manager"}),
    (floors.cores_are_pure, {"outproc/health.py": "from litz.x import y", "litz/x.py": "import asyncio"}),
    (floors.cores_are_pure, {"outproc/handshake/a.py": "from outproc.link import Link"}),
    (floors.cores_are_pure, {"outproc/handshake/a.py": "import secrets"}),
    (floors.no_cycles, {"litz/a.py": "import litz.b", "litz/b.py": "from litz.a import f"}),
    (floors.no_cycles, {"litz/a.py": "from . import b", "litz/b.py": "from .a import f"}),
]

GOOD = {
    "litz/__init__.py": "from litz.a import f",
    "litz/a.py": "import asyncio\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from litz.b import g",
    "litz/b.py": "from litz.a import f",
    "litz/testing/kit.py": "import outproc.wires.websocket.builder\nimport hypothesis",
    "inproc/hub.py": "from litz.a import f",
    "outproc/__init__.py": "from outproc.wires.websocket.builder import Builder",
    "outproc/manager.py": "from outproc.session import log\nimport asyncio",
    "outproc/session/log.py": "from collections import deque\nfrom litz.c import E\nfrom outproc.frames.x import y",
    "litz/c.py": "from dataclasses import dataclass",
    "outproc/frames/x.py": "import struct\nfrom random import Random",
    "outproc/pool.py": "from outproc.retry.classify import classify",
    "outproc/retry/classify.py": "import ssl",
    "outproc/handshake/a.py": "from outproc.security.keys import Key\nimport pydantic",
    "outproc/security/keys.py": "import os",
    "outproc/wires/websocket/builder.py": "from outproc.wires.websocket.x import y\nimport websockets",
    "outproc/cli/main.py": "import outproc.node.app",
    "outproc/node/app.py": "from outproc.directory.static import S",
}


def sources(files: dict[str, str]) -> list[Source]:
    return [Source.parse(path, text) for path, text in files.items()]


@pytest.mark.parametrize("rule", floors.RULES, ids=lambda rule: rule.__name__)
def test_floors(rule: Rule) -> None:
    none_of(rule(package_files()))


@pytest.mark.parametrize(("rule", "files"), BAD)
def test_a_bad_import_is_seen(rule: Rule, files: dict[str, str]) -> None:
    assert len(rule(sources(files))) == 1


@pytest.mark.parametrize("rule", floors.RULES, ids=lambda rule: rule.__name__)
def test_good_imports_pass(rule: Rule) -> None:
    assert rule(sources(GOOD)) == []
