"""What those who follow the events of a node are told, over its control socket. Also of `outproc.cli.events` and
`outproc.cli.dest_words`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from litz.errors import ConnectError
from litz.events import EndReason, LostReceipt, Outcome, SessionEnded
from litz.message import Channel
from outproc import OutprocTransportManager
from outproc.cli.control_socket import MAX_FOLLOWERS, ControlSocket, Feed, ask, follow, running_nodes
from outproc.cli.dest_words import clock_text, standing, times_text
from outproc.cli.event_feed import EventFeed, live
from outproc.cli.events import line_of
from outproc.cli.outcome import CommandError
from outproc.cli.questions import questions_for


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITZ_RUNTIME_DIR", str(tmp_path / "run"))


@asynccontextmanager
async def node(local_id: str) -> AsyncIterator[OutprocTransportManager]:
    """A node as `litz up` runs it: its control socket outlives it."""
    manager = OutprocTransportManager(local_id)
    async with ControlSocket(local_id, questions_for(manager)), manager:
        yield manager


async def fail_to_reach(manager: OutprocTransportManager, dest: str) -> None:
    with pytest.raises(ConnectError):
        await manager.get_or_create_transport(dest)


async def told(**given: str) -> list[dict[str, Any]]:
    return [item async for item in follow(running_nodes()[0], "events", **given)]


async def test_without_following_it_tells_what_was_and_what_is_and_ends() -> None:
    async with node("alice") as alice, OutprocTransportManager("bob") as bob:
        await bob.listen("ws://127.0.0.1:0")
        await fail_to_reach(alice, "nobody")
        alice.add_endpoints("bob", bob.endpoints)
        await alice.send("bob", b"hello")
        items = await told()
        about_bob = await told(dest="bob")
    assert [item["number"] for item in items] == list(range(len(items)))
    assert {item["node"] for item in items} == {"alice"}
    past = [(item["dest"], item["what"]) for item in items if item["when"] == "past"]
    assert ("nobody", "connecting failed") in past
    assert past.index(("bob", "session started")) > past.index(("nobody", "connecting failed"))
    up, now = (item for item in items if item["when"] == "now")
    assert (up["dest"], up["what"]) == ("", "node alice is up")
    assert (now["dest"], now["what"], now["wires"][:1]) == ("bob", "connected", ["websocket"])
    assert about_bob
    assert {item["dest"] for item in about_bob} <= {"bob", ""}


async def test_following_tells_what_happens_until_the_node_has_ended() -> None:
    seen: list[dict[str, Any]] = []
    async with OutprocTransportManager("bob") as bob:
        await bob.listen("ws://127.0.0.1:0")
        async with node("alice") as alice:
            alice.add_endpoints("bob", bob.endpoints)
            await alice.send("bob", b"hello")
            following = follow(running_nodes()[0], "events", follow="yes")
            async for item in following:
                seen.append(item)
                if item["when"] == "now" and item["dest"]:
                    break

            async def rest() -> None:
                seen.extend([item async for item in following])

            task = asyncio.create_task(rest())
            await alice.close_transport("bob", reason="enough")
        await task  # it ends with the node, without anybody's help
    assert [item["number"] for item in seen] == list(range(len(seen)))
    happened = [item for item in seen if item["when"] == "live"]
    (ended,) = (item for item in happened if item.get("event") == "SessionEnded")
    assert (ended["dest"], ended["what"]) == ("bob", "session ended")
    assert ended["fields"]["reason"] == "closed here"
    assert ended["fields"]["lost"] == []
    assert all(item["event"] != "SessionStarted" for item in happened), "what is now was told as news"


async def test_a_follower_that_takes_nothing_misses_and_is_told_how_much() -> None:
    async with node("alice") as alice:
        reader, writer = await asyncio.open_unix_connection(str(running_nodes()[0]))
        writer.write(b'{"ask": "events", "with": {"follow": "yes"}}\n')
        assert json.loads(await reader.readline()) == {"ok": True, "follow": True}
        # Not read from now on: more than the socket, this side's buffer and the feed hold. The node goes on.
        dests = 3000
        for number in range(dests):
            await fail_to_reach(alice, f"nobody-{number}")
        items: list[dict[str, Any]] = []
        while not items or items[-1]["dest"] != f"nobody-{dests - 1}" or items[-1]["what"] != "connecting failed":
            items.append(json.loads(await reader.readline())["item"])
        writer.close()
        await writer.wait_closed()
    gaps = [item for item in items if item.get("event") == "EventGap"]
    assert gaps, "nothing was missed: the node keeps too much for a slow follower"
    missed = sum(gap["fields"]["missed"] for gap in gaps)
    assert missed + len(items) - len(gaps) == 2 * dests + 1, "every event is told or counted"
    assert [item["number"] for item in items] == list(range(len(items)))


class Endless(Feed):
    """Nothing happens until it is closed."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __anext__(self) -> str:
        await self.closed.wait()
        raise StopAsyncIteration

    def close(self) -> None:
        self.closed.set()


async def test_followers_are_counted_and_those_who_left_are_not() -> None:
    feeds: list[Endless] = []

    def endless() -> Endless:
        feeds.append(Endless())
        return feeds[-1]

    async with ControlSocket("bob", {"events": endless, "status": lambda: "fine"}):
        (path,) = running_nodes()
        writers = []
        for _ in range(MAX_FOLLOWERS):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b'{"ask": "events"}\n')
            assert json.loads(await reader.readline())["follow"]
            writers.append(writer)
        with pytest.raises(CommandError, match="end one of them"):
            await anext(follow(path, "events"))
        assert feeds[-1].closed.is_set()
        assert await asyncio.to_thread(ask, path, "status") == "fine", "others are answered as ever"
        writers[0].close()
        await writers[0].wait_closed()
        await feeds[0].closed.wait()  # although nothing happened that it could have been told
    # The socket is gone, and so are those who followed what would never have ended.
    assert all(feed.closed.is_set() for feed in feeds)
    for writer in writers[1:]:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers[1:]), return_exceptions=True)


async def test_a_node_that_dies_leaves_no_last_word() -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"ok": true, "follow": true}\n{"item": 1}\n')
        writer.close()
        await writer.wait_closed()

    async with ControlSocket("bob", {}):
        path = running_nodes()[0].with_name("other.sock")
    server = await asyncio.start_unix_server(die, str(path))
    async with server:
        following = follow(path, "events")
        assert await anext(following) == 1
        with pytest.raises(ConnectionResetError, match="left without an answer"):
            await anext(following)


async def test_what_is_asked_badly_is_refused() -> None:
    async with node("alice"):
        (path,) = running_nodes()
        with pytest.raises(CommandError, match="has a space"):
            await anext(follow(path, "events", dest="not a dest"))
    manager = OutprocTransportManager("carol")
    with pytest.raises(Exception, match="async with"):
        EventFeed(manager)


def test_lost_messages_are_told_in_runs() -> None:
    lost = [LostReceipt((Channel("bob", 1, 0), number), Outcome.UNKNOWN) for number in (1, 2, 3, 7)]
    lost.append(LostReceipt((Channel("bob", 1, 0), 8), Outcome.NEVER_ACCEPTED))
    item = live(SessionEnded("bob", 1, EndReason.EXPIRED, "", tuple(lost)), 5.0)
    assert item["fields"]["lost"] == {
        "count": 5,
        "runs": [
            {"lane": 0, "first": 1, "last": 3, "outcome": "outcome unknown"},
            {"lane": 0, "first": 7, "last": 7, "outcome": "outcome unknown"},
            {"lane": 0, "first": 8, "last": 8, "outcome": "never accepted"},
        ],
    }


def plain(item: dict[str, Any], *, named: bool = False) -> str:
    return Text.from_markup(line_of(item, 1_000_000.0, named=named)).plain


def test_lines_for_people_are_short_and_safe() -> None:
    item = {"when": "past", "at": 1_000_000.0, "since": 999_940.0, "times": 7, "node": "alice", "dest": "bob"}
    item |= {"what": "connecting failed", "cause": "[red]no\x1b[2J"}
    line = plain(item)
    assert line.endswith("connecting failed: [red]no\N{REPLACEMENT CHARACTER}[2J; 7 times in 60 s")
    assert " bob " in line
    assert "alice" not in line
    assert " alice bob " in plain(item, named=True)
    now = {
        "when": "now",
        "at": 5.0,
        "node": "alice",
        "dest": "bob",
        "what": "connected",
        "cause": "",
        "wires": ["a", "b"],
    }
    assert plain(now) == "     now  bob       connected: by a, b"


def test_how_a_dest_stands_in_words() -> None:
    assert standing() == ""
    assert standing(draining="restart", cause="x") == "it is leaving (restart); x"
    assert standing(cause="gone", retry_in=3, cold=False, given_up=False) == "gone; next attempt in 3.0 s"
    text = standing(cause="gone", retry_in=300, cold=True, given_up=False)
    assert text == "gone; cold: only probed now and then; next attempt in 5 min"
    assert standing(cause="gone", retry_in=None, cold=True, given_up=True).endswith("not dialled by itself any more")
    assert len(clock_text(1000.0, 1000.0)) == len("00:00:00")
    assert len(clock_text(1000.0, 1_000_000.0)) == len("01-01 00:00:00")
    assert times_text(1, 0, 0) == ""
