"""`litz send` and `litz recv` in real processes, through cuts and failures: a file is verified, or nothing is left.

The parts are `outproc.cli.send`, `outproc.cli.recv`, `outproc.cli.outgoing_file`, `outproc.cli.incoming_files` and
`outproc.cli.transfer_progress`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from litz import PayloadType
from outproc import OutprocTransportManager
from outproc.cli.file_records import SERVICE, Header, Kind, Trailer, Verdict, chunk_record, record
from tests.integration.cli_process import PATIENCE, Litz, command, environment, litz
from tests.prove.fault_link import Way
from tests.prove.fault_proxy import FaultProxy

WAITING = r"litz send FILE recv --to ws://127\.0\.0\.1:(\d+)"


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


@pytest.fixture
def receiver(request: pytest.FixtureRequest, tmp_path: Path, incoming: Path) -> Iterator[Litz]:
    more = getattr(request, "param", ())
    with Litz(tmp_path, "recv", "--listen", "ws://127.0.0.1:0", "--dir", incoming, *more) as recv:
        yield recv


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@asynccontextmanager
async def cut_after_every(proxy: FaultProxy, size: int) -> AsyncIterator[None]:
    """Reset every connection once so many bytes have gone up."""

    async def cut() -> None:
        while True:
            for link in proxy.links.values():
                if link.flows[Way.UP].cut_after is None:
                    proxy.cut_after(link, Way.UP, size)
            await asyncio.sleep(0.002)

    task = asyncio.create_task(cut())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_32_mib_while_the_connection_is_cut_again_and_again(
    tmp_path: Path, incoming: Path, receiver: Litz
) -> None:
    content = Random(1).randbytes(32 << 20)
    (tmp_path / "file.bin").write_bytes(content)
    port = int((await asyncio.to_thread(receiver.hear, WAITING))[1])
    async with FaultProxy("127.0.0.1", port) as proxy, cut_after_every(proxy, 3 << 20):
        url = f"ws://127.0.0.1:{proxy.port}"
        sent = await asyncio.to_thread(litz, tmp_path, "send", "file.bin", "recv", "--to", url)
        assert sent.returncode == 0, sent.stderr
        assert sha256(content).hexdigest() in sent.stdout
        assert await asyncio.to_thread(receiver.wait) == 0
        assert proxy.counts["cut"] >= 8
    assert names_in(incoming) == ["file.bin"]
    assert (incoming / "file.bin").read_bytes() == content


def test_names_from_peers_are_tamed_and_nothing_is_overwritten(tmp_path: Path, incoming: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (incoming / "file").write_bytes(b"old")
    with Litz(tmp_path, "recv", "--count", "3", "--listen", "ws://127.0.0.1:0", "--dir", incoming) as recv:
        to = ("recv", "--to", f"ws://127.0.0.1:{recv.hear(WAITING)[1]}")
        for content in (b"", b"x" * 300_000):
            sent = litz(tmp_path, "send", "-", *to, "--name", "../file", stdin=content)
            assert (sent.returncode, sent.stderr) == (0, "")
        with (tmp_path / "file").open("rb") as file:
            redirected = Litz(tmp_path, "send", "-", *to, stdin=file.fileno())
        with redirected:
            assert redirected.wait() == 0
        assert recv.wait() == 0
    found = {path.name: path.read_bytes() for path in incoming.iterdir()}
    assert found == {"file": b"old", "file (1)": b"", "file (2)": b"x" * 300_000, "stdin": b"mine"}
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.fixture
def endless(tmp_path: Path, receiver: Litz) -> Iterator[Litz]:
    """A sender that has begun and waits for more of its standard input."""
    reading, writing = os.pipe()
    try:
        to = f"ws://127.0.0.1:{receiver.hear(WAITING)[1]}"
        with Litz(tmp_path, "send", "-", "recv", "--to", to, stdin=reading) as send:
            os.write(writing, b"x" * 1000)
            receiver.hear("sends 'stdin'")
            yield send
    finally:
        os.close(reading)
        os.close(writing)


def test_an_interrupted_sender_leaves_nothing_behind(incoming: Path, receiver: Litz, endless: Litz) -> None:
    endless.hear("stdin: .* acknowledged")
    endless.process.send_signal(signal.SIGINT)
    assert endless.wait() == 130
    assert receiver.wait() == 1
    assert "the sender gave up" in receiver.text
    assert list(incoming.iterdir()) == []
    assert "Traceback" not in endless.text + receiver.text


def test_an_interrupted_receiver_fails_the_sender_and_leaves_nothing_behind(
    incoming: Path, receiver: Litz, endless: Litz
) -> None:
    receiver.process.send_signal(signal.SIGTERM)
    assert receiver.wait() == 130
    assert list(incoming.iterdir()) == []
    assert endless.wait() == 1
    assert "recv" in endless.text
    assert "the file is not complete at recv, send it again" in endless.text
    assert "Traceback" not in endless.text + receiver.text


@pytest.mark.parametrize("receiver", [("--idle-timeout", "0.5")], indirect=True)
def test_a_silent_sender_is_given_up_after_the_idle_timeout_and_says_so(
    incoming: Path, receiver: Litz, endless: Litz
) -> None:
    assert (receiver.wait(), endless.wait()) == (1, 1)
    for end in (receiver, endless):
        assert "nothing came from its sender for 0.5 s (--idle-timeout)" in end.text
        assert "Traceback" not in end.text
    assert list(incoming.iterdir()) == []


@pytest.mark.parametrize("lie", ["hash", "size", "gap", "nonsense"])
async def test_a_lying_sender_of_messages_gets_no_file(lie: str, incoming: Path, receiver: Litz) -> None:
    port = (await asyncio.to_thread(receiver.hear, WAITING))[1]
    transfer = bytes(16)
    digest = sha256(b"other" if lie == "hash" else b"content").hexdigest()
    records = [
        [record(Kind.HEADER, transfer, Header(name="a", size=7))],
        chunk_record(transfer, 1 if lie == "gap" else 0, b"content"),
        [record(Kind.TRAILER, transfer, Trailer(size=8 if lie == "size" else 7, sha256=digest))],
    ]
    if lie == "nonsense":
        records[1:] = [[b"LZF1 what?"], [record(Kind.TRAILER, transfer)]]
    async with OutprocTransportManager("liar", directory={"recv": [f"ws://127.0.0.1:{port}"]}) as liar:
        for each in records:
            await liar.send("recv", each, payload_type=PayloadType.STREAM_RELIABLE, confirm="processed", timeout=120)
        answer = await liar.request("recv", record(Kind.VERDICT, transfer), timeout=120)
        assert not Verdict.model_validate_json(answer).ok
        assert await asyncio.to_thread(receiver.wait) == 1
    assert names_in(incoming) == []


@pytest.mark.parametrize("lie", ["hash", "size", "nonsense", "no trailer"])
async def test_a_lying_stream_makes_no_file(lie: str, incoming: Path, receiver: Litz) -> None:
    port = (await asyncio.to_thread(receiver.hear, WAITING))[1]
    digest = sha256(b"other" if lie == "hash" else b"content").hexdigest()
    trailer = Trailer(size=8 if lie == "size" else 7, sha256=digest).model_dump_json().encode()
    messages = [Header(name="a", size=7).model_dump_json().encode(), b"content", trailer]
    if lie == "nonsense":
        messages[0] = b"what?"
    if lie == "no trailer":
        messages.pop()
    async with (
        OutprocTransportManager("liar", directory={"recv": [f"ws://127.0.0.1:{port}"]}) as liar,
        liar.open_stream("recv", SERVICE) as stream,
    ):
        for each in messages:
            await stream.send(each)
        await stream.send_eof()
        assert not Verdict.model_validate_json(bytes(await stream.receive())).ok
        assert await asyncio.to_thread(receiver.wait) == 1
    assert names_in(incoming) == []


def test_a_file_goes_to_a_node_that_is_up(tmp_path: Path, incoming: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    options = ("--id", "bob", "--listen", "ws://127.0.0.1:0", "--serve", "recv", "--dir", incoming)
    with Litz(tmp_path, "up", *options) as bob:
        to = bob.hear(r"is up at (\S+)")[1]
        assert litz(tmp_path, "send", "file", "bob", "--to", to).returncode == 0
        bob.hear("'file' from send-.* is complete: 7 bytes")
        bob.process.send_signal(signal.SIGTERM)
        assert bob.wait() == 0
    assert (incoming / "file").read_bytes() == b"content"


@pytest.mark.parametrize("closed", ["0", "1", "2", "0 1 2"])
def test_descriptors_that_whoever_starts_it_has_closed(
    closed: str, tmp_path: Path, incoming: Path, receiver: Litz
) -> None:
    """The next files opened got their numbers, and libuv aborted the process."""
    port = receiver.hear(WAITING)[1]
    (tmp_path / "file").write_bytes(b"content")
    send = command("send", tmp_path / "file", "recv", "--to", f"ws://127.0.0.1:{port}")
    shell = f'exec "$@" {" ".join(f"{number}<&-" for number in closed.split())}'
    done = subprocess.run(["sh", "-c", shell, "sh", *send], check=False, env=environment(tmp_path), timeout=PATIENCE)
    assert done.returncode == 0
    assert receiver.wait() == 0
    assert (incoming / "file").read_bytes() == b"content"


@pytest.mark.parametrize(("stdin", "code"), [("</dev/null", 0), ("<&-", 2)], ids=["nothing to read", "closed"])
def test_standard_input_that_has_nothing(stdin: str, code: int, tmp_path: Path, incoming: Path, receiver: Litz) -> None:
    port = receiver.hear(WAITING)[1]
    send = command("send", "-", "recv", "--to", f"ws://127.0.0.1:{port}")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {stdin}', "sh", *send], check=False, env=environment(tmp_path), timeout=PATIENCE
    )
    assert done.returncode == code
    assert names_in(incoming) == (["stdin"] if code == 0 else [])


def test_a_node_that_takes_no_files_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with Litz(tmp_path, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0") as bob:
        sent = litz(tmp_path, "send", "file", "bob", "--to", bob.hear(r"is up at (\S+)")[1])
    assert sent.returncode == 1
    assert "run there: litz recv" in sent.stderr
