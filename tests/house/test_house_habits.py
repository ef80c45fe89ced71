"""Tools and habits that have bitten others are not used here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.house import habits
from tests.house.sources import ROOT, Source, none_of, python_files, tracked_files

Rule = Callable[[Sequence[Source]], list[str]]

# Spelled in pieces, so that this file does not break the rules it tests.
IGNORE = "# type: " + "ignore"
NOQA = "# no" + "qa"

BAD: list[tuple[Rule, str, str]] = [
    (habits.forbidden_tools, "litz/a.py", "await asyncio.wait_for(x, 1)"),
    (habits.forbidden_tools, "tests/a.py", "from asyncio import Condition"),
    (habits.forbidden_tools, "inproc/a.py", "import pickle"),
    (habits.cores_are_deterministic, "outproc/session/a.py", "def f():\n    return time.time()"),
    (habits.cores_are_deterministic, "outproc/pool.py", "x = random.random()"),
    (habits.cores_are_deterministic, "litz/backoff.py", "from random import Random\nrng = Random()"),
    (habits.cores_are_deterministic, "outproc/handshake/a.py", "nonce = os.urandom(16)"),
    (habits.no_decision_iterates_a_set, "outproc/pool.py", "for x in {1, 2}: pass"),
    (habits.no_decision_iterates_a_set, "outproc/pool.py", "y = [x for x in set(z)]"),
    (habits.silencers_say_why, "litz/a.py", f"x = 1  {IGNORE}"),
    (habits.silencers_say_why, "litz/a.py", f"x = 1  {IGNORE}[arg-type]"),
    (habits.silencers_say_why, "litz/a.py", f"x = 1  {IGNORE}  # because of reasons"),
    (habits.silencers_say_why, "litz/a.py", f"x = 1  {NOQA}"),
    (habits.silencers_say_why, "litz/a.py", f"x = 1  {NOQA}: E501"),
    (habits.tasks_have_owners, "litz/a.py", "asyncio.create_task(f())"),
    (habits.tasks_have_owners, "litz/a.py", "asyncio.get_running_loop().create_task(f())"),
    (habits.tasks_have_owners, "litz/a.py", "ensure_future(f())"),
    (habits.no_global_state, "inproc/a.py", "HUBS = {}"),
    (habits.no_global_state, "inproc/a.py", "default: Hub = Hub()"),
    (habits.no_global_state, "inproc/a.py", "x = None\ndef f():\n    global x"),
]

GOOD = [
    ("litz/a.py", "async def f():\n    async with asyncio.timeout(1): ...\nHUBS = {}"),
    ("litz/b.py", "async def f():\n    async with asyncio.TaskGroup() as group:\n        group.create_task(g())"),
    ("litz/c.py", f"self.task = asyncio.create_task(f())\nx = 1  {IGNORE}[misc]  # the stub of x lacks y"),
    ("litz/d.py", f"x = 1  {NOQA}: BLE001 - whatever it was, the peer gets its wire back"),
    ("outproc/session/a.py", "def f(now, rng):\n    return now + rng.random()\nfor x in sorted(set(y)): ..."),
    ("inproc/a.py", "LIMIT: Final = 5\n__all__ = ['x']\nlog = logging.getLogger(__name__)\nKINDS = frozenset({1})"),
    ("tests/a.py", "now = time.time()"),
]

MACHINE_TEXTS = [
    "cd /wo" + "rk/main",
    "see /ro" + "ot/.config",
    "open('/ho" + "me/ann/x')",
    "https://py" + "pi.org/simple",
    "--index" + "-url x",
]


@pytest.mark.parametrize("rule", habits.RULES, ids=lambda rule: rule.__name__)
def test_habits(rule: Rule) -> None:
    none_of(rule(python_files()))


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_a_bad_habit_is_seen(rule: Rule, path: str, text: str) -> None:
    assert len(rule([Source.parse(path, text)])) == 1


@pytest.mark.parametrize("rule", habits.RULES, ids=lambda rule: rule.__name__)
def test_good_habits_pass(rule: Rule) -> None:
    assert rule([Source.parse(path, text) for path, text in GOOD]) == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    complaints = []
    for path in tracked_files():
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue  # not a text
        complaints += habits.no_machine_in_text(str(path), text)
    none_of(complaints)


@pytest.mark.parametrize("text", MACHINE_TEXTS)
def test_a_machine_in_a_text_is_seen(text: str) -> None:
    assert len(habits.no_machine_in_text("a.md", text)) == 1


def test_ordinary_text_names_no_machine() -> None:
    inside = "files/{}/x in the network/{}/y".format("work", "root")  # no text of ours has them in one piece
    assert habits.no_machine_in_text("a.md", f"unix:/run/litz.sock, /tmp/x, and {inside}") == []
