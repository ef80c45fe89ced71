"""What becomes of the records of files, as the node that receives them counts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from litz.message import Message
from litz.payload import PayloadType
from outproc import OutprocTransportManager
from outproc.cli.file_records import Header, Kind, Reason, chunk_record, record
from outproc.cli.incoming_files import Finished, IncomingFiles
from outproc.inbound import SessionSource
from outproc.session.identity import Half, Incarnation
from outproc.session.limits import SessionLimits
from outproc.session.session import Session

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
