"""The control socket answers this user's questions, and bad ones do it no harm. Also of `outproc.cli.runtime_dir`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from outproc.cli.control_socket import ControlSocket, ask, running_nodes
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
    async with ControlSocket("bob", {"status": dict}):
        reader, writer = await asyncio.open_unix_connection(str(running_nodes()[0]))
        writer.write(line + b'{"ask": "status"}\n')
        assert json.loads(await reader.readline())["ok"] is False
        assert json.loads(await reader.readline()) == {"ok": True, "result": {}}
        writer.close()
        await writer.wait_closed()


async def test_an_endless_question_is_cut_off() -> None:
    async with ControlSocket("bob", {"status": dict}):
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
