"""`litz outbox`: what it shows of a file, and what becomes of dead letters, with and without the process that owns it.

Covers `outproc.cli.outbox` and `outproc.outbox.sqlite_upkeep`.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path

import pytest

from outproc.cli.main import main
from outproc.outbox import OutboxOptions
from outproc.outbox.sqlite_outbox import SqliteOutboxStore
from outproc.outbox.store import Group, NewRow, Row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An outbox in which one message waits and three are dead."""
    made, now = tmp_path / "box", time.time()
    with closing(SqliteOutboxStore(made, OutboxOptions(synchronous="off"))) as store:
        store.open(b"1" * 16, now)
        rows = [NewRow(number, "bob" if number < 4 else "carol", "", now - 7200, b"data") for number in range(1, 5)]
        store.write(Group(rows=rows), now)
        store.write(Group(dead=[(1, "attempts"), (2, "too large"), (4, "expired")]), now)
    return made


def listed(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, object]]]:
    capsys.readouterr()
    assert main(["outbox", "list", str(path), "--json"]) == 0
    found: dict[str, list[dict[str, object]]] = json.loads(capsys.readouterr().out)
    return found


def test_it_lists_what_waits_and_what_is_dead(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outbox", "list", str(path)]) == 0
    text = capsys.readouterr().out
    assert "1 messages wait, 3 dead letters" in text
    assert "bob: 1 messages, 4 B, oldest 2 h ago" in text
    assert "dead 2 to bob: too large" in text
    assert main(["outbox", "list", str(path), "--dest", "carol"]) == 0
    assert "0 messages wait, 1 dead letters" in capsys.readouterr().out


def test_purged_letters_are_gone(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outbox", "purge", str(path), "2"]) == 0
    assert [letter["sequence"] for letter in listed(path, capsys)["dead"]] == [1, 4]
    assert main(["outbox", "purge", str(path), "--all", "--dest", "bob"]) == 0
    assert [letter["sequence"] for letter in listed(path, capsys)["dead"]] == [4]
    assert main(["outbox", "purge", str(path), "4", "99"]) == 1
    assert "1 of the numbers" in capsys.readouterr().out


def test_letters_that_are_wanted_again_become_messages_with_the_next_commit(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(SqliteOutboxStore(path, OutboxOptions(synchronous="off"))) as owner:
        owner.open(b"2" * 16, 0.0)
        assert main(["outbox", "retry", str(path), "1", "2"]) == 0
        assert [letter["retry"] for letter in listed(path, capsys)["dead"]] == [True, True, False]
        assert owner.look().wanted
        owner.write(Group(retry_from=10), 0.0)
        assert owner.read("bob", 3, 9, 99)[0] == [Row(10, "", b"data", 0, True), Row(11, "", b"data", 0, True)]
    assert [letter["sequence"] for letter in listed(path, capsys)["dead"]] == [4]


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["1", "--dest", "bob"], ["--dest", "bob"]])
@pytest.mark.parametrize("verb", ["retry", "purge"])
def test_what_is_not_clear_is_not_done(
    path: Path, verb: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["outbox", verb, str(path), *arguments]) == 2
    assert "--all" in capsys.readouterr().err
    assert len(listed(path, capsys)["dead"]) == 3


@pytest.mark.parametrize("verb", ["list", "retry", "purge"])
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["1"] if verb != "list" else []
    assert main(["outbox", verb, str(tmp_path / "gone"), *more]) == 1
    assert "no such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_named_and_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "notes"
    other.write_bytes(b"my notes" * 500)
    assert main(["outbox", "list", str(other)]) == 1
    assert "no SQLite file" in capsys.readouterr().err
    assert other.read_bytes() == b"my notes" * 500
