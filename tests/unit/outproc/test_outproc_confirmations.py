"""Who waits for which message, and what a session that ends does with them."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import PeerRestartedError
from outproc.confirmations import Confirmations, Level

GONE = PeerRestartedError("gone", dest="bob")


def waiting(*numbers: int, level: Level = "received") -> tuple[Confirmations, list[asyncio.Future[None]]]:
    confirmations = Confirmations()
    futures = [asyncio.get_running_loop().create_future() for _ in numbers]
    for number, future in zip(numbers, futures, strict=True):
        confirmations.add(number, level, future)
    return confirmations, futures


def errors(futures: list[asyncio.Future[None]]) -> list[bool | None]:
    """Of each: whether it failed; None: it waits."""
    return [future.exception() is not None if future.done() else None for future in futures]


@pytest.mark.parametrize("level", ["received", "processed"])
async def test_who_waits_for_a_message_that_is_sent_again_waits_for_the_new_one(level: Level) -> None:
    old, futures = waiting(7, 5, 6, level=level)
    new = old.carried({5: 0, 7: 1}, [6], GONE)
    assert errors(futures) == [None, None, True]
    assert new.highest == 1
    new.confirmed(level, 1)
    assert errors(futures) == [None, False, True]
    new.confirmed(level, 2)
    assert errors(futures) == [False, False, True]


async def test_who_waits_for_what_was_received_and_never_processed_is_told() -> None:
    old, futures = waiting(3, level="processed")
    assert old.carried({4: 0}, [], GONE).highest == -1
    assert errors(futures) == [True]


async def test_a_drain_goes_on_unless_something_up_to_there_is_lost() -> None:
    # 4 was received meanwhile, 5 and 8 are sent again, 6 was dropped by a policy, 7 is lost.
    old, futures = waiting(4, 5, 6, 7, 8, level="drained")
    new = old.carried({5: 0, 8: 1}, [7], GONE)
    assert errors(futures) == [False, None, None, True, True]
    new.confirmed("drained", 1)
    assert errors(futures) == [False, False, False, True, True]


async def test_who_gave_up_is_forgotten_when_the_session_ends() -> None:
    old, futures = waiting(1, 2)
    futures[0].cancel()
    new = old.carried({1: 0, 2: 1}, [], GONE)
    new.fail_all(GONE)
    assert futures[0].cancelled()
    assert futures[1].exception() is GONE
