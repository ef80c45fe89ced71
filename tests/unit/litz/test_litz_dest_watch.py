"""Waiting for the state of one dest: news of others wakes nobody, and who gave up leaves nothing behind."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from inproc import Hub, InprocTransportManager
from litz.dest_watch import DestWatch
from litz.testing import SimLoop, run_simulation


def test_only_those_who_wait_for_the_dest_are_woken() -> None:
    woken: list[str] = []

    async def wait(watch: DestWatch, dest: str) -> None:
        await watch.changed(dest)
        woken.append(dest)

    async def main(loop: SimLoop) -> None:
        watch = DestWatch()
        waiting = [asyncio.ensure_future(wait(watch, dest)) for dest in ("a", "b", "a", "c")]
        await asyncio.sleep(1)
        watch.tell("a")
        watch.tell("nobody waits for this one")
        await asyncio.sleep(1)
        assert woken == ["a", "a"]
        watch.tell_all()
        await asyncio.gather(*waiting)
        assert sorted(woken) == ["a", "a", "b", "c"]
        assert len(watch) == 0

    run_simulation(main, seed=1)


def test_who_gave_up_leaves_nothing_and_disturbs_no_other() -> None:
    async def main(loop: SimLoop) -> None:
        watch = DestWatch()
        one, other = (asyncio.ensure_future(watch.changed("a")) for _ in range(2))
        alone = asyncio.ensure_future(watch.changed("b"))
        await asyncio.sleep(1)
        one.cancel()
        alone.cancel()
        await asyncio.sleep(1)
        assert len(watch) == 1
        watch.tell("a")
        other_again = asyncio.ensure_future(watch.changed("a"))
        await other
        await asyncio.sleep(1)
        assert not other_again.done(), "it came after the news"
        watch.tell("a")
        await other_again
        assert len(watch) == 0

    run_simulation(main, seed=1)


def test_each_of_many_who_wait_is_woken_for_its_own_dest_and_for_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a node that waits for n peers looks n times at each of them, and a few thousand stop it for minutes."""
    looks: list[str] = []
    look = InprocTransportManager.is_connected

    def counted(manager: InprocTransportManager, dest: str) -> bool:
        looks.append(dest)
        return look(manager, dest)

    monkeypatch.setattr(InprocTransportManager, "is_connected", counted)

    async def main(loop: SimLoop) -> None:
        hub = Hub()
        names = [f"peer-{number}" for number in range(50)]
        async with InprocTransportManager("node", hub) as node, AsyncExitStack() as peers:
            waiting = [asyncio.ensure_future(node.wait_connected(name)) for name in names]
            await asyncio.sleep(1)
            for name in names:
                peer = await peers.enter_async_context(InprocTransportManager(name, hub))
                await peer.send("node", b"here I am")
            await asyncio.gather(*waiting)
            assert len(looks) == 2 * len(names)

    run_simulation(main, seed=1)
