"""The promise of `tests/conftest.py`, seen to be kept: each kind of left-over fails the test that left it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import asyncio, gc, socket, subprocess, sys, threading, time
import pytest
import tests.leaks
tests.leaks.THREAD_GRACE = 0.1
kept = []
"""

LEFT_OVERS = {
    "task": (
        "async def test_it() -> None:\n    kept.append(asyncio.create_task(asyncio.sleep(99), name='forgotten'))\n",
        "1 task(s) left behind",
    ),
    "server": (
        "async def test_it() -> None:\n"
        "    kept.append(await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0))\n",
        "open socket",
    ),
    "socket in a cycle": (
        "def test_it() -> None:\n    a = [socket.socket()]\n    a.append(a)\n",
        "ResourceWarning: unclosed",
    ),
    "socket": ("def test_it() -> None:\n    kept.append(socket.socket())\n", "open socket"),
    "thread": (
        "def test_it() -> None:\n"
        "    kept.append(threading.Thread(target=threading.Event().wait, daemon=True, name='loose'))\n"
        "    kept[0].start()\n",
        "living thread: loose",
    ),
    "child": (
        "def test_it() -> None:\n"
        "    waits = [sys.executable, '-c', 'input()']  # until this process has ended\n"
        "    kept.append(subprocess.Popen(waits, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))\n",
        "child process",
    ),
    "lost error": (
        "async def test_it() -> None:\n"
        "    async def fail() -> None:\n        raise ValueError('nobody reads this')\n"
        "    task = asyncio.create_task(fail())\n"
        "    await asyncio.sleep(0)\n    await asyncio.sleep(0)\n    del task\n",
        "nobody reads this",
    ),
    "error in a callback": (
        "async def test_it() -> None:\n"
        "    asyncio.get_running_loop().call_soon(lambda: 1 // 0)\n    await asyncio.sleep(0)\n",
        "ZeroDivisionError",
    ),
    "warning": ("def test_it() -> None:\n    import warnings\n    warnings.warn('old', DeprecationWarning)\n", "old"),
    "hang in a wait": (
        "@pytest.mark.limit(0.5)\nasync def test_it() -> None:\n    await asyncio.Event().wait()\n",
        "not done after 0.5 s\nthread MainThread:",
    ),
    "hang on uvloop": (
        "@pytest.mark.limit(0.5)\n@pytest.mark.uvloop\nasync def test_it() -> None:\n"
        "    await asyncio.Event().wait()\n",
        "not done after 0.5 s\nthread MainThread:",
    ),
    "limit within the report": (
        "@pytest.mark.limit(0.5)\ndef test_it() -> None:\n"
        "    __tracebackhide__ = lambda info: time.sleep(1)\n    raise LookupError('the error itself')\n",
        "the error itself",
    ),
    "busy loop": ("@pytest.mark.limit(0.5)\ndef test_it() -> None:\n    while True:\n        pass\n", "hung: "),
}

CLEAN = """
@pytest.mark.both_loops
async def test_clean() -> None:
    loop = asyncio.get_running_loop()
    served = asyncio.Event()

    async def serve(reader, writer):
        await reader.read()
        writer.close()
        await writer.wait_closed()
        served.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.close()
        await writer.wait_closed()
        await served.wait()
    assert await loop.run_in_executor(None, lambda: 1) == 1
    task = asyncio.create_task(asyncio.sleep(99))
    await asyncio.sleep(0)
    task.cancel()

@pytest.mark.uvloop
async def test_on_uvloop() -> None:
    assert "uvloop" in type(asyncio.get_running_loop()).__module__

async def test_on_asyncio() -> None:
    assert "uvloop" not in type(asyncio.get_running_loop()).__module__
    assert not asyncio.get_running_loop().get_debug()
"""


def run_pytest(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `source` as a test file under our own conftest and configuration."""
    (folder / "test_sample.py").write_text(PRELUDE + source)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    command += ["-p", "tests.conftest", "-p", "no:cacheprovider", *options, str(folder / "test_sample.py")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("kind", LEFT_OVERS)
def test_each_left_over_fails_the_test_that_left_it(kind: str, tmp_path: Path) -> None:
    source, complaint = LEFT_OVERS[kind]
    result = run_pytest(tmp_path, source)
    assert result.returncode == 1, result.stdout + result.stderr
    assert complaint in result.stdout
    assert "::test_it" in result.stdout


def test_a_tidy_test_passes_on_both_loops(tmp_path: Path) -> None:
    result = run_pytest(tmp_path, CLEAN, "-v")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "4 passed" in result.stdout


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 failed"), ("", "1 skipped")])
def test_not_run_is_a_failure_in_ci_and_a_skip_elsewhere(
    ci: str, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    source = "from tests.conftest import not_run\ndef test_it() -> None:\n    not_run('no server here')\n"
    result = run_pytest(tmp_path, source, "-rs")
    assert outcome in result.stdout
    assert "not run: no server here" in result.stdout
