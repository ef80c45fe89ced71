"""Payloads on their way in: what is accepted, copied, and refused; and what a peer with another limit is sent."""

from __future__ import annotations

import array
from typing import Any

import pytest

from litz.errors import MessageTooLargeError, PayloadError
from litz.events import DropReason, MessagesDropped, MessagesSkipped
from litz.payload import PayloadType
from outproc import OutprocTransportManager, TransportOptions
from outproc.body import COPY_LIMIT, body_of
from outproc.session.log import Parts
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder


def test_bytes_are_taken_as_they_are() -> None:
    data = b"x" * 100
    assert body_of(data, 100) is data


def test_a_small_buffer_may_be_changed_at_once_and_a_large_one_is_not_copied() -> None:
    small, large = bytearray(b"ab"), bytearray(COPY_LIMIT + 1)
    kept, shared = body_of(small, 1 << 20), body_of(large, 1 << 20)
    small[0] = large[0] = 0x7A
    assert bytes(kept) == b"ab"  # type: ignore[arg-type]  # a buffer, not Parts
    assert isinstance(shared, memoryview) and shared[0] == 0x7A


def test_a_list_of_buffers_is_not_joined_and_counts_its_bytes() -> None:
    body = body_of([b"ab", memoryview(array.array("d", [1.0])), b""], 100)
    assert isinstance(body, Parts) and len(body) == 10 and len(body.buffers) == 2


@pytest.mark.parametrize("data", ["text", 7, None, ["text"], {"a": 1}])
def test_what_is_not_bytes_is_refused_with_the_cure(data: Any) -> None:
    with pytest.raises(PayloadError, match="encode it"):
        body_of(data, 100)


def test_the_size_limit_names_the_cure() -> None:
    with pytest.raises(MessageTooLargeError, match="raise max_message"):
        body_of([b"x" * 60, b"y" * 60], 100)


def manager(name: str, network: MemoryNetwork, options: TransportOptions) -> OutprocTransportManager:
    return OutprocTransportManager(
        name, builders=[MemoryWireBuilder(network)], directory={"b": ["memory:b"]}, options=options
    )


async def test_a_peer_that_takes_less_is_never_sent_more() -> None:
    network = MemoryNetwork()
    options = TransportOptions(max_message=1_000)
    async with manager("b", network, options) as b, manager("a", network, TransportOptions()) as a:
        events = a.events()
        # Accepted before anybody knew what b takes: it must not cost b's wires for ever.
        early = a.send_nowait("b", b"x" * 2_000)
        a.send_nowait("b", b"z" * 2_000, payload_type=PayloadType.STREAM_LATENCY_FIRST)
        a.send_nowait("b", b"small")
        gaps = b.events()
        await b.listen("memory:b")
        inbox = b.messages()
        assert (await anext(inbox)).data == b"small"
        with pytest.raises(MessageTooLargeError, match="b takes messages of at most 1000 bytes"):
            await a.send("b", b"x" * 1_001)
        await a.send("b", b"y" * 1_000, confirm="received")
        assert (await anext(inbox)).data == b"y" * 1_000
        async for _, event in events:
            if isinstance(event, MessagesDropped):
                assert (event.first, event.reason) == (early[1], DropReason.TOO_LARGE)
                break
        async for _, event in gaps:
            if isinstance(event, MessagesSkipped):
                assert (event.first, event.last, event.reason) == (0, 0, DropReason.TOO_LARGE)
                break
        slots = a.snapshot().dests[0].slots
        assert sum(slot.dials - slot.failures for slot in slots) == 1, "no wire was lost for it"
        (lossy,) = [lane for lane in a.snapshot().dests[0].lanes if lane.lane == PayloadType.STREAM_LATENCY_FIRST]
        assert lossy.dropped == 1
