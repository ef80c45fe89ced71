"""The contract of wires: run it on your own.

    @pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))
    async def test_my_wire(check):
        await check(make_pair)

`make_pair` opens two connected wires, not started (see `MakePair`). The checks wait for events, never for
time, so that they run on asyncio, uvloop and `SimLoop`. What a wire promises only if `ordered` or `reliable`
is asked of such wires only. Not asked, because the law is silent: empty frames.
"""

from __future__ import annotations

import asyncio
import gc
import random
import warnings
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from litz.testing.recording import DEADLINE, MakePair, open_ends
from litz.testing.urgent_contract import URGENT_CHECKS
from litz.testing.wire_traffic import fill, some_frames
from litz.wire import LOW_WATER, LossReason, WirePath

WireCheck = Callable[[MakePair], Awaitable[None]]

CLOSE_BOUND: Final = 10.0
"""Seconds in which `close` must be done when the peer does not read."""


async def check_describes_itself(make_pair: MakePair) -> None:
    """A new wire knows its kind and path, and has nothing buffered."""
    async with open_ends(make_pair) as ends:
        for end in ends:
            wire = end.wire
            assert wire.kind, f"the {end.name} has no kind"
            assert isinstance(wire.path, WirePath), f"the path of the {end.name} is {wire.path!r}"
            assert wire.max_frame >= 8, f"max_frame of the {end.name} is {wire.max_frame}"
            assert wire.buffered_bytes == 0
            assert wire.writable
            assert wire.channel_binding is None or isinstance(wire.channel_binding, bytes)
            assert wire.kind in repr(wire)
        assert ends[0].wire.kind == ends[1].wire.kind


async def check_one_byte(make_pair: MakePair) -> None:
    """A frame of one byte arrives, both ways."""
    async with open_ends(make_pair) as ends:
        for end in ends:
            end.start()
        for end in ends:
            end.write(b"\x00")
        for end in ends:
            await end.receives([b"\x00"])


async def check_largest_frame(make_pair: MakePair) -> None:
    """A frame of exactly `max_frame` bytes arrives, both ways; one byte more is a ValueError and no harm."""
    async with open_ends(make_pair) as ends:
        for end in ends:
            end.start()
        for end in ends:
            size = end.wire.max_frame
            frame = random.Random(size).randbytes(size)
            end.write(frame)
            for over in ((frame, b"!"), (frame + b"!",)):
                try:
                    end.write(*over)
                except ValueError:
                    continue
                raise AssertionError(f"the {end.name} took a frame of {size + 1} bytes; max_frame is {size}")
            await end.peer.receives([frame])
            end.write(b"after")
            await end.peer.receives([frame, b"after"])


async def check_buffers(make_pair: MakePair) -> None:
    """A frame is a list of buffers of any byte type, empty ones too; it arrives joined."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        whole = b"#memory#"
        frames: list[Sequence[bytes | bytearray | memoryview]] = [
            [b"b"],
            [bytearray(b"array")],
            [memoryview(whole)[1:-1]],
            (b"a", bytearray(b"b"), memoryview(b"c")),
            [b"", b"x", b"", b"yz", bytearray()],
            [bytes([index]) for index in range(8)],
        ]
        for frame in frames:
            dialler.write(*frame)
        await acceptor.receives([b"".join(frame) for frame in frames])
        assert whole == b"#memory#"


async def check_order_both_ways(make_pair: MakePair) -> None:
    """Many frames of many sizes, both ways at once, arrive whole and in order."""
    async with open_ends(make_pair) as ends:
        for end in ends:
            end.start()
        written: list[list[bytes]] = [[], []]
        plans = [some_frames(end.wire.max_frame, 300, 512 * 1024, seed) for seed, end in enumerate(ends)]
        for index in range(300):
            for end, plan, sent in zip(ends, plans, written, strict=True):
                end.write(plan[index])
                sent.append(plan[index])
            if index % 50 == 49:
                await asyncio.sleep(0)
        for end, sent in zip(ends, reversed(written), strict=True):
            await end.receives(sent)


async def check_large_burst(make_pair: MakePair) -> None:
    """Megabytes written at once arrive byte for byte."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        size = min(dialler.wire.max_frame, 1 << 20)
        count = max(4, min(2000, (4 << 20) // size))
        block = random.Random(7).randbytes(size - 4)
        frames = [index.to_bytes(4, "big") + block for index in range(count)]
        for frame in frames:
            dialler.write(memoryview(frame)[:5], memoryview(frame)[5:])
        await acceptor.receives(frames)


async def check_frames_wait_for_start(make_pair: MakePair) -> None:
    """Frames that came before `start` wait for it, and the other direction does not mind."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        early = some_frames(dialler.wire.max_frame, 20, 8 * 1024)
        for frame in early:
            dialler.write(frame)
        acceptor.write(b"not started, yet writing")
        await dialler.receives([b"not started, yet writing"])
        assert acceptor.sink.frames == []
        acceptor.start()
        await acceptor.receives(early)


async def check_close_flushes(make_pair: MakePair) -> None:
    """All that was written before `close` arrives, then both ends learn of the close. Either end may close."""
    for closer in (0, 1):
        async with open_ends(make_pair) as ends:
            first, second = ends[closer], ends[1 - closer]
            first.start()
            second.start()
            frames = some_frames(first.wire.max_frame, 200, 256 * 1024)
            for frame in frames:
                first.write(frame)
            first.close()
            first.write(b"too late")
            assert (await first.closed()).reason is LossReason.LOCAL
            loss = await second.closed()
            if first.wire.reliable:
                assert loss.reason is LossReason.REMOTE, f"a flushed close looks like {loss} to the peer"
                await second.receives(frames)
            assert b"too late" not in second.sink.frames


async def check_close_without_traffic(make_pair: MakePair) -> None:
    """Closing an idle wire, at both ends at once too, ends both; so does closing before `start`."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        dialler.close()
        acceptor.close()
        await dialler.closed()
        await acceptor.closed()
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.close()
        acceptor.start()
        await acceptor.closed()
        dialler.start()
        assert (await dialler.closed()).reason is LossReason.LOCAL


async def check_abort(make_pair: MakePair) -> None:
    """`abort` ends both ends. Either end may do it, with frames under way."""
    for aborter in (0, 1):
        async with open_ends(make_pair) as ends:
            first, second = ends[aborter], ends[1 - aborter]
            first.start()
            second.start()
            frames = some_frames(first.wire.max_frame, 50, 256 * 1024)
            for frame in frames:
                first.write(frame)
            first.abort()
            assert first.wire.buffered_bytes == 0, "an aborted wire still has bytes buffered"
            assert (await first.closed()).reason is LossReason.LOCAL
            loss = await second.closed()
            assert loss.reason in (LossReason.REMOTE, LossReason.RESET), f"the peer saw {loss}"
            if second.wire.ordered and second.wire.reliable:
                assert second.sink.frames == frames[: len(second.sink.frames)], "not a prefix"


async def check_ends_are_idempotent(make_pair: MakePair) -> None:
    """`close` and `abort` may be called again in any order; `wire_closed` is called once."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        for verb in (dialler.close, dialler.close, dialler.abort, dialler.abort, dialler.close):
            verb()
        await dialler.closed()
        await acceptor.closed()
        for end in (dialler, acceptor):
            end.close()
            end.abort()


async def check_write_after_death(make_pair: MakePair) -> None:
    """Writing on a dead wire is silent, and nothing stays buffered."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        acceptor.start()
        acceptor.abort()
        await acceptor.closed()
        for _ in range(50):
            dialler.write(b"into the void")
        await dialler.closed()
        for end in (dialler, acceptor):
            end.write(b"into the void")
            assert end.wire.buffered_bytes == 0


async def check_death_before_start(make_pair: MakePair) -> None:
    """A wire that died before `start` tells it soon after `start`, at both ends."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.abort()
        acceptor.start()
        await acceptor.closed()
        dialler.start()
        await dialler.closed()


async def check_calls_from_callbacks(make_pair: MakePair) -> None:
    """A sink may write from `frame_received`, and abort: then nothing but `wire_closed` follows."""
    async with open_ends(make_pair) as (dialler, acceptor):
        acceptor.sink.on_frame = lambda frame: acceptor.write(b"echo ", frame)
        dialler.start()
        acceptor.start()
        dialler.write(b"one")
        await dialler.receives([b"echo one"])

        def abort_at_once(frame: bytes) -> None:
            acceptor.abort()
            acceptor.sink.on_frame = lambda late: acceptor.sink.wrong.append("a frame came after abort")

        acceptor.sink.on_frame = abort_at_once
        for index in range(20):
            dialler.write(b"%d" % index)
        await acceptor.closed()
        await dialler.closed()


async def check_backpressure(make_pair: MakePair) -> None:
    """With a peer that does not read, `buffered_bytes` grows and `writable` turns false; when it reads,
    `wire_writable` is called once, all arrives, and `buffered_bytes` returns to 0."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        written = await fill(dialler)
        assert dialler.wire.buffered_bytes > LOW_WATER
        called = dialler.sink.writable_calls
        acceptor.start()
        await dialler.sink.until(lambda: dialler.sink.writable_calls > called, "wire_writable")
        assert dialler.wire.buffered_bytes <= LOW_WATER
        assert dialler.wire.writable
        await acceptor.receives(written)
        async with asyncio.timeout(DEADLINE):
            while dialler.wire.buffered_bytes:  # noqa: ASYNC110 (a wire tells of LOW_WATER only)
                await asyncio.sleep(0.005)
        assert dialler.sink.writable_calls == called + 1, "wire_writable was called more than once"


async def check_close_is_bounded(make_pair: MakePair) -> None:
    """`close` ends in bounded time although the peer does not read what is buffered."""
    async with open_ends(make_pair) as (dialler, acceptor):
        dialler.start()
        written = await fill(dialler)
        dialler.close()
        ended = asyncio.get_running_loop().create_task(dialler.closed())
        # A timer of this loop, which is as late as those of the wire when the machine is busy.
        await asyncio.wait([ended], timeout=CLOSE_BOUND)
        for _ in range(20):
            await asyncio.sleep(0)
        in_time = ended.done()
        assert (await ended).reason in (LossReason.LOCAL, LossReason.TIMEOUT)
        assert in_time, f"close took more than {CLOSE_BOUND:g} s"
        acceptor.start()
        await acceptor.closed()
        if acceptor.wire.ordered and acceptor.wire.reliable:
            assert acceptor.sink.frames == written[: len(acceptor.sink.frames)], "not a prefix"


async def check_leaves_nothing(make_pair: MakePair) -> None:
    """No warning and no error for the loop's exception handler, from use, close, abort and neglect."""
    loop = asyncio.get_running_loop()
    errors: list[dict[str, Any]] = []
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await _use_in_all_ways(make_pair)
            gc.collect()
            await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(handler)
    assert not caught, f"warnings: {[str(warning.message) for warning in caught]}"
    assert not errors, f"errors nobody saw: {errors}"


async def _use_in_all_ways(make_pair: MakePair) -> None:
    for end in ("close", "abort", "never started"):
        async with open_ends(make_pair) as (dialler, acceptor):
            if end == "never started":
                continue
            dialler.start()
            acceptor.start()
            dialler.write(b"hello")
            await acceptor.receives([b"hello"])
            getattr(dialler, end)()
            await dialler.closed()
            await acceptor.closed()


WIRE_CHECKS: Final[dict[str, WireCheck]] = {
    "describes_itself": check_describes_itself,
    "one_byte": check_one_byte,
    "largest_frame": check_largest_frame,
    "buffers": check_buffers,
    "order_both_ways": check_order_both_ways,
    "large_burst": check_large_burst,
    "frames_wait_for_start": check_frames_wait_for_start,
    "close_flushes": check_close_flushes,
    "close_without_traffic": check_close_without_traffic,
    "abort": check_abort,
    "ends_are_idempotent": check_ends_are_idempotent,
    "write_after_death": check_write_after_death,
    "death_before_start": check_death_before_start,
    "calls_from_callbacks": check_calls_from_callbacks,
    "backpressure": check_backpressure,
    **URGENT_CHECKS,
    "close_is_bounded": check_close_is_bounded,
    "leaves_nothing": check_leaves_nothing,
}
"""All checks by name."""


async def check_wire(make_pair: MakePair) -> None:
    """Run all checks, one after the other. The first that fails raises AssertionError and is named."""
    for name, check in WIRE_CHECKS.items():
        try:
            await check(make_pair)
        except Exception as error:
            error.add_note(f"in the wire check {name!r}")
            raise
