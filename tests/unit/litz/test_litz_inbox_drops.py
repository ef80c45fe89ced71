"""Dropping what waits in an inbox while somebody consumes it: nothing is handed out twice, whoever consumes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz.inbox import Inbox
from litz.inbox_queue import InboxQueue
from litz.message import Message
from litz.payload import PayloadType


class Source:
    """Where the messages come from."""

    sender = "a"
    payload_type = PayloadType.STREAM_LATENCY_FIRST
    verified = False

    async def reply(self, message: Message, data: Any) -> None:
        raise AssertionError("nobody asked")

    async def fail(self, message: Message, error: BaseException) -> None:
        raise AssertionError("nobody asked")


def filled(inbox: Inbox) -> InboxQueue:
    """A batch of five payloads, and another that cannot be joined with it."""
    queue = inbox.queue("a", PayloadType.STREAM_LATENCY_FIRST)
    source = Source()
    queue.put_payloads([b"%d" % n for n in range(5)], 0, source, 5)
    queue.put_payloads([b"%d" % n for n in range(10, 15)], 10, source, 5)
    return queue


async def served(inbox: Inbox, queue: InboxQueue) -> list[int]:
    numbers: list[int] = []

    def handler(message: Message) -> None:
        numbers.append(message.number)
        if message.number == 1:
            assert queue.drop_oldest()
        if message.number == 14:
            inbox.close()

    await inbox.serve(handler)
    return numbers


async def iterated(inbox: Inbox, queue: InboxQueue) -> list[int]:
    numbers: list[int] = []
    async for message in inbox.messages():
        numbers.append(message.number)
        if message.number == 1:
            assert queue.drop_oldest()
        if message.number == 14:
            break
    return numbers


@pytest.mark.parametrize("consume", [served, iterated])
async def test_a_drop_behind_a_consumer_doubles_and_loses_nothing_else(consume: Any) -> None:
    inbox = Inbox()
    queue = filled(inbox)
    async with asyncio.timeout(10):
        assert await consume(inbox, queue) == [0, 1, 2, 3, 4, 11, 12, 13, 14]
    inbox.close()


def test_what_nobody_has_begun_with_goes_oldest_first_until_there_is_none() -> None:
    queue = filled(Inbox())
    assert [queue.drop_oldest() for _ in range(11)] == [True] * 10 + [False]
    assert queue.pending == 0 and queue.pending_bytes == 0
