"""The manager contract of streams: what is sent at one end is received at the other."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from litz.errors import (
    BackpressureError,
    EndOfStreamError,
    MessageTooLargeError,
    StreamAbortedError,
    StreamRefusedError,
    StreamStateError,
)
from litz.manager import TransportManager
from litz.snapshot import MAX_STREAM_ROWS, StreamSnapshot, StreamsSnapshot
from litz.stream import Stream
from litz.stream_lifecycle import StreamEnd
from litz.testing.manager_case import Case, Check, end, expect, expect_now, take
from litz.testing.stream_case import Caught, both_ends, echo, flood, numbered, patient, rest_of, service, until

MIB: Final = 1 << 20


async def messages_of_any_size_come_in_order_both_ways(case: Case) -> None:
    sizes = (8, 100, 10_000, 65_535, 65_536, 8, 300_000)
    sent = [numbered(number, sizes[number % len(sizes)]) for number in range(35)]
    async with service(case, echo), case.a.open_stream(case.to_b, "service", options=patient()) as stream:
        reading = asyncio.get_running_loop().create_task(rest_of(stream))
        for message in sent:
            await stream.send(message)
        await stream.send_eof()
        assert await reading == sent, "what came back is not what was sent"


async def lists_keep_their_boundaries_and_large_ones_come_writable(case: Case) -> None:
    async with both_ends(case) as (here, there):
        for sent in ([b"ab", b"", b"c"], [], [b""], [b"x" * 200_000, b"", b"y" * 70_000], [b"z"] * 3_000):
            got, _ = await asyncio.gather(there.receive(), here.send(list(sent)))
            assert isinstance(got, list)
            assert [bytes(part) for part in got] == sent
        large = b"q" * 100_000
        got, _ = await asyncio.gather(there.receive(), here.send(large))
        assert got == large
        # In process it is the very object.
        assert got is large or isinstance(got, bytearray), f"a large message came as {type(got).__name__}"


async def each_half_ends_on_its_own(case: Case) -> None:
    async with both_ends(case) as (here, there):
        await here.send(b"question")
        await here.send_eof()
        assert await rest_of(there) == [b"question"]
        await expect(EndOfStreamError, there.receive(), "after the end")
        assert not there.closed
        await there.send(b"answer")
        await there.send_eof()
        assert await rest_of(here) == [b"answer"]
        await expect(StreamStateError, here.send(b"more"), "sent after send_eof")
        await until(lambda: here.closed and there.closed)
        for stream in (here, there):
            assert stream.stats.ending is not None
            assert stream.stats.ending.how is StreamEnd.COMPLETE
        await expect(EndOfStreamError, here.receive(), "after the end of the stream")


async def the_answering_half_may_end_first(case: Case) -> None:
    async with both_ends(case) as (here, there):
        await there.send_eof()
        assert await rest_of(here) == []
        for number in range(50):
            await here.send(numbered(number))
        await here.drain()
        await here.send_eof()
        assert await rest_of(there) == [numbered(number) for number in range(50)]


async def a_cancelled_receive_loses_nothing(case: Case) -> None:
    """Also not of a message that is larger than one entry."""
    sent = [numbered(number, 8 if number % 3 else 150_000) for number in range(40)]
    loop = asyncio.get_running_loop()

    async def send_all(stream: Stream) -> None:
        for message in sent:
            await stream.send(message)
        await stream.send_eof()

    async with both_ends(case) as (here, there):
        sending, got, steps = loop.create_task(send_all(here)), list[bytes](), 0
        while len(got) < len(sent):
            reading = loop.create_task(there.receive())
            for _ in range(steps % 7):
                await asyncio.sleep(0)
            steps += 1
            await end(reading)
            if not reading.cancelled():
                got.append(bytes(reading.result()))
            if steps % 50 == 0:
                await asyncio.sleep(0.002)  # on virtual time nothing moves while the loop is only busy
        assert got == sent
        await sending


async def a_cancelled_send_is_of_the_whole_message_or_of_nothing(case: Case) -> None:
    """While nobody reads: whatever was cancelled, each message comes whole or not at all, and in order."""
    loop = asyncio.get_running_loop()
    sizes = (40_000, 300_000, 70_000)
    async with both_ends(case) as (here, there):
        accepted, cancelled = list[int](), list[int]()
        for number in range(60):
            task = loop.create_task(here.send(numbered(number, sizes[number % 3])))
            for _ in range(number % 5 + 1):
                await asyncio.sleep(0)
            await end(task)
            (cancelled if task.cancelled() else accepted).append(number)
        assert cancelled, "nothing was cancelled: nothing was tested"
        reading = loop.create_task(rest_of(there))
        await here.send(numbered(1_000))
        await here.send_eof()
        got = {int.from_bytes(message[:8], "big"): len(message) for message in await reading}
        assert list(got) == sorted(got), "out of order"
        assert set(accepted) <= set(got), "what was accepted did not come"
        assert all(got[number] == sizes[number % 3] for number in list(got)[:-1]), "a part of a message came"
        assert list(got.items())[-1] == (1_000, 8)


async def a_full_window_makes_the_sender_wait_and_no_other(case: Case) -> None:
    loop = asyncio.get_running_loop()
    async with both_ends(case) as (here, there), service(case, echo, name="other"):
        waiting = loop.create_task(flood(here))
        async with case.a.open_stream(case.to_b, "other", options=patient()) as other:
            for number in range(20):
                await other.send(numbered(number))
                assert await other.receive() == numbered(number), "one slow reader holds up another stream"
            await case.a.send(case.to_b, b"message")
            assert [bytes(message.data) for message in await take(case.b, 1)] == [b"message"]
            assert not waiting.done(), "more was accepted than any window holds, and nobody reads"
        for number in range(200):
            assert await there.receive() == numbered(number, 30_000)
        await waiting


async def without_room_nothing_is_taken_now(case: Case) -> None:
    async with both_ends(case) as (here, there):
        count = 0
        try:
            while count < 10_000:
                here.send_nowait(numbered(count, 30_000))
                count += 1
        except BackpressureError as error:
            assert "send" in str(error), "the cure is not named"
        assert 0 < count < 10_000, "a stream that nobody reads has no bound (P5)"
        reading = asyncio.get_running_loop().create_task(rest_of(there))
        await here.send(b"end")
        await here.send_eof()
        assert await reading == [*(numbered(number, 30_000) for number in range(count)), b"end"]


async def drain_waits_until_all_arrived(case: Case) -> None:
    async with both_ends(case) as (here, there):
        for number in range(30):
            await here.send(numbered(number, 1_000))  # less in all than the smallest window
        await here.drain()
        assert here.stats.unconfirmed == 0
        assert there.stats.bytes_received >= 30 * 1_000
        await here.drain()
        reading = asyncio.get_running_loop().create_task(rest_of(there))
        await here.send(bytes(MIB))
        await here.send_eof()
        await asyncio.gather(here.drain(), here.drain())
        assert len(await reading) == 31


async def one_task_sends_and_one_receives(case: Case) -> None:
    loop = asyncio.get_running_loop()
    async with both_ends(case) as (here, there):
        reading = loop.create_task(here.receive())
        await asyncio.sleep(0)
        error = await expect(StreamStateError, here.receive(), "a second reader")
        assert "one at a time" in str(error)
        await there.send(b"for the first")
        assert await reading == b"for the first"
        sending = loop.create_task(flood(here))
        await asyncio.sleep(0)
        await expect(StreamStateError, here.send(b"second"), "a second sender")
        expect_now(StreamStateError, partial(here.send_nowait, b"second"), "a second sender")
        await end(sending)


async def messages_over_the_limit_are_refused_at_both_ends(case: Case) -> None:
    async with both_ends(case, opener=patient(max_message=1_000), other=patient(max_message=100)) as (here, there):
        error = await expect(MessageTooLargeError, here.send(bytes(1_001)), "over the own limit")
        assert "max_message" in str(error)
        await here.send(bytes(100))
        assert await there.receive() == bytes(100), "the stream does not go on after a message that was refused"
        await here.send(b"fine")
        await here.send(bytes(101))
        assert await there.receive() == b"fine"
        broken = await expect(StreamAbortedError, there.receive(), "over the limit of the receiver")
        assert isinstance(broken.__cause__, MessageTooLargeError)
        told = await expect(StreamAbortedError, here.receive(), "the peer broke it off")
        assert "max_message" in str(told), f"the sender is not told why: {told}"


async def two_hundred_streams_at_once(case: Case) -> None:
    async def talk(number: int) -> list[bytes]:
        async with case.a.open_stream(case.to_b, "service", options=patient()) as stream:
            for part in range(2):
                await stream.send(numbered(number * 10 + part, 100))
            await stream.send_eof()
            return await rest_of(stream)

    async with service(case, echo) as listener:
        answers = await asyncio.gather(*(talk(number) for number in range(200)))
        assert answers == [[numbered(number * 10 + part, 100) for part in range(2)] for number in range(200)]
        await until(lambda: not listener.streams)


async def a_paused_stream_grants_nothing_more(case: Case) -> None:
    async with both_ends(case) as (here, there):
        there.pause()
        loop, sent, got = asyncio.get_running_loop(), list[int](), list[Any]()

        async def send() -> None:
            for number in range(200):
                await here.send(numbered(number, 30_000))
                sent.append(number)

        async def read() -> None:
            async for message in there:
                got.append(message)

        sending, reading = loop.create_task(send()), loop.create_task(read())
        calm = before = 0
        while calm < 20:
            await asyncio.sleep(0.005)
            calm, before = (calm + 1, before) if len(got) == before and got else (0, len(got))
        assert len(sent) < 200, "a paused stream grants without end"
        there.resume()
        await sending
        await here.send_eof()
        await reading
        assert len(got) == 200


async def both_know_what_the_stream_is(case: Case) -> None:
    async with service(case, echo) as listener:
        opening = case.a.peer(case.to_b).open_stream("service", metadata=b"who", options=patient())
        async with opening as here:
            await until(lambda: bool(listener.streams))
            (there,) = listener.streams
            for stream, dest in ((here, case.to_b), (there, case.to_a)):
                assert (stream.service, stream.metadata, stream.dest) == ("service", b"who", dest)
                assert stream.sender == case.to_a
                assert stream.peer.dest == dest
                assert stream.link_up
                assert not stream.closed
                assert stream.stats.ending is None
                assert "service" in repr(stream)


async def snapshots_list_the_streams(case: Case) -> None:
    await case.meet()
    assert (_seen(case.a, case.to_b), _seen(case.b, case.to_a)) == (None, None), "there never was one"
    refusing = case.a.open_stream(case.to_b, "unheard-of", options=patient())
    await expect(StreamRefusedError, refusing, "nobody has this service")
    async with both_ends(case) as (here, there):
        (mine,), (theirs,) = _rows(case.a, case.to_b), _rows(case.b, case.to_a)
        for row, opened_here in ((mine, True), (theirs, False)):
            assert (row.service, row.pipe, row.opened_here) == ("service", False, opened_here)
            assert (row.number, row.state, row.attached) == (mine.number, "open", True)
        await here.send(b"x" * 20_000)
        await here.drain()
        (mine,), (theirs,) = _rows(case.a, case.to_b), _rows(case.b, case.to_a)
        assert mine.bytes_out == theirs.bytes_in == theirs.unread >= 20_000
        assert (mine.queued, mine.unconfirmed, mine.bytes_in, mine.unread) == (0, 0, 0, 0), "it has arrived"
        assert await there.receive() == b"x" * 20_000
        assert _rows(case.b, case.to_a)[0].unread == 0
        await here.send_eof()
        await until(lambda: _rows(case.a, case.to_b)[0].state == "sent")
        assert _rows(case.b, case.to_a)[0].state == "read"
        there.abort("enough")
        await until(lambda: here.closed)
        assert (_rows(case.a, case.to_b), _rows(case.b, case.to_a)) == ((), ())
    mine_all, theirs_all = _seen(case.a, case.to_b), _seen(case.b, case.to_a)
    assert mine_all is not None
    assert theirs_all is not None
    for seen, expected in ((mine_all, (1, 0, 1, 0)), (theirs_all, (0, 1, 0, 1))):
        assert (seen.opened, seen.accepted, seen.refused_there, seen.refused_here) == expected
        assert (seen.count, seen.aborted, seen.evicted, seen.lost) == (0, 1, 0, 0)


async def snapshots_count_all_streams_and_show_the_oldest(case: Case) -> None:
    caught = Caught()
    async with service(case, caught.handler):
        opened = [await case.a.open_stream(case.to_b, "service", options=patient()) for _ in range(MAX_STREAM_ROWS + 3)]
        await until(lambda: len(caught.streams) == len(opened))
        for manager, dest in ((case.a, case.to_b), (case.b, case.to_a)):
            seen = _seen(manager, dest)
            assert seen is not None
            assert seen.count == len(opened)
            assert [row.number for row in seen.rows] == sorted(row.number for row in seen.rows)
            assert len(seen.rows) == MAX_STREAM_ROWS
            assert seen.granted > 0
        for stream in opened:
            stream.abort()
        caught.go.set()
        await until(lambda: not (_rows(case.a, case.to_b) or _rows(case.b, case.to_a)))


def _seen(manager: TransportManager, dest: str) -> StreamsSnapshot | None:
    found = [each for each in manager.snapshot().dests if each.dest == dest]
    return found[0].streams if found else None


def _rows(manager: TransportManager, dest: str) -> tuple[StreamSnapshot, ...]:
    seen = _seen(manager, dest)
    assert seen is not None, "the dest has streams and no snapshot of them"
    return seen.rows


STREAM_CHECKS: Final[tuple[Check, ...]] = (
    messages_of_any_size_come_in_order_both_ways,
    lists_keep_their_boundaries_and_large_ones_come_writable,
    each_half_ends_on_its_own,
    the_answering_half_may_end_first,
    a_cancelled_receive_loses_nothing,
    a_cancelled_send_is_of_the_whole_message_or_of_nothing,
    a_full_window_makes_the_sender_wait_and_no_other,
    without_room_nothing_is_taken_now,
    drain_waits_until_all_arrived,
    one_task_sends_and_one_receives,
    messages_over_the_limit_are_refused_at_both_ends,
    two_hundred_streams_at_once,
    a_paused_stream_grants_nothing_more,
    both_know_what_the_stream_is,
    snapshots_list_the_streams,
    snapshots_count_all_streams_and_show_the_oldest,
)
