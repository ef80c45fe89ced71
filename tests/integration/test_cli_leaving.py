"""How `litz up` ends: the parts `outproc.cli.leaving`, `outproc.cli.up` and `outproc.cli.running`."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from inproc import Hub, InprocTransportManager
from litz.errors import PeerClosedError, PeerDrainingError
from litz.events import EndReason, PeerDraining, SessionEnded
from litz.message import Message
from litz.testing.manager_case import expect, serving
from litz.testing.manager_life import next_of
from outproc import OutprocTransportManager
from outproc.cli.leaving import leave
from outproc.cli.running import Stop
from tests.integration.cli_process import Litz

UP = r"is up at (ws://\S+)"


async def test_a_signal_makes_a_node_leave_in_order(tmp_path: Path) -> None:
    with Litz(tmp_path, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0", "--returning-in", "600") as bob:
        url = (await asyncio.to_thread(bob.hear, UP))[1]
        async with OutprocTransportManager("alice", directory={"bob": [url]}) as alice:
            assert await alice.request("bob", b"hello", timeout=120) == b"hello"
            events = alice.events()
            bob.process.send_signal(signal.SIGTERM)
            told = await next_of(events, PeerDraining)
            assert told.reason == "stopped"
            assert told.returning_in is not None
            assert told.returning_in >= 600
            ended = await next_of(events, SessionEnded)
            assert (ended.reason, ended.lost) == (EndReason.CLOSED_BY_PEER, ())
            assert await asyncio.to_thread(bob.wait) == 0
            await alice.send("bob", b"kept until it is back")
            (gone,) = alice.snapshot().departed
            assert gone.returning_in is not None
            (dest,) = alice.snapshot().dests
            assert dest.slots[0].dials == 1, "dialled, although it is back only later"
    assert "leaves" in bob.text
    assert "says goodbye" in bob.text
    assert "Traceback" not in bob.text


async def test_without_returning_it_is_gone_for_good(tmp_path: Path) -> None:
    with Litz(tmp_path, "up", "--id", "bob", "--listen", "ws://127.0.0.1:0") as bob:
        url = (await asyncio.to_thread(bob.hear, UP))[1]
        async with OutprocTransportManager("alice", directory={"bob": [url]}) as alice:
            await alice.send("bob", b"hello", confirm="received")
            events = alice.events()
            bob.process.send_signal(signal.SIGINT)
            await next_of(events, SessionEnded)
            error = await expect(PeerClosedError, alice.send("bob", b"again"), "after its goodbye")
            assert "stopped" in str(error)
            assert await asyncio.to_thread(bob.wait) == 0


async def test_what_was_not_confirmed_is_said_and_makes_the_exit_code_1() -> None:
    said: list[str] = []
    async with InprocTransportManager("a", Hub()) as a:
        for _ in range(3):
            a.send_nowait("nobody", b"x")
        assert await leave(a, Stop(), 0.05, None, said.append) == 1
    assert said == ["not confirmed by nobody: 3 never accepted (numbers 0 to 2 of lane 0)"]


async def test_a_second_signal_closes_at_once() -> None:
    hub, stop, said, asked = Hub(), Stop(), list[str](), asyncio.Event()

    async def never(_message: Message) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b, serving(a, never):
        asking = asyncio.create_task(b.request("a", b"?"))
        await asked.wait()
        stop.set()
        leaving = asyncio.create_task(leave(a, stop, 10_000.0, None, said.append))
        events = b.events()
        await next_of(events, PeerDraining)
        await expect(PeerDrainingError, b.send("a", b"x"), "it leaves")
        assert not leaving.done(), "a request is not answered"
        stop.set()
        assert await leaving == 130
        await asyncio.wait([asking])
        assert asking.exception() is not None
    assert said == ["a second signal: closing at once"]
