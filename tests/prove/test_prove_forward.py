"""One `litz forward` under a real ssh session, an scp and a psql session, while all of its wires are reset every
second: nothing notices. And how fast it is, next to two plain relays."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from outproc.cli.control_socket import inquire
from outproc.cli.runtime_dir import socket_path
from tests.integration.cli_process import Litz, short_folder
from tests.integration.test_cli_gigabyte import peak
from tests.prove.lab.openssh import SshServer
from tests.prove.lab.postgres import Postgres
from tests.prove.processes import Worker
from tests.prove.terminal_session import Terminal

PATIENCE = 300.0
MOST_MEMORY = 160 << 20
"""Bytes resident at the peak. The interpreter and its libraries take about 60 MiB; a stream has windows of 4."""
COPIED = 4 << 20
"""Bytes of the table that is copied into the database, and out of it again."""


@dataclass
class Fire:
    """What burns: `cuts` counts the times that all wires were reset."""

    cuts: int
    wires: int
    ssh: int
    pg: int
    near: Litz
    far: Litz
    done: bool = False

    async def further(self, cuts: int) -> None:
        """Until all wires have been reset so many times more."""
        wanted = self.cuts + cuts
        async with asyncio.timeout(PATIENCE):
            while self.cuts < wanted:  # noqa: ASYNC110 - of another task
                await asyncio.sleep(0.02)


@asynccontextmanager
async def under_fire(folder: Path, server: SshServer, database: Postgres) -> AsyncIterator[Fire]:
    """Both servers are exposed by bob, and forwarded by alice over wires that are all reset once a second."""
    exposed = ("--expose", f"ssh=127.0.0.1:{server.port}", "--expose", f"pg=unix:{database.socket}")
    with Litz(folder, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0", *exposed) as bob:
        listening = int((await asyncio.to_thread(bob.hear, r"is up at ws://127\.0\.0\.1:(\d+)"))[1])
        proxy = Worker("tests.prove.proxy_worker:serve", host="127.0.0.1", port=listening, seed=1)
        async with proxy:
            host, port = await proxy.control.call("where")
            forwards = ("0=bob:ssh", "0=bob:pg", "--to", f"ws://{host}:{port}", "--id", "alice")
            with Litz(folder, "forward", *forwards) as alice:
                await asyncio.to_thread(alice.hear, "is up")
                ports = [int(line.split()[0].rpartition(":")[2]) for line in alice.lines if "leads to" in line]
                fire = Fire(0, 0, ports[0], ports[1], alice, bob)

                async def burn() -> None:
                    while True:
                        await asyncio.sleep(1)
                        wires = await proxy.control.call("reset_all")
                        fire.wires += wires
                        fire.cuts += wires > 0

                burning = asyncio.create_task(burn())
                try:
                    yield fire
                finally:
                    burning.cancel()
                    await asyncio.wait([burning])


async def interactive(server: SshServer, fire: Fire) -> int:
    """A shell that is typed into for as long as anything else goes on; how many answers came, in order."""
    async with Terminal(server.client("ssh", fire.ssh, "-tt", "127.0.0.1", "exec /bin/sh")) as shell:
        shell.type("stty -echo; PS1=; tty >/dev/null && echo 'a terminal'")
        await shell.expect("a terminal\r\n")
        answers = 0
        while not fire.done:
            shell.type(f'echo "<$(({answers} * 7 + 1))>"')
            await shell.expect(f"<{answers * 7 + 1}>\r\n")
            answers += 1
            await asyncio.sleep(0.01)  # nobody types faster
        shell.type("exit 7")
        assert await shell.wait() == 7
    return answers


def make_file(path: Path, size: int) -> str:
    """Random content, a mebibyte of it again and again with a number before it; its sha256."""
    piece = Random(1).randbytes((1 << 20) - 8)
    with path.open("w+b") as file:
        for number in range(size >> 20):
            file.write(number.to_bytes(8, "big") + piece)
        file.seek(0)
        return file_digest(file, "sha256").hexdigest()


async def copy(server: SshServer, fire: Fire, folder: Path, size: int) -> None:
    """A file goes through, and is the same."""
    digest = await asyncio.to_thread(make_file, folder / "sent", size)
    command = server.client("scp", fire.ssh, "-q", str(folder / "sent"), f"127.0.0.1:{folder / 'came'}")
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    with (folder / "came").open("rb") as file:
        assert file_digest(file, "sha256").hexdigest() == digest
    (folder / "sent").unlink()
    (folder / "came").unlink()


class Psql:
    """A session of psql: `ask` gives it statements, and returns the lines it prints to them."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked = 0

    async def ask(self, text: str) -> list[str]:
        """Raises AssertionError with what psql says if it ends."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        self._asked += 1
        end = f"answered {self._asked}"
        stdin.write(f"{text}\n\\echo {end}\n".encode())
        lines: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while (line := (await stdout.readline()).decode().rstrip("\n")) != end:
                assert line or not stdout.at_eof(), f"psql ended at {text[:60]!r}: {lines}"
                lines.append(line)
            await stdin.drain()
        return lines


@asynccontextmanager
async def psql(database: Postgres, port: int) -> AsyncIterator[Psql]:
    process = await asyncio.create_subprocess_exec(
        *database.psql("127.0.0.1", port),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        limit=1 << 20,
    )
    try:
        yield Psql(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def query(database: Postgres, fire: Fire) -> None:
    """Statements, a COPY in and out, and a transaction that is open while all wires are reset."""
    rng = Random(2)
    rows = [f"{number}\t{rng.randbytes(500).hex()}" for number in range(COPIED // 1000)]
    async with psql(database, fire.pg) as session:
        backend = await session.ask("select pg_backend_pid();")
        await session.ask("create table things (number int primary key, text text);")
        await session.ask("copy things from stdin;\n" + "\n".join(rows) + "\n\\.")
        assert await session.ask("select count(*) from things;") == [str(len(rows))]
        await fire.further(1)
        out = await session.ask("copy (select * from things order by number) to stdout;")
        assert sha256("\n".join(out).encode()).digest() == sha256("\n".join(rows).encode()).digest()
        await session.ask("begin; insert into things values (-1, 'before');")
        await fire.further(3)
        await session.ask("insert into things values (-2, 'after');")
        await fire.further(1)
        await session.ask("commit;")
        assert await session.ask("select text from things where number < 0 order by number;") == ["after", "before"]
        assert await session.ask("select pg_backend_pid();") == backend, "one connection all along"


async def nothing_noticed(folder: Path, fire: Fire) -> dict[str, Any]:
    """The counters of both nodes: everything is over, and nothing was refused or broke."""
    directory = Path(short_folder(folder))
    near = (await inquire(socket_path(directory, "alice"), "status"))["forwards"]
    far = (await inquire(socket_path(directory, "bob"), "status"))["exposed"]
    assert [(row["refused"], row["last_error"]) for row in (*near, *far)] == [(0, "")] * 4
    assert [row["total"] for row in near] == [row["total"] for row in far] == [2, 1]
    assert [row["sent"] for row in near] == [row["received"] for row in far]
    assert [row["received"] for row in near] == [row["sent"] for row in far]
    return {row["service"]: row for row in near}


@pytest.mark.prove
@pytest.mark.limit(1800)
@pytest.mark.parametrize("size", [256 << 20, pytest.param(1 << 30, marks=[pytest.mark.soak, pytest.mark.limit(3600)])])
async def test_ssh_scp_and_psql_notice_nothing_of_a_fire(tmp_path: Path, size: int) -> None:
    async with SshServer() as server, Postgres() as database, under_fire(tmp_path, server, database) as fire:
        typing = asyncio.create_task(interactive(server, fire))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(server, fire, tmp_path, size))
                group.create_task(query(database, fire))
            fire.done = True
            answers = await typing
        finally:
            typing.cancel()
            await asyncio.wait([typing])
        peaks = {name: peak(each.process.pid) for name, each in (("near", fire.near), ("far", fire.far))}
        async with asyncio.timeout(PATIENCE):
            while (counts := await _open(tmp_path)) > 0:  # noqa: ASYNC110 - of other processes
                await asyncio.sleep(0.1)
        assert counts == 0
        rows = await nothing_noticed(tmp_path, fire)
        print(
            f"{fire.cuts} fires, {fire.wires} wires reset; {answers} answers; {rows['ssh']['sent'] >> 20} MiB of ssh; "
            f"peaks { ({name: size >> 20 for name, size in peaks.items()}) } MiB"
        )
        assert fire.cuts >= 5
        assert answers >= fire.cuts
        assert rows["ssh"]["sent"] > size
        assert max(peaks.values()) < MOST_MEMORY, peaks


async def _open(folder: Path) -> int:
    directory = Path(short_folder(folder))
    near = (await inquire(socket_path(directory, "alice"), "status"))["forwards"]
    far = (await inquire(socket_path(directory, "bob"), "status"))["exposed"]
    return sum(row["open"] for row in (*near, *far))


@pytest.mark.prove
@pytest.mark.limit(1200)
async def test_at_full_speed_memory_is_flat(tmp_path: Path) -> None:
    """As fast as it goes, by a client that sends at once: nobody slows it but the window."""
    size = 512 << 20
    ends = "benchmarks.relay_peer"
    async with Worker(f"{ends}:far") as sink, Worker(f"{ends}:near") as source:
        exposed = f"far:bytes=127.0.0.1:{sink.ready['port']}"
        with Litz(tmp_path, "expose", exposed, "--listen", "ws://127.0.0.1:0") as far:
            await asyncio.to_thread(far.hear, "is up at")
            with Litz(tmp_path, "forward", "0=far:bytes") as near:
                port = int((await asyncio.to_thread(near.hear, r"127\.0\.0\.1:(\d+) leads to"))[1])
                for way in "ud":
                    took = await source.control.call("move", port=port, way=way, size=size)
                    print(f"{way}: {size / took / 1e6:.0f} MB/s")
                peaks = [peak(each.process.pid) for each in (near, far)]
    assert max(peaks) < MOST_MEMORY, peaks
