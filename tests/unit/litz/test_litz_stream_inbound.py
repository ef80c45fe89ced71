"""`litz.stream_inbound`: what came of a stream and was not read when it ended is kept for its reader, and counted."""

from __future__ import annotations

import struct

import pytest

from litz import EndOfStreamError, SessionEndedError, StreamAbortedError, StreamLostError, StreamOptions
from litz.stream_port import Abort
from tests.unit.litz.pipe_ends import turns
from tests.unit.litz.side_pair import MemorySide
from tests.unit.litz.test_litz_stream import side_pair, stream_on, two


async def test_it_is_kept_at_a_loss_and_given_back_as_it_is_read() -> None:
    here, there = side_pair()
    stream, other = stream_on(here), stream_on(there, opened_here=False)
    for _ in range(3):
        await other.send(bytes(10_000))
    await turns()
    assert len(await stream.receive()) == 10_000, "read and not told yet: that is not kept"
    here.lose(SessionEndedError("gone", dest="bob"))
    kept = here.rest
    assert 20_000 <= kept < 21_000
    await stream.receive()
    await stream.receive()
    assert here.rest == 0
    with pytest.raises(StreamLostError):
        await stream.receive()
    there.lose(SessionEndedError("gone", dest="alice"))


async def test_it_is_given_back_when_the_stream_is_dropped() -> None:
    stream, other = two()
    here = stream._core.side
    assert isinstance(here, MemorySide)
    await other.send(bytes(10_000))
    await turns()
    other.abort("enough")
    await turns()
    assert stream.closed
    assert here.rest >= 10_000
    del stream
    assert here.rest == 0, "at once: nobody else can read it"


@pytest.mark.parametrize("how", ["fail fast", "aborted here"])
async def test_nothing_is_kept_for_who_wants_nothing(how: str) -> None:
    here, there = side_pair()
    stream = stream_on(here, StreamOptions(fail_fast=how == "fail fast"))
    other = stream_on(there, opened_here=False)
    await other.send(bytes(10_000))
    await turns()
    if how == "fail fast":
        here.lose(SessionEndedError("gone", dest="bob"))
    else:
        stream.abort("enough")
    assert stream.closed
    assert here.rest == 0
    with pytest.raises(StreamAbortedError):
        await stream.receive()
    there.lose(SessionEndedError("gone", dest="alice"))


async def test_a_stream_that_is_complete_and_unread_is_counted_too() -> None:
    here, there = side_pair()
    stream, other = stream_on(here), stream_on(there, opened_here=False)
    await stream.send_eof()
    await other.send(bytes(10_000))
    await other.send_eof()
    await turns()
    assert stream.closed
    assert here.rest >= 10_000
    assert len(await stream.receive()) == 10_000
    assert here.rest == 0
    with pytest.raises(EndOfStreamError):
        await stream.receive()


async def test_a_malformed_rest_is_let_go_of() -> None:
    here, there = side_pair()
    stream = stream_on(here, StreamOptions(max_message=1_000))
    head = struct.pack("<BBIQ", 2, 0, 1, 1 << 40)
    there.write(head, len(head))
    there.write(bytes(100), 100)
    await turns()
    there.abort(Abort.CANCELLED, "gone")
    await turns()
    assert stream.closed
    assert here.rest > 0
    with pytest.raises(StreamAbortedError):
        await stream.receive()
    assert here.rest == 0
