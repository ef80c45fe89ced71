"""The control socket answers this user's questions, and bad ones do it no harm. Also of `outproc.cli.runtime_dir`."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from litz.errors import UnknownDestError
from outproc.cli.control_socket import ControlSocket, ask, reachable_nodes, running_nodes
from outproc.cli.outcome import CommandError
from outproc.cli.runtime_dir import runtime_dir, socket_path


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITZ_RUNTIME_DIR", str(tmp_path / "run"))


async def test_it_answers_and_is_gone_afterwards() -> None:
    async with ControlSocket("bob", {"status": lambda: {"local_id": "bob"}}):
        (path,) = running_nodes()
        assert path == socket_path(runtime_dir(), "bob")
        assert await asyncio.to_thread(ask, path, "status") == {"local_id": "bob"}
        with pytest.raises(CommandError, match="ask one of: status"):
            await asyncio.to_thread(ask, path, "secrets")
        with pytest.raises(CommandError, match="choose another --id"):
            await ControlSocket("bob", {}).__aenter__()
    assert running_nodes() == []
    with pytest.raises(FileNotFoundError):
        ask(path, "status")


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b'{"ask": []}\n', b'"ask"\n', b"\xff\n", b"[" * 3000 + b"\n"])
async def test_a_bad_question_is_answered(line: bytes) -> None:
    async with ControlSocket("bob", {"status": lambda: {"local_id": "bob"}}):
        reader, writer = await asyncio.open_unix_connection(str(running_nodes()[0]))
        writer.write(line + b'{"ask": "status"}\n')
        assert json.loads(await reader.readline())["ok"] is False
        assert json.loads(await reader.readline()) == {"ok": True, "result": {"local_id": "bob"}}
        writer.close()
        await writer.wait_closed()


async def test_an_endless_question_is_cut_off() -> None:
    async with ControlSocket("bob", {"status": lambda: {"local_id": "bob"}}):
        reader, writer = await asyncio.open_unix_connection(str(running_nodes()[0]))
        writer.write(b"x" * 100_000)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def test_any_id_makes_a_short_path_inside_the_directory() -> None:
    folder = runtime_dir()
    ids = ["a", "../../x", "/etc/passwd", "\u00e9" * 120, "x" * 255, "a/b", "a_b"]
    paths = [socket_path(folder, each) for each in ids]
    assert len(set(paths)) == len(ids)
    assert all(path.parent == folder and len(path.name) < 40 for path in paths)


async def test_a_question_may_carry_texts_and_have_a_slow_or_a_bad_answer() -> None:
    async def slow(dest: str) -> str:
        await asyncio.sleep(0)
        if dest == "carol":
            raise UnknownDestError("no session with carol", dest=dest)
        return f"{dest} is there"

    async with ControlSocket("bob", {"ping": slow}):
        (path,) = reachable_nodes(None)
        assert await asyncio.to_thread(ask, path, "ping", dest="alice") == "alice is there"
        with pytest.raises(CommandError, match="no session with carol"):
            await asyncio.to_thread(ask, path, "ping", dest="carol")
        for given in ({}, {"dest": "a", "other": "b"}):
            with pytest.raises(CommandError, match="ask one of: ping"):
                await asyncio.to_thread(ask, path, "ping", **given)


def test_a_node_that_died_is_not_asked() -> None:
    with pytest.raises(CommandError, match="no node of yours runs here"):
        reachable_nodes(None)
    with pytest.raises(CommandError, match="no node 'bob' of yours"):
        reachable_nodes("bob")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path(runtime_dir(), "bob")))
    assert running_nodes()
    with pytest.raises(CommandError, match="no node 'bob' of yours"):
        reachable_nodes("bob")
