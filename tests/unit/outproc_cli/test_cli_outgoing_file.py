"""Progress counts what the receiver has written, not what was sent."""

from __future__ import annotations

import asyncio
from pathlib import Path

from outproc import OutprocTransportManager
from outproc.cli.file_records import CHUNK_SIZE
from outproc.cli.file_sources import FileSource
from outproc.cli.incoming_files import IncomingFiles
from outproc.cli.outgoing_file import OutgoingFile
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder


async def test_acknowledged_is_what_the_receiver_has_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * (3 * CHUNK_SIZE + 1))
    (tmp_path / "in").mkdir()
    builder = MemoryWireBuilder(MemoryNetwork())
    async with (
        OutprocTransportManager("bob", builders=[builder]) as bob,
        OutprocTransportManager("alice", builders=[builder], directory={"bob": ["memory:bob"]}) as alice,
    ):
        await bob.listen("memory:bob")
        files = IncomingFiles(bob, tmp_path / "in", lambda _line: None)
        with (tmp_path / "file").open("rb") as file:
            outgoing = OutgoingFile(alice, "bob", FileSource(file, "file"))
            assert outgoing.acknowledged() == 0
            sending = asyncio.create_task(outgoing.send())
            received = []
            async with bob.messages() as inbox:
                # Header, three chunks and the rest have arrived; the last one handed out is not processed yet.
                for _ in range(5):
                    message = await anext(inbox)
                    received.append(message)
                    await files.handle(message)
                while outgoing.acknowledged() < 3 * CHUNK_SIZE:  # noqa: ASYNC110 - an ack of processing has no event
                    await asyncio.sleep(0.001)
                assert outgoing.sent == 3 * CHUNK_SIZE + 1
                assert outgoing.acknowledged() == 3 * CHUNK_SIZE
            serving = asyncio.create_task(bob.serve(files.handle))
            verdict = await sending
        assert outgoing.acknowledged() == outgoing.sent
        assert (verdict.ok, verdict.name) == (True, "file")
        serving.cancel()
        await asyncio.wait([serving])
