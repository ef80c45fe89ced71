"""Requests and their answers, as the manager and its transports see them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz.errors import (
    MessageDroppedError,
    OutcomeUnknownError,
    PeerClosedError,
    RemoteError,
    RequestTimeoutError,
)
from litz.events import LostReceipt, Outcome
from litz.inbox import Inbox
from litz.manager import WhenDown
from litz.message import Channel, Message, Receipt
from litz.payload import REPLY_LANE
from litz.requests import Correlation
from outproc.requesting import Requests
from outproc.session.log import EntryDetail
from tests.unit.outproc.town import Town, turns, virtual


class Desk:
    """Requests whose messages end up in a list."""

    def __init__(self, limit: int = 100) -> None:
        self.sent: list[tuple[str, int, Any, tuple[int, int]]] = []
        self.receipts: list[Receipt] = []
        self.requests = Requests(1000, limit, Inbox(), self.append, self.append_now)

    async def append(self, dest: str, lane: int, data: Any, detail: EntryDetail, when_down: WhenDown | None) -> Receipt:
        self.append_now(dest, lane, data, detail)
        self.receipts.append((Channel(dest, 0, lane), len(self.receipts)))
        return self.receipts[-1]

    def append_now(self, dest: str, lane: int, data: Any, detail: EntryDetail) -> None:
        assert detail.correlation is not None
        self.sent.append((dest, lane, data, detail.correlation))

    async def ask(self, dest: str = "bob", timeout: float | None = None) -> tuple[asyncio.Task[bytes], int]:
        task = asyncio.ensure_future(self.requests.request(dest, b"?", timeout=timeout))
        await turns(3)
        kind, request_id = self.sent[-1][3]
        assert kind == Correlation.REQUEST
        return task, request_id


async def test_each_answer_finds_its_request() -> None:
    desk = Desk()
    first, one = await desk.ask()
    second, two = await desk.ask()
    desk.requests.answered("bob", Correlation.REPLY, two, b"two")
    desk.requests.answered("bob", Correlation.REPLY, one, b"one")
    assert (await first, await second) == (b"one", b"two")


async def test_a_stranger_cannot_answer_and_a_second_answer_is_dropped() -> None:
    desk = Desk()
    task, request_id = await desk.ask()
    desk.requests.answered("mallory", Correlation.REPLY, request_id, b"trust me")
    desk.requests.answered("bob", Correlation.REPLY, request_id + 1, b"another")
    await turns(3)
    assert not task.done()
    desk.requests.answered("bob", Correlation.REPLY, request_id, b"right")
    desk.requests.answered("bob", Correlation.ERROR, request_id, b"ValueError\0late")
    assert await task == b"right"
    desk.requests.answered("bob", Correlation.REPLY, request_id, b"later")


@pytest.mark.parametrize(
    ("body", "name", "text"), [(b"KeyError\0who?", "KeyError", "who?"), (b"\xff\0\xfe", "�", "�"), (b"", "", "")]
)
async def test_an_exception_of_the_handler_comes_as_one(body: bytes, name: str, text: str) -> None:
    desk = Desk()
    task, request_id = await desk.ask()
    desk.requests.answered("bob", Correlation.ERROR, request_id, body)
    with pytest.raises(RemoteError) as caught:
        await task
    assert (caught.value.dest, caught.value.kind, caught.value.detail) == ("bob", name, text)


async def test_giving_up_tells_the_peer_and_only_then() -> None:
    desk = Desk()
    answered, one = await desk.ask()
    desk.requests.answered("bob", Correlation.REPLY, one, b"")
    await answered
    cancelled, two = await desk.ask()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    assert [entry[1:] for entry in desk.sent[2:]] == [(REPLY_LANE, b"", (Correlation.CANCEL, two))]


def test_a_timeout_is_typed_and_says_that_it_may_have_run() -> None:
    async def scenario() -> None:
        desk = Desk()
        with pytest.raises(RequestTimeoutError, match="within 3 s; it may have run"):
            await desk.requests.request("bob", b"?", timeout=3)
        assert desk.sent[-1][3][0] == Correlation.CANCEL

    virtual(scenario)


async def test_the_end_of_a_session_says_what_may_be_sent_again() -> None:
    desk = Desk()
    taken, _ = await desk.ask()
    never, _ = await desk.ask()
    other, _ = await desk.ask("carol")
    lost = (
        LostReceipt(desk.receipts[0], Outcome.UNKNOWN),
        LostReceipt(desk.receipts[1], Outcome.NEVER_ACCEPTED),
    )
    desk.requests.session_ended("bob", PeerClosedError("bye", dest="bob", lost=lost))
    with pytest.raises(OutcomeUnknownError, match="may have run") as caught:
        await taken
    assert isinstance(caught.value.__cause__, PeerClosedError)
    with pytest.raises(PeerClosedError):
        await never
    assert not other.done()
    other.cancel()
    await asyncio.wait([other])


async def test_a_request_that_was_dropped_fails_at_once() -> None:
    desk = Desk()
    task, _ = await desk.ask()
    other, _ = await desk.ask()
    desk.requests.dropped(desk.receipts[0], MessageDroppedError("full"))
    with pytest.raises(MessageDroppedError):
        await task
    desk.requests.dropped(desk.receipts[0], MessageDroppedError("again"))
    assert not other.done()
    other.cancel()
    await asyncio.wait([other])


class UnspeakableError(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("result", "kind"),
    [("text", "PayloadError"), (bytes(2_000), "MessageTooLargeError"), (UnspeakableError(), "UnspeakableError")],
    ids=["no bytes", "too large", "an error without a text"],
)
def test_what_cannot_be_sent_as_an_answer_is_an_error_of_the_request(result: object, kind: str) -> None:
    """Never silence: who asked would wait for ever."""

    def handler(message: Message) -> object:
        if isinstance(result, Exception):
            raise result
        return result

    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", max_message=1_000) as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            serving = asyncio.ensure_future(bob.serve(handler))
            with pytest.raises(RemoteError) as caught:
                await alice.request("bob", b"?")
            assert caught.value.kind == kind
            serving.cancel()

    virtual(scenario)


def test_an_answer_to_a_session_that_is_over_goes_nowhere() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            asked = asyncio.ensure_future(alice.request("bob", b"?"))
            async for message in bob.messages():
                await alice.close_transport("bob")
                await alice.send("bob", b"a new session")
                await message.reply(b"too late")
                break
            with pytest.raises(OutcomeUnknownError):
                await asked
            await asyncio.sleep(1)
            assert all(lane.sent == 0 for lane in bob.snapshot().dests[0].lanes), "it went into the new session"

    virtual(scenario)


def test_whoever_gives_up_ends_the_handler_at_the_peer() -> None:
    async def scenario() -> None:
        town = Town()
        ended: list[str] = []
        begun = asyncio.Event()

        async def handler(message: Message) -> bytes:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            return b""

        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            server = asyncio.ensure_future(bob.serve(handler))
            with pytest.raises(RequestTimeoutError):
                await alice.request("bob", b"?", timeout=5)
            await asyncio.sleep(1)
            assert (begun.is_set(), ended) == (True, ["cancelled"])
            server.cancel()
            await asyncio.wait([server])

    virtual(scenario)
