"""Progress counts what the receiver has written, not what was sent; a file is sent only when the verdict says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from litz.stream import Stream
from outproc import OutprocTransportManager
from outproc.cli.file_records import CHUNK_SIZE, SERVICE, Header, Reason, Trailer, Verdict, read_body, written
from outproc.cli.file_sources import FileSource
from outproc.cli.outcome import CommandError
from outproc.cli.outgoing_file import OutgoingFile
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder

CONTENT = b"x" * (3 * CHUNK_SIZE + 1)


class Receiver:
    """Takes streams, and does with them what the test says."""

    def __init__(self, manager: OutprocTransportManager) -> None:
        self.streams: asyncio.Queue[Stream] = asyncio.Queue()
        self.over = asyncio.Event()
        manager.listen_streams(SERVICE, self._hold)

    async def _hold(self, stream: Stream) -> None:
        self.streams.put_nowait(stream)
        await self.over.wait()


@pytest.fixture
async def managers() -> AsyncIterator[tuple[OutprocTransportManager, OutprocTransportManager]]:
    builder = MemoryWireBuilder(MemoryNetwork())
    async with (
        OutprocTransportManager("bob", builders=[builder]) as bob,
        OutprocTransportManager("alice", builders=[builder], directory={"bob": ["memory:bob"]}) as alice,
    ):
        await bob.listen("memory:bob")
        yield alice, bob


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    (tmp_path / "file").write_bytes(CONTENT)
    return FileSource((tmp_path / "file").open("rb"), "file")


async def test_acknowledged_is_what_the_receiver_has_written(
    managers: tuple[OutprocTransportManager, OutprocTransportManager], source: FileSource
) -> None:
    alice, bob = managers
    receiver = Receiver(bob)
    outgoing = OutgoingFile(alice, "bob", source)
    sending = asyncio.create_task(outgoing.send())
    stream = await receiver.streams.get()
    messages = [bytes(message) async for message in stream]
    assert read_body(Header, messages[0]) == Header(name="file", size=len(CONTENT))
    assert b"".join(messages[1:-1]) == CONTENT
    digest = sha256(CONTENT).hexdigest()
    assert read_body(Trailer, messages[-1]) == Trailer(size=len(CONTENT), sha256=digest)
    assert (outgoing.sent, outgoing.acknowledged()) == (len(CONTENT), 0)
    await stream.send(written(2 * CHUNK_SIZE))
    while not outgoing.acknowledged():  # noqa: ASYNC110 - counters tell nobody
        await asyncio.sleep(0)
    assert (outgoing.acknowledged(), sending.done()) == (2 * CHUNK_SIZE, False)
    await stream.send(Verdict(ok=True, name="file", sha256=digest).model_dump_json().encode())
    receiver.over.set()
    assert (await sending).name == "file"
    assert outgoing.acknowledged() == len(CONTENT)
    source.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Verdict(ok=False, error="no room").model_dump_json().encode(), "could not take the file: no room"),
        (Verdict(ok=True, name="a", sha256="0" * 64).model_dump_json().encode(), "has other bytes"),
        (b"what?", "answered with something else"),
        ([b"what", b"?"], "answered with something else"),
        (None, "ended without a word"),
    ],
)
async def test_without_a_good_verdict_it_is_not_sent(
    managers: tuple[OutprocTransportManager, OutprocTransportManager],
    source: FileSource,
    answer: bytes | list[bytes] | None,
    said: str,
) -> None:
    alice, bob = managers
    receiver = Receiver(bob)
    sending = asyncio.create_task(OutgoingFile(alice, "bob", source).send())
    stream = await receiver.streams.get()
    await stream.receive()
    if answer is not None and said != "has other bytes":
        await stream.send(answer)  # early: the sender is in the middle of it
        await stream.send_eof()
    else:
        assert [len(message) async for message in stream]
        if answer is not None:
            await stream.send(answer)
        await stream.send_eof()
    receiver.over.set()
    with pytest.raises(CommandError, match=said):
        await sending
    source.close()


async def test_who_is_interrupted_says_so(
    managers: tuple[OutprocTransportManager, OutprocTransportManager], source: FileSource
) -> None:
    alice, bob = managers
    receiver = Receiver(bob)
    sending = asyncio.create_task(OutgoingFile(alice, "bob", source).send())
    stream = await receiver.streams.get()
    first = await stream.receive()
    sending.cancel()
    messages = [bytes(first), *[bytes(message) async for message in stream]]
    assert "interrupted" in read_body(Reason, messages[-1]).reason
    receiver.over.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    source.close()
