"""What is special about the in-process manager; what all managers share is in the contract tests.

Covers `inproc.manager`, `inproc.transport`, `inproc.lane`.
"""

from __future__ import annotations

import asyncio
import gc
import traceback
import warnings

import pytest

from inproc import Hub, InprocTransportManager
from inproc.manager import YIELD_EVERY
from litz import (
    BackpressureError,
    ConnectError,
    ManagerStateError,
    Message,
    OutcomeUnknownError,
    PayloadType,
    PeerClosedError,
    SessionEndedError,
)
from litz.events import ConnectFailed, SessionEnded
from litz.testing.manager_case import take


async def test_objects_pass_by_reference_and_ids_are_verified() -> None:
    hub = Hub()
    thing = object()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        await a.send("b", thing)
        (message,) = await take(b, 1)
        assert message.data is thing
        assert message.verified
        serving = asyncio.ensure_future(b.serve(lambda m: m.data))
        assert await a.request("b", thing) is thing
        serving.cancel()
        await asyncio.wait([serving])


async def test_a_manager_may_send_to_itself() -> None:
    async with InprocTransportManager("a", Hub()) as a:
        receipts = [await a.send("a", n) for n in range(3)]
        assert [m.data for m in await take(a, 3)] == [0, 1, 2]
        assert [number for _, number in receipts] == [0, 1, 2]
        serving = asyncio.ensure_future(a.serve(lambda m: m.data + 1))
        assert await a.request("a", 1) == 2
        serving.cancel()
        await asyncio.wait([serving])
        await a.close_transport("a")
        assert a.dest_count == 0


async def test_an_id_is_held_by_one_living_manager() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub) as first:
        with pytest.raises(ManagerStateError, match="close that manager first"):
            async with InprocTransportManager("a", hub):
                pass
        older = first.incarnation
    async with InprocTransportManager("a", hub) as second:
        assert second.incarnation > older
    assert hub.node_count == 0


async def test_an_unknown_dest_fails_at_once_and_names_the_cure() -> None:
    async with InprocTransportManager("a", Hub()) as a:
        events = a.events()
        with pytest.raises(ConnectError, match=r"nobody with the id 'b'.*when_down='queue'"):
            await a.send("b", 1)
        assert isinstance((await events.__anext__())[1], ConnectFailed)
        assert a.dest_count == 0


async def test_connect_timeout_waits_for_the_peer_and_one_failure_is_for_all() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub, connect_timeout=0.02) as a:
        errors = await asyncio.gather(*(a.send("b", n) for n in range(5)), return_exceptions=True)
        assert all(isinstance(error, ConnectError) for error in errors)
        assert len(set(map(id, errors))) == 1
        assert isinstance(errors[0], ConnectError)
        frames = traceback.extract_tb(errors[0].__traceback__)
        assert [frame.name for frame in frames].count("connect") == 1, "each caller added its frames to it"
        assert a.dest_count == 0
    async with InprocTransportManager("a", hub, connect_timeout=30) as a:
        sending = [asyncio.ensure_future(a.send("b", n)) for n in range(5)]
        await asyncio.sleep(0)
        sending[0].cancel()
        async with InprocTransportManager("b", hub) as b:
            assert [m.data for m in await take(b, 4)] == [1, 2, 3, 4]
        await asyncio.wait(sending)


async def test_closing_ends_a_wait_for_a_peer() -> None:
    async with InprocTransportManager("a", Hub(), connect_timeout=30) as a:
        one = asyncio.ensure_future(a.send("b", 1))
        await asyncio.sleep(0)
        await a.close_transport("b")
        with pytest.raises(ConnectError, match="closed here"):
            await one
        two = asyncio.ensure_future(a.send("b", 1))
        await asyncio.sleep(0)
        await a.aclose()
        with pytest.raises(ManagerStateError):
            await two


async def test_a_request_that_no_session_has_taken_yet_does_not_end_with_one() -> None:
    """It once failed with "may have run", and was sent all the same."""
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        serving = asyncio.create_task(b.serve(lambda message: b"!"))
        for number in range(YIELD_EVERY - 1):
            await a.send("b", number)
        # The request lets others go first, and the session ends meanwhile.
        asking = asyncio.create_task(a.request("b", b"?", timeout=60))
        closing = asyncio.create_task(a.close_transport("b"))
        assert await asking == b"!"
        await closing
        serving.cancel()
        await asyncio.wait([serving])


async def test_a_request_that_is_given_up_before_it_was_sent_is_never_sent_and_takes_no_place() -> None:
    hub = Hub()
    async with (
        InprocTransportManager("a", hub, queue_messages=1, pending_requests=1) as a,
        InprocTransportManager("b", hub) as b,
    ):
        await a.send("b", b"fills the queue")
        first = asyncio.create_task(a.request("b", b"1"))
        await asyncio.sleep(0)
        with pytest.raises(BackpressureError, match="1 requests wait"):
            await a.request("b", b"2")
        first.cancel()
        await asyncio.wait([first])
        seen = []

        def handler(message: Message) -> bytes:
            seen.append(message.data)
            return b"!"

        serving = asyncio.create_task(b.serve(handler))
        assert await a.request("b", b"3", timeout=60) == b"!"
        assert seen == [b"fills the queue", b"3"]
        serving.cancel()
        await asyncio.wait([serving])


async def test_queued_messages_go_to_the_peer_that_appears_in_order_and_bounded() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub, queue_messages=3) as a:
        for number in range(3):
            a.send_nowait("b", number)
        with pytest.raises(BackpressureError):
            a.send_nowait("b", 3)
        waiting = asyncio.ensure_future(a.send("b", 3, when_down="queue", confirm="processed"))
        drained = asyncio.ensure_future(a.drain("b"))
        await asyncio.sleep(0)
        async with InprocTransportManager("b", hub) as b:
            assert [m.data for m in await take(b, 4)] == [0, 1, 2, 3]
            await waiting
            await drained


async def test_bytes_bound_the_queue_too_and_an_empty_one_takes_any_size() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub, queue_bytes=100) as a, InprocTransportManager("b", hub) as b:
        a.send_nowait("b", bytes(1000))
        with pytest.raises(BackpressureError):
            a.send_nowait("b", b"x")
        a.send_nowait("b", bytes(60), payload_type=PayloadType.STREAM_RELIABLE)
        with pytest.raises(BackpressureError):
            a.send_nowait("b", bytes(60), payload_type=PayloadType.STREAM_RELIABLE)
        waiting = asyncio.ensure_future(a.send("b", b"next"))
        assert [len(m.data) for m in await take(b, 3)] == [1000, 60, 4]
        await waiting


async def test_a_large_message_that_waits_is_not_overtaken_until_it_gives_up() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub, queue_bytes=100) as a, InprocTransportManager("b", hub) as b:
        await a.send("b", bytes(50))
        large, small = asyncio.ensure_future(a.send("b", bytes(80))), asyncio.ensure_future(a.send("b", bytes(40)))
        await asyncio.sleep(0)
        with pytest.raises(BackpressureError):
            a.send_nowait("b", bytes(10))
        assert not small.done()
        large.cancel()
        assert (await small)[1] == 1, "nobody consumed, but there was space for it"
        assert [len(m.data) for m in await take(b, 2)] == [50, 40]


async def test_latency_first_drops_the_oldest_and_counts() -> None:
    hub = Hub()
    lane = PayloadType.STREAM_LATENCY_FIRST
    async with InprocTransportManager("a", hub, queue_messages=3) as a, InprocTransportManager("b", hub) as b:
        for number in range(10):
            await a.send("b", number, payload_type=lane)
        assert [m.data for m in await take(b, 3)] == [7, 8, 9]
        (dest,) = a.snapshot().dests
        assert [snapshot.dropped for snapshot in dest.lanes] == [7]
        with pytest.raises(ValueError, match="never acknowledged"):
            await a.send("b", 1, payload_type=lane, confirm="received")


async def test_durable_is_refused_clearly() -> None:
    async with InprocTransportManager("a", Hub()) as a:
        with pytest.raises(ValueError, match="store"):
            await a.send("a", 1, confirm="durable")


async def test_a_restarted_peer_is_a_new_session() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a:
        events = a.events()
        async with InprocTransportManager("b", hub) as b:
            first = await a.send("b", 1)
            unprocessed = asyncio.ensure_future(a.send("b", 2, confirm="processed"))
            asking = asyncio.ensure_future(a.request("b", 3))
            await asyncio.sleep(0)
            await take(b, 1)
        with pytest.raises(PeerClosedError) as caught:
            await unprocessed
        assert [lost.outcome.name for lost in caught.value.lost] == ["UNKNOWN"]
        with pytest.raises(OutcomeUnknownError):
            await asking
        with pytest.raises(PeerClosedError, match="reopen=True"):
            await a.send("b", 4)
        with pytest.raises(ConnectError):
            await a.send("b", 4, reopen=True)
        async with InprocTransportManager("b", hub) as b:
            second = await a.send("b", 5)
            assert [m.data for m in await take(b, 1)] == [5]
        assert (second[0].session, second[1]) == (first[0].session + 1, 0)
        ended = [event for event in [(await events.__anext__())[1] for _ in range(6)] if type(event) is SessionEnded]
        assert [event.lost for event in ended] == [()]


async def test_senders_that_wait_for_space_go_on_with_the_next_session() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub, queue_messages=1, connect_timeout=30) as a:
        async with InprocTransportManager("b", hub) as b:
            await a.send("b", 0)
            waiting = [asyncio.ensure_future(a.send("b", n)) for n in (1, 2)]
            await asyncio.sleep(0)
            await b.aclose(returning_in=1)
        async with InprocTransportManager("b", hub) as b:
            assert [m.data for m in await take(b, 2)] == [1, 2]
            await asyncio.wait(waiting)


async def test_a_peer_without_room_refuses() -> None:
    hub = Hub()
    async with (
        InprocTransportManager("a", hub) as a,
        InprocTransportManager("b", hub, max_dests=1) as b,
        InprocTransportManager("c", hub) as c,
    ):
        await a.send("b", 1)
        with pytest.raises(ConnectError):
            await c.send("b", 2)
        with pytest.raises(BackpressureError, match="max_dests"):
            await b.send("c", 2)
        assert [m.data for m in await take(b, 1)] == [1]


async def test_an_unclosed_manager_warns_and_leaves_the_hub() -> None:
    hub = Hub()
    manager = InprocTransportManager("a", hub)
    await manager.__aenter__()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        del manager
        gc.collect()
    assert [warning.category for warning in seen] == [ResourceWarning]
    await asyncio.sleep(0)
    assert hub.node_count == 0


async def test_use_before_entering_says_so() -> None:
    manager = InprocTransportManager("a", Hub())
    with pytest.raises(ManagerStateError, match="async with"):
        await manager.send("b", 1)
    with pytest.raises(ManagerStateError, match="async with"):
        manager.messages()
    await manager.aclose()
    assert "new" in repr(manager)


async def test_a_full_hub_says_so() -> None:
    hub = Hub(max_nodes=1)
    async with InprocTransportManager("a", hub):
        with pytest.raises(ManagerStateError, match="max_nodes"):
            async with InprocTransportManager("b", hub):
                pass


async def test_a_tight_send_loop_lets_others_run() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        taking = asyncio.ensure_future(take(b, 100))
        for number in range(1000):
            await a.send("b", number)
        assert taking.done()
        await taking


async def test_drain_fails_when_the_peer_never_came() -> None:
    async with InprocTransportManager("a", Hub()) as a:
        a.send_nowait("b", 1)
        draining = asyncio.ensure_future(a.drain())
        await asyncio.sleep(0)
        await a.close_all()
        with pytest.raises(SessionEndedError) as caught:
            await draining
        assert [lost.number for lost in caught.value.lost] == [0]


async def test_a_request_that_waits_for_space_hears_of_the_end_at_once() -> None:
    """It once waited for the next session, was sent there, and its answer was thrown away."""
    hub = Hub()
    async with InprocTransportManager("a", hub, queue_messages=1, connect_timeout=30.0) as a:
        async with InprocTransportManager("b", hub, queue_messages=1) as b:
            a.send_nowait("b", 0)
            asking = asyncio.ensure_future(a.request("b", 1))
            sending = asyncio.ensure_future(a.send("b", 2))
            await asyncio.sleep(0)
            assert not asking.done()
            await b.aclose(returning_in=1)
        async with asyncio.timeout(120):
            with pytest.raises(ConnectError, match="never reached it; send it again"):
                await asking
        async with InprocTransportManager("b", hub) as b:
            assert [message.data for message in await take(b, 1)] == [2]
            await sending
            assert b.snapshot().inbox_bytes == 0
