"""A chat between managers: every line arrives once, whatever the peer does; what is told in between. Also of
`outproc.cli.chat` and `outproc.cli.local_nodes`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from litz.events import Event, Woke
from litz.message import Message
from outproc import OutprocTransportManager
from outproc.cli.chat_talk import MAX_WAITING, Talk
from outproc.cli.control_socket import ControlSocket
from outproc.cli.local_nodes import LocalNodes, reachable
from outproc.cli.questions import questions_for
from outproc.outbox import Inbox, Outbox

PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITZ_RUNTIME_DIR", str(tmp_path / "run"))


@asynccontextmanager
async def at_work(talk: Talk) -> AsyncIterator[Talk]:
    tasks = [asyncio.create_task(work) for work in (talk.keep_connected(), talk.follow(), talk.serve(), talk.send())]
    try:
        yield talk
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class Bob:
    """A peer on this machine that can come, handle and go."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.handled = asyncio.Event()

    @asynccontextmanager
    async def here(
        self, answer: Callable[[Message], bytes | None] | None = None
    ) -> AsyncIterator[OutprocTransportManager]:
        def handler(message: Message) -> None:
            self.heard.append(bytes(message.data).decode())
            self.handled.set()
            if answer is not None:
                reply = answer(message)
                if reply is not None:
                    bob.send_nowait(message.sender, reply)

        bob = OutprocTransportManager("bob")
        async with ControlSocket("bob", questions_for(bob)), bob:
            await bob.listen("ws://127.0.0.1:0")
            serving = asyncio.create_task(bob.serve(handler))
            try:
                yield bob
            finally:
                serving.cancel()
                await asyncio.wait([serving])


async def test_lines_and_answers_and_a_peer_that_comes_late_and_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    bob = Bob()
    async with (
        asyncio.timeout(PATIENCE),
        OutprocTransportManager("alice", directory=LocalNodes({})) as alice,
        at_work(Talk(alice, "bob", durable=False, color=False)) as talk,
    ):
        await talk.say("typed before bob was there")
        async with bob.here(lambda message: b"\x1b[2J" + bytes(message.data)):
            await talk.all_sent()
        await talk.say("typed after bob had left")
        async with bob.here():
            await talk.all_sent()
            assert await talk.close() == []
    assert bob.heard == ["typed before bob was there", "typed after bob had left"]
    told = capsys.readouterr()
    assert "bob: \N{REPLACEMENT CHARACTER}[2Jtyped before bob was there\n" in told.out
    news = told.err.splitlines()
    assert "-- connected to bob (its id is claimed)" in news
    assert any(line.startswith("-- bob has left (") for line in news)
    assert "-- connected to bob, which was restarted (its id is claimed)" in news


async def test_what_nobody_takes_is_told_and_typing_is_held_back() -> None:
    async with OutprocTransportManager("alice", directory=LocalNodes({})) as alice:
        talk = Talk(alice, "bob", durable=False, color=False)
        for number in range(MAX_WAITING):
            await talk.say(str(number))
        one_more = asyncio.create_task(talk.say("one more"))
        done, _ = await asyncio.wait([one_more], timeout=0.05)
        assert not done, "more waits than may"
        one_more.cancel()
        assert await talk.close() == [str(number) for number in range(MAX_WAITING)]


async def test_durable_lines_wait_in_the_outbox(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outbox = tmp_path / "chat.outbox"
    async with (
        asyncio.timeout(PATIENCE),
        OutprocTransportManager("alice", directory=LocalNodes({}), outbox=Outbox(outbox)) as alice,
        at_work(Talk(alice, "bob", durable=True, color=False)) as talk,
    ):
        await talk.say("later")
        await talk.say("now")
        await talk.accepted()
        assert await talk.close() == []
    assert "-- 2 messages wait in the outbox; they are sent when you chat again" in capsys.readouterr().err
    heard: list[bytes] = []
    bob = OutprocTransportManager("bob", inbox=Inbox(tmp_path / "bob.inbox"))
    async with asyncio.timeout(PATIENCE), ControlSocket("bob", questions_for(bob)), bob:
        await bob.listen("ws://127.0.0.1:0")
        serving = asyncio.create_task(bob.serve(lambda message: heard.append(bytes(message.data))))
        async with (
            OutprocTransportManager("alice", directory=LocalNodes({}), outbox=Outbox(outbox)) as alice,
            at_work(Talk(alice, "bob", durable=True, color=False)) as talk,
        ):
            await talk.all_sent()  # also what an earlier run left
            assert await talk.close() == []
        serving.cancel()
        await asyncio.wait([serving])
    assert heard == [b"later", b"now"]


def test_news_of_the_machine_are_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Talk(OutprocTransportManager("alice"), "bob", durable=False, color=True)
    woke: Event = Woke("", 60.0)
    talk.news(talk._news_of(woke))
    assert capsys.readouterr().err == "\x1b[2m-- the machine woke: it slept for 60 s\x1b[0m\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://0.0.0.0:8400", "ws://127.0.0.1:8400"),
        ("wss://[::]:8400/path", "wss://[::1]:8400/path"),
        ("ws://10.0.0.1:8400", "ws://10.0.0.1:8400"),
        ("unix:/run/x.wires", "unix:/run/x.wires"),
    ],
)
def test_where_a_node_of_this_machine_is_found(url: str, expected: str) -> None:
    assert reachable(url) == expected


async def test_who_was_given_is_not_looked_for() -> None:
    directory = LocalNodes({"bob": ["ws://127.0.0.1:1"], "carol": []})
    assert await directory.look_up("bob") == ["ws://127.0.0.1:1"]
    assert await directory.look_up("carol") == ()
    carol = OutprocTransportManager("carol")
    async with ControlSocket("carol", questions_for(carol)), carol:
        await carol.listen("ws://127.0.0.1:0")
        assert await directory.look_up("carol") == carol.endpoints
