"""The event log as its readers see it."""

from __future__ import annotations

import asyncio

import pytest

from litz import ManagerStateError
from litz.event_log import EventLog
from litz.events import Connecting, Event, EventGap
from litz.history import History


def log_with(*state: Event) -> EventLog:
    return EventLog(lambda: state)


async def test_state_comes_first_then_what_happens_numbered() -> None:
    log = log_with(Connecting("a"), Connecting("b"))
    log.emit(Connecting("before"))
    reader = log.follow()
    log.emit(Connecting("c"))
    log.close()
    assert [(n, e.dest) async for n, e in reader] == [(0, "a"), (1, "b"), (2, "c")]


async def test_a_slow_reader_gets_one_gap_and_then_the_newest() -> None:
    log = log_with(Connecting("state"))
    slow, fast = log.follow(limit=2), log.follow()
    for name in "abcde":
        log.emit(Connecting(name))
    log.close()
    assert [pair async for pair in slow] == [
        (0, Connecting("state")),
        (1, EventGap("", 3)),
        (2, Connecting("d")),
        (3, Connecting("e")),
    ]
    assert len([pair async for pair in fast]) == 6


async def test_a_waiting_reader_wakes_and_a_second_one_is_refused() -> None:
    log = log_with()
    reader = log.follow()
    waiting = asyncio.ensure_future(reader.__anext__())
    await asyncio.sleep(0)
    with pytest.raises(ManagerStateError):
        await reader.__anext__()
    log.emit(Connecting("a"))
    assert await waiting == (0, Connecting("a"))


async def test_a_cancelled_reader_loses_nothing() -> None:
    log = log_with()
    reader = log.follow()
    waiting = asyncio.ensure_future(reader.__anext__())
    await asyncio.sleep(0)
    log.emit(Connecting("a"))
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await reader.__anext__() == (0, Connecting("a"))


async def test_closed_and_dropped_readers_are_let_go() -> None:
    log = log_with(Connecting("a"))
    with log.follow() as reader:
        pass
    assert [pair async for pair in reader] == []
    dropped = log.follow()
    assert len(log._readers) == 1
    del dropped
    assert len(log._readers) == 0
    log.close()
    assert [pair[1].dest async for pair in log.follow()] == ["a"]


async def test_a_reader_knows_what_is_current_state_and_when_the_rest_happened() -> None:
    now = 10
    log = EventLog(lambda: [Connecting("state")], History(lambda: now * 1_000_000_000))
    slow, fast = log.follow(limit=1), log.follow()
    now = 20
    log.emit(Connecting("a"))
    now = 30
    log.emit(Connecting("b"))
    now = 40
    log.close()
    assert (slow.current, fast.current) == (1, 1)
    assert [(event.dest, fast.at) async for _, event in fast] == [("state", 10), ("a", 20), ("b", 30)]
    assert [(type(event), slow.at) async for _, event in slow] == [(Connecting, 10), (EventGap, 20), (Connecting, 30)]
