"""Stories of dialling in the background: what is better, what came later, and what makes room for each other."""

from __future__ import annotations

import asyncio

from litz.events import WireDown, WireUp
from tests.simulation.managers.stage import Stage, play


def test_a_dest_on_a_relay_goes_on_trying_the_direct_way_ever_more_seldom() -> None:
    async def story(stage: Stage) -> None:
        kinds = ("far", "near")
        natures = {"far": {"route": "relay"}}
        b = await stage.actor("b", kinds=kinds, natures=natures)
        away = stage.network.host("b").listeners.pop("near://b:1")
        a = await stage.actor("a", reach=["b"], kinds=kinds, natures=natures)
        near = a.builders[1]
        await a.manager.send("b", b"first", confirm="received")
        dials = []
        for _ in range(10):
            before = near.dials
            await asyncio.sleep(60.0)
            dials.append(near.dials - before)
        assert dials[0] > 4
        assert all(each <= 6 for each in dials[3:]), dials
        assert sum(dials[3:]) >= 4, "it is not given up"
        assert a.builders[0].dials == 1
        stage.network.host("b").listeners["near://b:1"] = away
        await a.until(lambda: a.count(WireUp) == 2, seconds=61.0)
        assert b.got == [b"first"]

    play(story)


def test_when_the_only_wire_is_lost_an_upgrade_that_took_its_time_hurries() -> None:
    async def story(stage: Stage) -> None:
        kinds = ("far", "near")
        await stage.actor("b", kinds=kinds)
        away = stage.network.host("b").listeners.pop("near://b:1")
        a = await stage.actor("a", reach=["b"], kinds=kinds, session_kept=600.0)
        await a.manager.send("b", b"first", confirm="received")
        await asyncio.sleep(600.0)
        stage.network.host("b").listeners["near://b:1"] = away
        stage.network.host("b").listeners.pop("far://b:1")
        stage.cut()
        await a.manager.send("b", b"second", confirm="received", timeout=6.0)

    play(story)


def test_an_endpoint_that_is_named_later_is_tried_at_once() -> None:
    async def story(stage: Stage) -> None:
        kinds = ("far", "near")
        await stage.actor("b", kinds=kinds)
        a = await stage.actor("a", kinds=kinds)
        a.manager.add_endpoints("b", ["far://b:1"])
        await a.manager.send("b", b"first", confirm="received")
        await asyncio.sleep(30.0)
        assert a.count(WireUp) == 1
        a.manager.add_endpoints("b", ["near://b:1"])
        await a.until(lambda: a.count(WireUp) == 2, seconds=0.2)

    play(story)


def test_of_two_dials_that_cross_one_stays_where_there_is_room_for_one_wire() -> None:
    """Each side once let go of the wire that the other kept, and the two were without any until one dialled again."""

    async def story(stage: Stage) -> None:
        a, b = [await stage.actor(name, reach=["ab".replace(name, "")], max_wires=1) for name in "ab"]
        await asyncio.gather(a.manager.send("b", b"1"), b.manager.send("a", b"2"))
        await asyncio.sleep(3.0)
        downs = [event for each in (a, b) for event in each.events if isinstance(event, WireDown)]
        assert len(downs) == 2, "the dials crossed"
        assert all(event.wires_left == 1 for event in downs), downs

    for seed in range(8):
        play(story, seed=seed)


def test_two_sides_with_room_for_one_wire_soon_leave_each_other_in_peace() -> None:
    async def story(stage: Stage) -> None:
        kinds = ("tcp", "rtc")
        a, b = [
            await stage.actor(
                name, reach=["ab".replace(name, "")], kinds=kinds, max_wires=1, backoff_cap=1.0, upgrade_cap=16.0
            )
            for name in "ab"
        ]
        await asyncio.gather(a.manager.send("b", b"1"), b.manager.send("a", b"2"))
        await asyncio.sleep(20.0)
        early = a.count(WireDown)
        await asyncio.sleep(100.0)
        assert a.count(WireDown) - early <= 60, "each side at most about once in eight seconds, for each of two kinds"
        for number in range(10):
            await a.manager.send("b", b"%d" % number, confirm="received", timeout=5.0)
            await asyncio.sleep(1.0)

    for seed in range(8):
        play(story, seed=seed)
