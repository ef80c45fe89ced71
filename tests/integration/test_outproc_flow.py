"""What a manager on real sockets does with payloads of every shape, full logs, keys and lossy traffic.

Covers `outproc.outbound`, `outproc.dispatch` and `outproc.snapshots`.
"""

from __future__ import annotations

import array
import asyncio
from typing import Any

import pytest

from litz.errors import BackpressureError, MessageTooLargeError
from litz.events import DropReason, MessagesDropped, MessagesSkipped
from litz.payload import PayloadType
from outproc import Overflow
from tests.integration.outproc_nodes import (
    LOOPBACK,
    QUICK,
    dest_of,
    lane_of,
    node,
    proxy_to,
    take,
    until,
    url_of,
)

STREAM = PayloadType.STREAM_RELIABLE


def bytes_2d() -> memoryview:
    """What numpy gives: several dimensions, items of more than a byte."""
    return memoryview(array.array("i", range(20_000))).cast("B").cast("i", (100, 200))


SHAPES: dict[str, tuple[Any, bytes]] = {
    "empty": (b"", b""),
    "bytearray": (bytearray(b"abc"), b"abc"),
    "list of buffers": ([b"a", bytearray(b"b"), memoryview(b"cd"), b""], b"abcd"),
    "empty list": ([], b""),
    "tuple with one": ((b"x",), b"x"),
    "two dimensions": (bytes_2d(), array.array("i", range(20_000)).tobytes()),
    "every second byte": (memoryview(bytes(range(256)) * 400)[::2], (bytes(range(256)) * 400)[::2]),
    "array": (array.array("d", [1.5] * 5000), array.array("d", [1.5] * 5000).tobytes()),
    "large parts": ([bytes(300_000), b"-", bytes(800_000)], bytes(300_000) + b"-" + bytes(800_000)),
}


@pytest.mark.both_loops
async def test_payloads_of_every_shape() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}) as a:
        for data, _ in SHAPES.values():
            await a.send("b", data)
            await a.send("b", data, payload_type=STREAM)
        got = await take(b, 2 * len(SHAPES))
        for lane in (PayloadType.RPC_RELIABLE, STREAM):
            found = [m.data for m in got if m.payload_type is lane]
            assert found == [expected for _, expected in SHAPES.values()]
            assert all(type(data) is bytes for data in found)


async def test_a_small_mutable_payload_may_be_changed_at_once() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}) as a:
        buffer = bytearray(b"before")
        await a.send("b", buffer)
        buffer[:] = b"after!"
        assert (await take(b, 1))[0].data == b"before"


async def test_max_message_is_met_to_the_byte() -> None:
    options = {"max_message": 2_000_000}
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}, options=options) as a:
        await a.send("b", bytes(2_000_000))
        assert len((await take(b, 1))[0].data) == 2_000_000
        for data in (bytes(2_000_001), [bytes(1_000_000), bytes(1_000_001)]):
            with pytest.raises(MessageTooLargeError, match="raise max_message on both sides, or use a stream"):
                await a.send("b", data)
        with pytest.raises(MessageTooLargeError):
            await a.request("b", bytes(2_000_001))
        with pytest.raises(MessageTooLargeError):
            a.send_nowait("b", bytes(1 << 20), payload_type=PayloadType.STREAM_LATENCY_FIRST)


async def test_the_largest_message_crosses_while_small_ones_pass_it() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}) as a:
        await a.get_or_create_transport("b")
        large = asyncio.create_task(a.send("b", bytes(16 << 20), payload_type=STREAM))
        await asyncio.sleep(0)
        await a.send("b", b"signal", payload_type=PayloadType.RPC_SIGNAL)
        await a.send("b", b"rpc")
        got = await take(b, 3)
        await large
        assert [len(m.data) for m in got] == [6, 3, 16 << 20], "the small ones waited for the large one"


async def test_a_full_log_pushes_back_and_lets_go() -> None:
    """Nobody consumes: the sender is stopped by credit, others are not, and the rest comes when somebody does."""
    options = {**QUICK, "log_messages": 10, "window_messages": 10}
    async with (
        node("b", listen=LOOPBACK, options=options) as b,
        node("a", knows={"b": b.endpoints}, options=options) as a,
    ):
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for number in range(100):
                await a.send("b", b"%d" % number)
                sent += 1

        flooding = asyncio.create_task(flood())
        await until(lambda: sent == 20, "a window and a log full are taken")
        with pytest.raises(BackpressureError, match=r"await send\(\) to wait for space"):
            a.send_nowait("b", b"no")
        await a.send("b", b"another lane", payload_type=STREAM, confirm="received")
        await b.send("a", b"another direction", confirm="received")
        assert sent == 20
        got = [m.data for m in await take(b, 101) if m.payload_type is not STREAM]
        await flooding
        assert got == [b"%d" % number for number in range(100)]


async def test_the_budget_of_the_process_stops_all_dests() -> None:
    options = {**QUICK, "process_log_size": 100_000, "max_message": 50_000}
    async with node("a", options=options) as a:
        for number in range(10):
            await a.send(f"dest{number}", bytes(10_000), when_down="queue")
        waiting = asyncio.create_task(a.send("dest10", bytes(10_000), when_down="queue"))
        with pytest.raises(BackpressureError):
            a.send_nowait("dest0", bytes(10_000))
        assert not waiting.done()
        await a.close_transport("dest3")
        await waiting
        assert a.snapshot().logged_bytes <= 100_000


async def downed(policy: Overflow, sends: list[tuple[bytes, str | None]]) -> tuple[list[bytes], list[Any], list[Any]]:
    """Send while the wire is down on a lane of at most four messages; what arrives after it is up, and the events."""
    options = {**QUICK, "overflow": {STREAM: policy}, "log_messages": 4, "backoff_cap": 0.05}
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}, options=options) as a,
    ):
        await a.send("b", b"first", payload_type=STREAM, confirm="received")
        await take(b, 1)
        proxy.refusing = True
        proxy.reset(proxy.links[max(proxy.links)])
        await until(lambda: not a.is_connected("b") and not b.is_connected("a"), "down")
        here, there = a.events(), b.events()
        refused = 0
        for data, key in sends:
            try:
                await a.send("b", data, payload_type=STREAM, key=key)
            except BackpressureError:
                refused += 1
        proxy.refusing = False
        await a.drain("b", timeout=120)
        await a.send("b", b"last", payload_type=STREAM, confirm="received")
        got = []
        async for message in b.messages():
            got.append(message.data)
            if message.data == b"last":
                break
        await asyncio.gather(a.aclose(), b.aclose())
        dropped = [event async for _, event in here if isinstance(event, MessagesDropped)]
        skipped = [event async for _, event in there if isinstance(event, MessagesSkipped)]
        assert refused in (0, len(sends) - 4)
        return got[:-1], [(e.first, e.last, e.reason) for e in dropped], [(e.first, e.last, e.reason) for e in skipped]


PLAIN: list[tuple[bytes, str | None]] = [(b"%d" % number, None) for number in range(6)]


async def test_drop_oldest_keeps_the_newest_and_both_sides_know() -> None:
    got, dropped, skipped = await downed(Overflow.DROP_OLDEST, PLAIN)
    assert got == [b"2", b"3", b"4", b"5"]
    assert dropped == [(1, 1, DropReason.OLDEST), (2, 2, DropReason.OLDEST)]
    assert skipped == [(1, 2, DropReason.OLDEST)]


async def test_drop_newest_keeps_the_oldest_and_both_sides_know() -> None:
    got, dropped, skipped = await downed(Overflow.DROP_NEWEST, PLAIN)
    assert got == [b"0", b"1", b"2", b"3"]
    assert dropped == [(5, 5, DropReason.NEWEST), (6, 6, DropReason.NEWEST)]
    assert skipped == [(5, 6, DropReason.NEWEST)]


async def test_reject_refuses_and_drops_nothing() -> None:
    assert await downed(Overflow.REJECT, PLAIN) == ([b"0", b"1", b"2", b"3"], [], [])


async def test_keep_latest_keeps_one_of_each_key() -> None:
    sends: list[tuple[bytes, str | None]] = [(b"x1", "x"), (b"y1", "y"), (b"x2", "x"), (b"x3", "x"), (b"y2", "y")]
    got, dropped, skipped = await downed(Overflow.KEEP_LATEST, sends)
    assert got == [b"x3", b"y2"]
    assert {reason for _, _, reason in dropped} == {DropReason.SUPERSEDED}
    assert sum(last - first + 1 for first, last, _ in dropped) == 3
    assert sum(last - first + 1 for first, last, _ in skipped) == 3


async def test_keys_arrive_and_are_checked() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}) as a:
        await a.send("b", b"", key="ключ")
        await a.send("b", b"")
        await a.send("b", b"", key="k" * 255)
        assert [m.key for m in await take(b, 3)] == ["ключ", None, "k" * 255]
        for wrong in ("", "k" * 256):
            with pytest.raises(ValueError, match="1 to 255 bytes"):
                await a.send("b", b"", key=wrong)


async def test_latency_first_drops_what_is_old_and_never_waits() -> None:
    """A peer that does not read: sending never waits, the log stays bounded, and the newest arrive when it does."""
    lane = PayloadType.STREAM_LATENCY_FIRST
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}, options={}) as a,
    ):
        await a.send("b", b"", confirm="received")
        await take(b, 1)
        link = proxy.links[max(proxy.links)]
        proxy.blackhole(link)
        count = 3000
        for number in range(count):
            await a.send("b", b"%06d" % number + bytes(5000), payload_type=lane)
        assert lane_of(a, "b", lane).logged_bytes <= 2 << 20
        await until(lambda: lane_of(a, "b", lane).dropped > 0, "the oldest are dropped")
        proxy.heal(link)
        got: list[int] = []
        async for message in b.messages():
            got.append(int(message.data[:6]))
            if got[-1] == count - 1:
                break
        assert got == sorted(set(got)), "doubled or out of order"
        assert len(got) < count
        assert lane_of(b, "a", lane).dropped + len(got) == count, "losses are not counted"


async def test_latency_first_goes_nowhere_while_down_and_says_so() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}) as a:
        with pytest.raises(ValueError, match="never acknowledged"):
            await a.send("b", b"", payload_type=PayloadType.STREAM_LATENCY_FIRST, confirm="received")
        with pytest.raises(ValueError, match="MEDIA is reserved"):
            await a.send("b", b"", payload_type=PayloadType.MEDIA)
        with pytest.raises(ValueError, match="durable inbox"):
            await a.send("b", b"", confirm="durable")


async def test_a_log_outlives_its_wires_and_is_forgotten_with_its_session() -> None:
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}) as a,
    ):
        await a.send("b", b"", confirm="received")
        proxy.refusing = True
        proxy.reset(proxy.links[max(proxy.links)])
        await until(lambda: not a.is_connected("b"), "down")
        for _ in range(50):
            await a.send("b", bytes(1000))
        assert a.snapshot().logged_bytes == 50_000
        await a.close_transport("b")
        assert a.snapshot().logged_bytes == 0


async def test_credit_is_given_back_by_the_consumer_not_by_arrival() -> None:
    options = {**QUICK, "window_messages": 8}
    async with (
        node("b", listen=LOOPBACK, options=options) as b,
        node("a", knows={"b": b.endpoints}) as a,
    ):
        for number in range(30):
            await a.send("b", b"%d" % number)
        await until(lambda: lane_of(b, "a").received == 8, "the window is full")
        stream = b.messages()
        for _ in range(5):
            await stream.__anext__()
        await until(lambda: lane_of(b, "a").received == 12, "what was processed is free again")
        await stream.aclose()
        assert len(await take(b, 25)) == 25
        assert dest_of(a, "b").replayed == 0
