"""The routing manager keeps the contract of streams, whichever of its two managers carries them.

Covers `litz.routed_host`, `litz.routed_codec`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import Stream, StreamAbortedError
from litz.routing import RoutingTransportManager
from litz.testing.manager_case import Check
from litz.testing.manager_contract import check_manager
from tests.contract.stream_checks import ALL_STREAM_CHECKS
from tests.contract.test_routing_manager import pair


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize("check", ALL_STREAM_CHECKS, ids=lambda check: check.__name__)
async def test_routing(check: Check, inside: bool) -> None:
    await check_manager(lambda: pair(inside=inside), check)


class Json:
    def encode(self, data: Any) -> bytes:
        return json.dumps(data).encode()

    def decode(self, data: bytes) -> Any:
        return json.loads(data)


@asynccontextmanager
async def three() -> AsyncIterator[tuple[RoutingTransportManager, RoutingTransportManager, InprocTransportManager]]:
    """Two routing managers in one process, and a manager outside of it that sees what leaves."""
    near, far = Hub(), Hub()

    def routing(local_id: str) -> RoutingTransportManager:
        inner = InprocTransportManager(local_id, near), InprocTransportManager(local_id, far)
        return RoutingTransportManager(local_id, inproc=inner[0], outproc=inner[1], codec=Json())

    async with routing("a") as a, routing("in") as inside, InprocTransportManager("out", far) as outside:
        yield a, inside, outside


async def double(stream: Stream) -> None:
    async for message in stream:
        await stream.send(message * 2)


async def test_objects_inside_and_the_codec_outside() -> None:
    async with three() as (a, inside, outside):
        inside.listen_streams("double", double)
        outside.listen_streams("double", double)
        listener = a.listen_streams("count", double)
        thing = [object()]
        async with a.open_stream("in", "double") as stream:
            await stream.send(thing)
            assert await stream.receive() == thing * 2
            assert stream.peer.dest == "in"
        async with a.open_stream("out", "double") as stream:
            await stream.send(1)
            assert await stream.receive() == 11, "b'1' * 2, decoded"
        async with inside.open_stream("a", "count") as near, outside.open_stream("a", "count") as far:
            await near.send(thing)
            assert await near.receive() == thing * 2
            await far.send(b'"x"')
            assert await far.receive() == b'"xx"'
            assert sorted(stream.dest for stream in listener.streams) == ["in", "out"]
        async with outside.open_stream("a", "count") as far:
            await far.send(b"no json")
            with pytest.raises(StreamAbortedError, match="cannot be decoded"):
                await far.receive()


async def test_a_service_that_is_taken_in_one_is_bound_in_none() -> None:
    from litz import ConsumerConflictError

    far = Hub()
    outer = InprocTransportManager("a", far)
    async with RoutingTransportManager("a", inproc=InprocTransportManager("a", Hub()), outproc=outer) as a:
        listener = outer.listen_streams("x", double)
        for _ in range(2):
            with pytest.raises(ConsumerConflictError):
                a.listen_streams("x", double)
        await listener.stop()
        await a.listen_streams("x", double).stop()
