"""What is special about routing: by reference inside, by codec outside, both read as one.

Covers `litz.routed_streams`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import PayloadError, PayloadType
from litz.routing import RoutingTransportManager
from litz.testing.manager_case import serving, take
from outproc import OutprocTransportManager
from outproc.outbox import Inbox, Outbox


class Json:
    def encode(self, data: Any) -> bytes:
        return json.dumps(data).encode()

    def decode(self, data: bytes) -> Any:
        return json.loads(data)


@asynccontextmanager
async def three(
    codec: Json | None,
) -> AsyncIterator[tuple[RoutingTransportManager, InprocTransportManager, InprocTransportManager]]:
    """A routing manager, a peer inside, a peer outside (which sees bytes)."""
    near, far = Hub(), Hub()
    local, distant = InprocTransportManager("a", near), InprocTransportManager("a", far)
    async with (
        RoutingTransportManager("a", inproc=local, outproc=distant, codec=codec) as a,
        InprocTransportManager("in", near) as inside,
        InprocTransportManager("out", far) as outside,
    ):
        yield a, inside, outside


async def test_references_inside_and_bytes_outside() -> None:
    thing = {"x": [1]}
    async with three(Json()) as (a, inside, outside):
        await a.send("in", thing)
        await a.send("out", thing)
        assert (await take(inside, 1))[0].data is thing
        assert (await take(outside, 1))[0].data == b'{"x": [1]}'
        async with serving(outside, lambda m: m.data.upper()), serving(inside, lambda m: m.data):
            assert await a.request("out", "ask") == "ASK"
            assert await a.request("in", thing) is thing


async def test_both_sides_arrive_in_one_stream_and_are_served_as_one() -> None:
    async with three(Json()) as (a, inside, outside):
        await outside.send("a", b'["far"]')
        await inside.send("a", ["near"])
        got = await take(a, 2)
        assert sorted(m.data[0] for m in got) == ["far", "near"]
        async with serving(a, lambda m: [m.sender, *m.data]):
            assert await outside.request("a", b"[1]") == b'["out", 1]'
            assert await inside.request("a", [2]) == ["in", 2]
        assert a.list_dests() == ["in", "out"]
        snapshot = a.snapshot()
        assert len(snapshot.dests) == 2
        assert all("session started" in [each.what for each in dest.history] for dest in snapshot.dests)
        assert (snapshot.outbox, snapshot.inbox) == (None, None)


async def test_without_a_codec_an_object_outside_is_refused_by_name() -> None:
    async with three(None) as (a, _, outside):
        with pytest.raises(PayloadError, match=r"\{'x': 1\} \(dict\) cannot leave this process.*codec"):
            await a.send("out", {"x": 1})
        await a.send("out", [b"1", b"2"])
        assert (await take(outside, 1))[0].number == 0


async def test_what_cannot_be_decoded_is_an_error_of_that_message_only() -> None:
    async with three(Json()) as (a, _, outside):
        await outside.send("a", b"{")
        await outside.send("a", b"1")
        stream = a.messages()
        with pytest.raises(PayloadError, match="message 0 from out"):
            await stream.__anext__()
        assert (await stream.__anext__()).data == 1
        await stream.aclose()


async def test_the_three_ids_must_be_one() -> None:
    with pytest.raises(ValueError, match="one id"):
        RoutingTransportManager(
            "a", inproc=InprocTransportManager("a", Hub()), outproc=InprocTransportManager("b", Hub())
        )
    await asyncio.sleep(0)


async def test_a_snapshot_tells_of_durable_messages_too(tmp_path: Path) -> None:
    distant = OutprocTransportManager("a", outbox=Outbox(tmp_path / "outbox"), inbox=Inbox(tmp_path / "inbox"))
    async with RoutingTransportManager("a", inproc=InprocTransportManager("a", Hub()), outproc=distant) as a:
        await a.send("b", b"later", payload_type=PayloadType.RPC_DURABLE)
        snapshot = a.snapshot()
    assert snapshot.outbox is not None
    assert [(each.dest, each.waiting) for each in snapshot.outbox.dests] == [("b", 1)]
    assert snapshot.inbox is not None
