"""Messages and drains of a channel come the same by the shorter way and by the usual one."""

from __future__ import annotations

import pytest

from outproc.wires.webrtc import wrtc_channel
from outproc.wires.webrtc.engine import BULK, DRAIN_AT, URGENT
from outproc.wires.webrtc.wrtc_channel import DirectChannel
from tests.unit.outproc_webrtc.test_webrtc_wrtc_engine import pair, until


@pytest.fixture(params=["shorter", "usual"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Another version of the library, without one of the names, is used the usual way."""
    if request.param == "usual":
        monkeypatch.setattr(wrtc_channel, "NEEDED", (*wrtc_channel.NEEDED, "_not_there"))
    return str(request.param)


async def test_all_that_comes_is_handed_on_in_order(way: str) -> None:
    async with pair() as (one, two):
        assert all(isinstance(each, DirectChannel) is (way == "shorter") for each in one.connection._channels)
        for number in range(50):
            one.connection.send(BULK, bytes([number]) * 20_000)
            one.connection.send(URGENT, bytes([number]))
        await until(lambda: len(two.told.messages) == 100)
        assert [data for at, data in two.told.messages if at == BULK] == [bytes([n]) * 20_000 for n in range(50)]
        assert [data for at, data in two.told.messages if at == URGENT] == [bytes([n]) for n in range(50)]


async def test_a_text_comes_as_text(way: str) -> None:
    async with pair() as (one, two):
        one.connection._channels[BULK].send("words")
        await until(lambda: two.told.messages)
        assert two.told.messages == [(BULK, "words")]


async def test_it_is_told_once_when_what_was_buffered_has_gone(way: str) -> None:
    async with pair() as (one, _):
        for _ in range(8):
            one.connection.send(BULK, bytes(128 * 1024))
        await until(lambda: one.told.drains)
        assert one.told.drains == [BULK]
        assert one.connection.buffered(BULK) <= DRAIN_AT
        await until(lambda: one.connection._channels[BULK].buffered_amount == 0)


async def test_what_comes_after_the_end_is_nobodys(way: str) -> None:
    async with pair() as (one, two):
        two.connection.abort()
        one.connection.send(BULK, b"late")
        await until(lambda: one.told.ends)
        assert not two.told.messages
    assert not wrtc_channel._takers, "nothing is kept of a connection that was closed"
