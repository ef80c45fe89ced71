"""Checks of the manager contract: handlers in an order of the user's, and under admission."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from litz.admission import Amount, Queue, Reject
from litz.errors import OrderBrokenError, RemoteError
from litz.limiter import Limiter
from litz.message import Message
from litz.order import Fifo, PerKey
from litz.testing.manager_case import Case, Check, end, expect, serving, take, texts


async def keys_run_in_parallel_each_in_order_and_nothing_is_confirmed_past_what_runs(case: Case) -> None:
    blocked, others = asyncio.Event(), asyncio.Event()
    done: dict[str | None, list[bytes]] = {}

    async def handler(message: Message) -> None:
        await asyncio.sleep(0)
        if message.key == "a":
            await blocked.wait()
        done.setdefault(message.key, []).append(bytes(message.data))
        if sum(map(len, done.values())) == 60:
            others.set()

    async with serving(case.b, handler, order=PerKey(), concurrency=3):
        for number in range(90):
            await case.a.send(case.to_b, b"%d" % number, key="abc"[number % 3])
        await others.wait()
        assert "a" not in done, "a was blocked, and ran"
        confirmed = asyncio.ensure_future(case.a.send(case.to_b, b"last", key="b", confirm="processed"))
        await case.round_trip_without_signals()
        assert not confirmed.done(), "what came after a was confirmed as processed, and a runs"
        blocked.set()
        await confirmed
        await case.a.send(case.to_b, b"end", key="a", confirm="processed")
    for offset, key in enumerate("abc"):
        expected = [b"%d" % number for number in range(offset, 90, 3)] + {"a": [b"end"], "b": [b"last"], "c": []}[key]
        assert done[key] == expected, f"the messages of {key} ran as {done[key]}"


async def a_lost_consumer_of_keys_leaves_exactly_what_was_not_finished(case: Case) -> None:
    reached = asyncio.Event()
    finished: list[bytes] = []

    async def handler(message: Message) -> None:
        if message.key == "slow":
            await asyncio.get_running_loop().create_future()
        finished.append(bytes(message.data))
        if message.data == b"5":
            reached.set()

    async with serving(case.b, handler, order=PerKey()):
        for number, key in enumerate(("quick", "slow", "slow", "quick", "quick", "last")):
            await case.a.send(case.to_b, b"%d" % number, key=key)
        await reached.wait()
    unfinished = [b"%d" % number for number in range(6) if b"%d" % number not in finished]
    found = [(bytes(message.data), message.redelivered) for message in await take(case.b, len(unfinished))]
    assert found[:2] == [(b"1", True), (b"2", False)], f"after a lost consumer came {found}"
    assert [data for data, _ in found] == unfinished, f"{unfinished} were not finished, and {found} came"


async def a_broken_order_ends_serve_typed_and_loses_nothing(case: Case) -> None:
    def key(message: Message) -> Any:
        if message.data == b"1":
            raise LookupError("no key")
        return "k"

    serve = asyncio.ensure_future(case.b.serve(lambda message: None, order=PerKey(key)))
    try:
        for number in range(3):
            await case.a.send(case.to_b, b"%d" % number)
        error = await expect(OrderBrokenError, serve, "a message without a key")
        assert isinstance(error.__cause__, LookupError), f"its cause is {error.__cause__!r}"
    finally:
        await end(serve)
    found = texts(await take(case.b, 2))
    # Whether the first had finished before the second came is a matter of time.
    if found[0] == b"0":
        found = [*found[1:], *texts(await take(case.b, 1))]
    assert found == [b"1", b"2"], f"after a broken order came {found}"


async def admission_bounds_what_runs_and_refuses_requests_typed(case: Case) -> None:
    running: list[int] = []
    most: list[int] = []
    gate, holding = asyncio.Event(), asyncio.Event()

    async def handler(message: Message) -> bytes:
        running.append(message.number)
        most.append(len(running))
        if message.data == b"hold":
            holding.set()
            await gate.wait()
        await asyncio.sleep(0)
        running.remove(message.number)
        return b"done"

    both = Limiter(Queue(Amount(2)), name="both")
    async with serving(case.b, handler, order=PerKey(lambda message: message.number), admission=both):
        await asyncio.gather(*(case.a.request(case.to_b, b"%d" % number) for number in range(12)))
    assert max(most) <= 2, f"{max(most)} ran at once"
    one = Limiter(Reject(Amount(1)), name="one")
    async with serving(case.b, handler, order=PerKey(lambda message: message.number), admission=one):
        held = asyncio.ensure_future(case.a.request(case.to_b, b"hold"))
        await holding.wait()
        error = await expect(RemoteError, case.a.request(case.to_b, b"too much"), "a request over the limit")
        assert isinstance(error, RemoteError)
        assert error.kind == "AdmissionRefusedError", f"it came back as {error.kind}"
        gate.set()
        assert bytes(await held) == b"done", "the one that was admitted was not served"
    async with serving(case.b, handler, order=Fifo(messages=4), admission=both):
        most.clear()
        await asyncio.gather(*(case.a.request(case.to_b, b"%d" % number) for number in range(12)))
    assert max(most) == 1, f"{max(most)} ran at once under Fifo"
    assert (both.used, one.used) == (Amount(0, 0), Amount(0, 0)), f"permits leaked: {both!r}, {one!r}"


ORDERING_CHECKS: Final[tuple[Check, ...]] = (
    keys_run_in_parallel_each_in_order_and_nothing_is_confirmed_past_what_runs,
    a_lost_consumer_of_keys_leaves_exactly_what_was_not_finished,
    a_broken_order_ends_serve_typed_and_loses_nothing,
    admission_bounds_what_runs_and_refuses_requests_typed,
)
