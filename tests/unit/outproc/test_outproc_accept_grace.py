"""What is left to the peer to dial, and for how long."""

from __future__ import annotations

import asyncio
from typing import Any

from litz.wire import AcceptWire, Endpoint, Wire
from outproc import OutprocTransportManager
from outproc.accept_grace import AcceptGrace
from outproc.wires.memory import MemoryListener
from tests.unit.outproc.town import Town, WatchedBuilder, virtual


def test_each_kind_has_its_own_time() -> None:
    grace = AcceptGrace(1.0)
    grace.lost("websocket", 10.0)
    grace.lost("webrtc", 10.4)
    assert grace.kinds == {"websocket", "webrtc"}
    assert grace.due == 11.0
    assert grace.over(10.9) == ()
    assert grace.over(11.0) == ("websocket",)
    assert grace.kinds == {"webrtc"}
    assert grace.due == 11.4


def test_that_one_kind_is_back_says_nothing_of_the_others() -> None:
    grace = AcceptGrace(1.0)
    grace.lost("websocket", 10.0)
    grace.lost("webrtc", 10.0)
    grace.came("websocket")
    grace.came("relay")
    assert grace.kinds == {"webrtc"}
    assert grace.over(11.0) == ("webrtc",)
    assert grace.due is None


def test_a_kind_that_is_lost_again_has_all_its_time() -> None:
    grace = AcceptGrace(1.0)
    grace.lost("websocket", 10.0)
    grace.came("websocket")
    grace.lost("websocket", 10.5)
    assert grace.over(11.0) == ()
    assert grace.due == 11.5


def _twin(endpoint: Endpoint) -> Endpoint:
    return Endpoint("memory", f"memory:{endpoint}")


class OtherWires(WatchedBuilder):
    """The same again, as wires of another kind."""

    kind = "other"
    schemes = ("other",)

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        wire = await super().build(dest, _twin(endpoint))
        wire.kind = self.kind
        return wire

    async def listen(self, endpoint: Endpoint, accept: AcceptWire, **options: Any) -> MemoryListener:
        def take(wire: Wire) -> None:
            wire.kind = self.kind
            accept(wire)

        return await super().listen(_twin(endpoint), take, **options)


def test_that_one_kind_is_back_does_not_make_the_other_side_dial_the_rest() -> None:
    async def scenario() -> None:
        town = Town()
        where = {"alice": ["memory:alice", "other:alice"], "bob": ["memory:bob", "other:bob"]}
        plain = {name: WatchedBuilder(town.network) for name in where}
        other = {name: OtherWires(town.network) for name in where}
        alice, bob = (
            OutprocTransportManager(name, builders=[plain[name], other[name]], directory=where) for name in where
        )
        async with alice, bob:
            for url in where["bob"]:
                await bob.listen(url)
            await alice.send("bob", b"0")
            await asyncio.sleep(1)
            for _ in range(3):  # after the first loss the other side might have begun to dial
                gate = other["alice"].gates["memory:other:bob"] = asyncio.Event()
                plain["alice"].cut()
                other["alice"].cut()
                await asyncio.sleep(0.9)
                assert [wire.kind for wire in bob.snapshot().dests[0].wires] == ["memory"], "only that one is back"
                gate.set()
                await asyncio.sleep(2)
                assert len(bob.snapshot().dests[0].wires) == 2
            assert plain["bob"].dials == other["bob"].dials == []

    virtual(scenario)
