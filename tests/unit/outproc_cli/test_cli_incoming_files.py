"""What becomes of the records of files, as the node that receives them counts it."""

from __future__ import annotations

import asyncio
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from litz.errors import EndOfStreamError
from litz.message import Message
from litz.payload import PayloadType
from outproc import OutprocTransportManager
from outproc.cli.file_records import SERVICE, Header, Kind, Reason, Trailer, Verdict, chunk_record, record
from outproc.cli.incoming_file import IncomingFile
from outproc.cli.incoming_files import Finished, IncomingFiles
from outproc.cli.transfer_progress import Standing
from outproc.inbound import SessionSource
from outproc.session.identity import Half, Incarnation
from outproc.session.limits import SessionLimits
from outproc.session.session import Session
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder
from tests.unit.outproc.town import Town, virtual

TRANSFER = b"t" * 16


async def unanswered(source: SessionSource, kind: int, request_id: int, data: object) -> None:
    raise AssertionError("nobody asked")


def message(data: bytes, number: int) -> Message:
    session = Session(Half(Incarnation(1, 1), 1), SessionLimits())
    source = SessionSource("alice", PayloadType.STREAM_RELIABLE, session, unanswered, verified=False)
    return Message((data, number, source, None))


@pytest.mark.parametrize(
    "rest",
    [
        b"".join(chunk_record(TRANSFER, 5, b"more")),
        record(Kind.TRAILER, TRANSFER),
        record(Kind.ABORT, TRANSFER, Reason(reason="it failed there")),
    ],
    ids=["chunk", "trailer", "abort"],
)
async def test_the_rest_of_a_transfer_that_began_in_an_earlier_life_is_no_file_of_this_one(
    rest: bytes, tmp_path: Path
) -> None:
    """`litz recv`, started again after a crash, waits for the file that is sent again; it took the rest for that file
    and ended with a failure."""
    finished: list[Finished] = []
    said: list[str] = []
    async with OutprocTransportManager("bob") as bob:
        files = IncomingFiles(bob, tmp_path, said.append, finished.append)
        assert await files.handle(message(rest, 0)) is None
        assert (finished, said) == ([], [])
        await files.handle(message(record(Kind.HEADER, b"n" * 16, Header(name="new")), 1))
        await files.handle(message(record(Kind.ABORT, b"n" * 16, Reason(reason="enough")), 2))
        assert [end.verdict.error for end in finished] == ["the sender gave up: enough"]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class SlowDisk:
    """Holds up a method of `IncomingFile` in its thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.reached, self.goes_on = threading.Event(), threading.Event()
        real = getattr(IncomingFile, name)

        def slow(file: IncomingFile, *arguments: Any) -> Any:
            self.reached.set()
            assert self.goes_on.wait(60)
            return real(file, *arguments)

        monkeypatch.setattr(IncomingFile, name, slow)


async def test_who_leaves_while_its_file_is_made_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch, "open")
    finished: list[Finished] = []
    async with OutprocTransportManager("bob") as bob:
        files = IncomingFiles(bob, tmp_path, lambda _line: None, finished.append)
        taking = asyncio.create_task(files.handle(message(record(Kind.HEADER, TRANSFER, Header(name="new")), 0)))
        await asyncio.to_thread(disk.reached.wait, 60)
        files.close()
        disk.goes_on.set()
        await taking
        assert (files.current, names_in(tmp_path)) == (None, [])
        assert [end.verdict.error for end in finished] == ["the receiver ends"]


async def test_a_file_that_is_being_finished_when_its_sender_leaves_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was reported as failed, and stood there under its name all the same."""
    disk = SlowDisk(monkeypatch, "finish")
    finished: list[Finished] = []
    builder = MemoryWireBuilder(MemoryNetwork())
    async with OutprocTransportManager("bob", builders=[builder]) as bob:
        await bob.listen("memory:bob")
        files = IncomingFiles(bob, tmp_path, lambda _line: None, finished.append)
        watching = asyncio.create_task(files.watch_senders())
        async with OutprocTransportManager("alice", builders=[builder], directory={"bob": ["memory:bob"]}) as alice:
            await alice.send("bob", b"to have a session")
            await files.handle(message(record(Kind.HEADER, TRANSFER, Header(name="new")), 0))
            end = record(Kind.TRAILER, TRANSFER, Trailer(size=0, sha256=sha256(b"").hexdigest()))
            finishing = asyncio.create_task(files.handle(message(end, 1)))
            await asyncio.to_thread(disk.reached.wait, 60)
        while bob.list_dests():  # noqa: ASYNC110 - until its goodbye has come
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)  # turns for the task that watches
        assert finished == []
        disk.goes_on.set()
        await finishing
        assert [end.verdict.ok for end in finished] == [True]
        assert names_in(tmp_path) == ["new"]
        watching.cancel()
        await asyncio.wait([watching])


async def sends_and_goes(tmp_path: Path, *messages: Any) -> tuple[list[Finished], list[str], IncomingFiles]:
    """What a receiver makes of a stream of these messages."""
    finished: asyncio.Queue[Finished] = asyncio.Queue()
    said: list[str] = []
    builder = MemoryWireBuilder(MemoryNetwork())
    async with OutprocTransportManager("bob", builders=[builder]) as bob:
        await bob.listen("memory:bob")
        files = IncomingFiles(bob, tmp_path, said.append, finished.put_nowait)
        files.listen()
        async with OutprocTransportManager("alice", builders=[builder], directory={"bob": ["memory:bob"]}) as alice:
            stream = await alice.open_stream("bob", SERVICE)
            for each in messages:
                await stream.send(each)
            await stream.send_eof()
            async with asyncio.timeout(60):
                end = await finished.get()
            stream.abort()
    return [end], said, files


HEADER = Header(name="new").model_dump_json().encode()


@pytest.mark.parametrize("messages", [([b"a", b"b"], b"x"), (HEADER, [b"a", b"b"], b"x"), (HEADER, b"x", [b"a"])])
async def test_a_list_of_buffers_is_no_file_and_its_place_is_free_again(messages: Any, tmp_path: Path) -> None:
    """It ended the handler with a TypeError, the file stayed open, and after 64 of them nobody could send any more."""
    ends, _, files = await sends_and_goes(tmp_path, *messages)
    assert "not a list" in ends[0].verdict.error
    assert (files.current, names_in(tmp_path)) == (None, [])


async def test_what_a_sender_says_does_nothing_to_the_terminal(tmp_path: Path) -> None:
    reason = Reason(reason="\x1b]0;owned\x07\nlitz: all is well").model_dump_json().encode()
    ends, said, _ = await sends_and_goes(tmp_path, HEADER, reason)
    assert not ends[0].verdict.ok
    assert len(said) == 2
    assert all(line.isprintable() for line in said)


async def test_a_handler_that_is_cancelled_leaves_no_file(tmp_path: Path) -> None:
    said: list[str] = []
    builder = MemoryWireBuilder(MemoryNetwork())
    async with (
        OutprocTransportManager("bob", builders=[builder]) as bob,
        OutprocTransportManager("alice", builders=[builder], directory={"bob": ["memory:bob"]}) as alice,
    ):
        await bob.listen("memory:bob")
        files = IncomingFiles(bob, tmp_path, said.append)
        listener = bob.listen_streams(SERVICE, files.take)
        stream = await alice.open_stream("bob", SERVICE)
        await stream.send(HEADER)
        async with asyncio.timeout(60):
            while not said:  # noqa: ASYNC110 - until the file is made
                await asyncio.sleep(0)
        await listener.stop("abort")
        assert (files.current, names_in(tmp_path)) == (None, [])
        stream.abort()


@pytest.mark.parametrize("reachable", [True, False], ids=["silent", "gone"])
def test_a_sender_that_opens_and_says_nothing_holds_no_place_for_ever(reachable: bool, tmp_path: Path) -> None:
    """Also if it cannot be told so, while its session lives on."""
    ends: list[Finished] = []

    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", session_kept=3000.0) as bob, town.manager("alice", session_kept=3000.0) as alice:
            await bob.listen("memory:bob")
            files = IncomingFiles(bob, tmp_path, lambda _line: None, ends.append)
            listener = bob.listen_streams(SERVICE, files.take)
            stream = await alice.open_stream("bob", SERVICE)
            if reachable:
                verdict = Verdict.model_validate_json(bytes(await stream.receive()))
                assert "its header did not come within" in verdict.error
                with pytest.raises(EndOfStreamError):
                    await stream.receive()
            else:
                for each in ("alice", "bob"):
                    town.builders["alice"].errors[f"memory:{each}"] = OSError("unreachable")
                    town.builders["bob"].errors[f"memory:{each}"] = OSError("unreachable")
                town.builders["alice"].cut()
            while listener.streams:  # noqa: ASYNC110 - on virtual time
                await asyncio.sleep(1.0)
            assert bob.has_dest("alice") is not None, "its session lives on"
            assert files.current is None
            stream.abort()

    virtual(scenario, max_time=2000.0)
    assert ["its header did not come" in end.verdict.error for end in ends] == [True]
    assert ends[0].told.is_set()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks take no time: virtual time knows no threads."""

    async def call(work: Any, *arguments: Any) -> Any:
        return work(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", call)


@pytest.mark.usefixtures("at_once")
def test_a_sender_that_named_its_file_and_is_silent_is_given_up_and_told_why_if_so_wished(tmp_path: Path) -> None:
    """It was waited for without end, as long as its session lived."""
    ends: list[Finished] = []

    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", session_kept=3000.0) as bob, town.manager("alice", session_kept=3000.0) as alice:
            await bob.listen("memory:bob")
            files = IncomingFiles(bob, tmp_path, lambda _line: None, ends.append, idle_timeout=30.0)
            files.listen()
            stream = await alice.open_stream("bob", SERVICE)
            await stream.send(HEADER)
            for _ in range(4):
                await asyncio.sleep(20.0)  # it is slow, and still there
                await stream.send(b"data")
            assert (files.current is not None, ends) == (True, [])
            began = asyncio.get_running_loop().time()
            verdict = Verdict.model_validate_json(bytes(await stream.receive()))
            assert 29.0 < asyncio.get_running_loop().time() - began < 32.0
            assert verdict.error == "nothing came from its sender for 30 s (--idle-timeout)"
            assert (files.current, names_in(tmp_path)) == (None, [])
            stream.abort()

    virtual(scenario, max_time=2000.0)
    assert len(ends) == 1


@pytest.mark.usefixtures("at_once")
def test_a_silent_sender_of_messages_is_given_up_too(tmp_path: Path) -> None:
    ends: list[Finished] = []

    async def scenario() -> None:
        async with Town().manager("bob") as bob:
            files = IncomingFiles(bob, tmp_path, lambda _line: None, ends.append, idle_timeout=30.0)
            await files.handle(message(record(Kind.HEADER, TRANSFER, Header(name="new")), 0))
            for number in range(4):
                await asyncio.sleep(20.0)
                await files.handle(message(b"".join(chunk_record(TRANSFER, 4 * number, b"data")), 1 + number))
            await asyncio.sleep(29.0)
            assert (files.current is not None, ends) == (True, [])
            await asyncio.sleep(2.0)
            assert (files.current, names_in(tmp_path)) == (None, [])

    virtual(scenario, max_time=2000.0)
    assert ["nothing came from its sender for 30 s" in end.verdict.error for end in ends] == [True]


async def test_a_slow_disk_is_not_taken_for_a_silent_sender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SlowDisk(monkeypatch, "write")
    ends: list[Finished] = []
    async with OutprocTransportManager("bob") as bob:
        files = IncomingFiles(bob, tmp_path, lambda _line: None, ends.append, idle_timeout=0.01)
        header = record(Kind.HEADER, TRANSFER, Header(name="new"))
        chunk = b"".join(chunk_record(TRANSFER, 0, b"data"))

        async def both() -> None:
            await files.handle(message(header, 0))
            await files.handle(message(chunk, 1))

        taking = asyncio.create_task(both())
        await asyncio.to_thread(disk.reached.wait, 60)
        await asyncio.sleep(0.2)  # twenty times what it may be silent
        assert (files.current is not None, ends) == (True, [])
        disk.goes_on.set()
        await taking
        async with asyncio.timeout(60):
            while not ends:  # noqa: ASYNC110 - now it is silent
                await asyncio.sleep(0.01)
    assert "nothing came" in ends[0].verdict.error


@pytest.mark.usefixtures("at_once")
def test_progress_shows_that_a_sender_is_waited_for_and_that_it_has_no_wire(tmp_path: Path) -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", session_kept=3000.0) as bob, town.manager("alice", session_kept=3000.0) as alice:
            await bob.listen("memory:bob")
            files = IncomingFiles(bob, tmp_path, lambda _line: None)
            files.listen()
            assert files.standing() is None
            stream = await alice.open_stream("bob", SERVICE)
            await stream.send(HEADER)
            await asyncio.sleep(1.0)
            assert files.standing() == Standing("new", 0, None, "")
            await asyncio.sleep(600.0)
            assert files.standing() == Standing("new", 0, None, "nothing came for 10 min")
            await stream.send(b"data")
            await stream.send(b"more")
            await asyncio.sleep(1.0)
            assert files.standing() == Standing("new", 4, None, ""), "the last one may be the trailer"
            for builder in town.builders.values():
                for each in ("alice", "bob"):
                    builder.errors[f"memory:{each}"] = OSError("unreachable")
            town.builders["alice"].cut()
            await asyncio.sleep(19.0)
            standing = files.standing()
            assert standing is not None
            assert standing.remark == "no wire to its sender; nothing came for 20 s"
            stream.abort()

    virtual(scenario, max_time=2000.0)
