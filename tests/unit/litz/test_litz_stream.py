"""A stream over a carrier of bytes: what goes out, what a peer may not send, who is told what, and what it costs.

Covers `litz.stream_core`, `litz.stream_inbound`, `litz.stream_outbound`.
"""

from __future__ import annotations

import asyncio
import gc
import struct
from functools import partial
from typing import Any

import pytest

from litz import (
    BackpressureError,
    Drain,
    EndOfStreamError,
    MessageTooLargeError,
    ProtocolError,
    SessionEndedError,
    Stream,
    StreamAbortedError,
    StreamLostError,
    StreamOptions,
    StreamStateError,
)
from litz.bound_peer import BoundPeer
from litz.stream_core import StreamCore
from litz.stream_form import AsBytes
from litz.stream_lifecycle import StreamEnd, StreamState
from litz.stream_port import MAX_ENTRY, Abort, Offer
from litz.stream_report import StreamReport
from litz.testing.manager_case import end
from tests.unit.litz.side_pair import MemorySide

PATIENT = StreamOptions(grace=120.0)


class FlatSide(MemorySide):
    """Entries arrive in one piece, as they do from a wire."""

    def write(self, entry: Any, size: int) -> bool:
        return super().write(b"".join(entry) if isinstance(entry, tuple) else entry, size)


def side_pair(*, log: int = 256 * 1024, window: int = 64 * 1024) -> tuple[FlatSide, FlatSide]:
    """The ends of one stream between "alice" and "bob"."""
    here, there = FlatSide("bob", log, window), FlatSide("alice", log, window)
    here.peer, there.peer = there, here
    return here, there


def stream_on(side: MemorySide, options: StreamOptions = PATIENT, *, opened_here: bool = True) -> Stream:
    """The user's end on a side."""
    offer = Offer("alice", "files", b"meta", verified=False, pipe=False)
    core = StreamCore(side, offer, AsBytes(options.max_message), options, opened_here=opened_here)
    core.opened()
    side.use(core)
    return Stream(core, _no_peer)


def _no_peer(dest: str) -> BoundPeer:
    raise AssertionError(dest)


def two(options: StreamOptions = PATIENT, **sizes: int) -> tuple[Stream, Stream]:
    here, there = side_pair(**sizes)
    return stream_on(here, options), stream_on(there, opened_here=False)


def raw(options: StreamOptions = PATIENT) -> tuple[Stream, MemorySide]:
    """A stream, and a peer that writes what it likes."""
    here, there = side_pair()
    return stream_on(here, options), there


def abort(*streams: Stream) -> None:
    for stream in streams:
        stream.abort("the test is over")


async def test_small_messages_are_not_told_one_by_one() -> None:
    """The window is given back in batches, and whole."""
    here, there = side_pair(log=1 << 20, window=1 << 20)
    sender, receiver = stream_on(here), stream_on(there, opened_here=False)
    for number in range(1_000):
        await sender.send(b"%4d" % number)
    await sender.send_eof()
    assert [bytes(message) async for message in receiver] == [b"%4d" % number for number in range(1_000)]
    assert sum(count for count, _ in there.taken) == 1_000
    assert sum(size for _, size in there.taken) == 5_000
    assert len(there.taken) < 100
    abort(sender, receiver)


async def test_a_large_message_is_never_held_whole_by_its_sender() -> None:
    """Its pieces go as the window allows, and the reader pulls them: nothing waits beyond the two windows."""
    here, there = side_pair(log=100_000, window=100_000)
    sender, receiver = stream_on(here), stream_on(there, opened_here=False)
    sending = asyncio.get_running_loop().create_task(sender.send(bytes(2_000_000)))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not sending.done()
    assert receiver.stats.bytes_received <= 100_000
    assert len(await receiver.receive()) == 2_000_000
    await sending
    assert here.largest <= MAX_ENTRY
    abort(sender, receiver)


@pytest.mark.parametrize("steps", range(12))
async def test_a_send_cancelled_at_any_step_is_whole_or_nothing(steps: int) -> None:
    sender, receiver = two(log=100_000, window=100_000)
    loop = asyncio.get_running_loop()
    task = loop.create_task(sender.send(b"a" * 400_000))
    for _ in range(steps):
        await asyncio.sleep(0)
    await end(task)
    reading = loop.create_task(receiver.receive())
    await sender.send(b"b" * 10)
    await sender.send_eof()
    got = [bytes(await reading)] + [bytes(message) async for message in receiver]
    whole = [b"a" * 400_000] if steps else []
    assert got == [*whole, b"b" * 10], f"{[len(each) for each in got]}"
    abort(sender, receiver)


async def test_what_was_accepted_and_goes_out_by_itself_is_aborted_with_the_rest() -> None:
    sender, receiver = two(log=70_000, window=70_000)
    with pytest.raises(BackpressureError):
        while True:
            sender.send_nowait(b"a" * 400_000)
    await sender.send_eof()
    sender.abort("changed my mind")
    with pytest.raises(StreamAbortedError, match="changed my mind"):
        await receiver.receive()


async def test_an_end_waits_behind_a_message_that_goes_out_by_itself() -> None:
    sender, receiver = two(log=70_000, window=70_000)
    sender.send_nowait(b"a" * 400_000)
    await sender.send_eof()
    with pytest.raises(StreamStateError, match="ended"):
        await sender.send(b"more")
    assert [len(message) async for message in receiver] == [400_000]
    await receiver.aclose()
    await sender.aclose()
    assert sender.state is StreamState.CLOSED


@pytest.mark.parametrize(
    "entries",
    [[b""], [b"\x09x"], [struct.pack("<BBIQ", 2, 0, 1, 9), b"123", b"1234567"], [struct.pack("<BI", 1, 70_000)]],
    ids=["empty", "unknown", "too long", "list"],
)
async def test_malformed_entries_end_the_stream_and_are_told_to_the_peer(entries: list[bytes]) -> None:
    stream, peer = raw()
    peer.write(b"\x00before", 7)
    core = stream._core
    core.received(entries, sum(map(len, entries)))
    assert not stream.closed, "it is looked at when somebody receives"
    await asyncio.sleep(0)
    with pytest.raises(StreamAbortedError) as caught:
        while True:
            await stream.receive()
    assert isinstance(caught.value.__cause__, ProtocolError)
    assert caught.value.code == Abort.REJECTED
    assert peer.peer.ended
    with pytest.raises(StreamAbortedError):
        await stream.receive()
    with pytest.raises(StreamAbortedError):
        await stream.send(b"x")


async def test_a_peer_that_finishes_in_the_middle_of_a_message_did_not_finish() -> None:
    stream, peer = raw()
    head = struct.pack("<BBIQ", 2, 0, 1, 9)
    peer.write(head, len(head))
    peer.write(b"1234", 4)
    peer.finish()
    with pytest.raises(StreamAbortedError, match="middle of a message") as caught:
        async for _ in stream:
            pass
    assert isinstance(caught.value.__cause__, ProtocolError)


async def test_a_message_over_the_limit_is_not_assembled() -> None:
    stream, peer = raw(StreamOptions(max_message=1_000))
    head = struct.pack("<BBIQ", 2, 0, 1, 1 << 40)
    peer.write(head, len(head))
    with pytest.raises(StreamAbortedError) as caught:
        await stream.receive()
    assert isinstance(caught.value.__cause__, MessageTooLargeError)


async def test_a_loss_names_its_cause_and_what_was_not_confirmed() -> None:
    here, there = side_pair()
    stream = stream_on(here)
    here.hold()
    for _ in range(3):
        await stream.send(b"x")
    there.hold()
    reports: list[StreamReport] = []
    stream.on_closed(reports.append)
    draining = asyncio.get_running_loop().create_task(stream.drain())
    await asyncio.sleep(0)
    here.lose(SessionEndedError("gone", dest="bob"))
    with pytest.raises(StreamLostError) as caught:
        await draining
    assert caught.value.unconfirmed == 3
    assert isinstance(caught.value.__cause__, SessionEndedError)
    with pytest.raises(StreamLostError):
        await stream.send(b"y")
    await asyncio.sleep(0)
    assert len(reports) == 1
    assert reports[0].ending is not None
    assert (reports[0].ending.how, reports[0].unconfirmed) == (StreamEnd.LOST, 3)
    await stream.aclose()  # it was told: no second time


async def test_leaving_is_loud_when_what_was_sent_did_not_arrive() -> None:
    """Once: whoever was told by another call is not told again."""
    here, _ = side_pair()
    stream = stream_on(here)
    await stream.send(b"x")
    here.lose(SessionEndedError("gone", dest="bob"))
    with pytest.raises(StreamLostError):
        await stream.aclose()
    await stream.aclose()
    late, other = two(StreamOptions(grace=0.01))
    late._core.side.hold()  # type: ignore[attr-defined]  # of the memory pair
    await late.send(b"x")
    with pytest.raises(StreamAbortedError, match=r"not over within 0\.01 s"):
        await late.aclose()
    abort(other)


async def test_leaving_while_there_is_no_wire() -> None:
    """Draining while detached is legal: it ends when the wire is back."""
    sender, receiver = two()
    side: Any = sender._core.side
    side.hold()
    sender._core.link(False)
    assert not sender.link_up
    assert "no wire" in repr(sender)
    await sender.send(b"x")
    leaving = asyncio.get_running_loop().create_task(sender.aclose())
    for _ in range(5):
        await asyncio.sleep(0)
    assert sender.state is StreamState.DRAINING
    side.flow()
    sender._core.link(True)
    assert [bytes(message) async for message in receiver] == [b"x"]
    await receiver.aclose()
    await leaving
    assert sender.stats.ending is not None
    assert sender.stats.ending.how is StreamEnd.COMPLETE


async def test_a_stream_that_is_dropped_warns_and_tells_its_peer() -> None:
    sender, receiver = two()
    await sender.send(b"before")
    with pytest.warns(ResourceWarning, match="'files' to bob was dropped without aclose"):
        del sender
        gc.collect()
    assert await receiver.receive() == b"before"
    with pytest.raises(StreamAbortedError, match="dropped"):
        await receiver.receive()


async def test_a_stream_in_the_hands_of_a_task_is_not_dropped() -> None:
    sender, receiver = two()
    waiting = asyncio.get_running_loop().create_task(receiver.receive())
    await asyncio.sleep(0)
    del receiver
    gc.collect()
    await sender.send(b"x")
    with pytest.warns(ResourceWarning, match="dropped"):
        assert await waiting == b"x"
        del waiting
        gc.collect()
        await asyncio.sleep(0)
    abort(sender)


async def test_tight_loops_let_the_others_run() -> None:
    sender, receiver = two(log=1 << 30, window=1 << 30)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.get_running_loop().create_task(count())
    for _ in range(3_000):
        await sender.send(b"x")
    await sender.send_eof()
    sent = turns
    assert sent >= 10
    await sender.drain()
    before = turns
    assert len([message async for message in receiver]) == 3_000
    assert turns - before >= 10
    await end(counting)
    abort(sender, receiver)


async def test_the_callback_comes_once_from_the_loop_whoever_ends_it() -> None:
    for index in (0, 1):
        ends = two()
        reports: list[tuple[str, StreamReport]] = []
        for name, stream in zip("ab", ends, strict=True):
            stream.on_closed(partial(_note, reports, name))
        ends[index].abort("enough")
        assert reports == [], "called from within abort"
        for _ in range(5):
            await asyncio.sleep(0)
        assert sorted(name for name, _ in reports) == ["a", "b"]
        assert all(report.ending is not None and report.ending.reason == "enough" for _, report in reports)


def _note(reports: list[tuple[str, StreamReport]], name: str, report: StreamReport) -> None:
    reports.append((name, report))


async def test_reasons_are_short_printable_lines() -> None:
    sender, receiver = two()
    sender.abort("first\nsecond\x1b[31m" + "x" * 500)
    with pytest.raises(StreamAbortedError) as caught:
        await receiver.receive()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
    assert sender.stats.ending is not None
    assert len(sender.stats.ending.reason) == 200


async def test_receiving_after_the_end_says_so_again_and_again() -> None:
    sender, receiver = two(StreamOptions(drain=Drain.BOTH))
    await sender.send(b"x")
    await sender.send_eof()
    assert [bytes(message) async for message in receiver] == [b"x"]
    for _ in range(2):
        with pytest.raises(EndOfStreamError):
            await receiver.receive()
        assert [message async for message in receiver] == []
    await receiver.aclose()
    await sender.aclose()


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_message": 0},
        {"max_message": 1.5},
        {"open_timeout": 0},
        {"grace": float("inf")},
        {"idle": 0},
        {"drain": "both"},
        {"waiting_opens": 0},
        {"max_streams": -1},
    ],
    ids=str,
)
def test_options_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StreamOptions(**wrong)
