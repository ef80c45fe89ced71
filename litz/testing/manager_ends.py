"""The manager contract: goodbyes, and nodes that leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from litz.errors import DrainingError, PeerClosedError, PeerDrainingError
from litz.events import PeerDraining, SessionEnded
from litz.manager import TransportManager
from litz.message import Message
from litz.testing.manager_case import Case, Check, end, expect, expect_now, serving, take, texts
from litz.testing.manager_life import next_of

CALM: Final = 15
"""Looks, 0.02 s apart, at which nothing has happened."""

LONG: Final = 60.0
"""Seconds that no drain of these checks needs."""


async def until(met: Callable[[], bool]) -> None:
    """Wait for `met`; the check as a whole has a deadline."""
    while not met():  # noqa: ASYNC110 - what is waited for is news of the other manager, seen from outside
        await asyncio.sleep(0.005)


async def says_goodbye(leaver: TransportManager, other: TransportManager, reason: str) -> None:
    """`leaver` closes its transport to `other`, and `other` has heard so."""
    await leaver.close_transport(other.local_id, reason=reason)
    await until(lambda: other.has_dest(leaver.local_id) is None)


async def after_a_goodbye_sends_are_refused_until_reopened(case: Case) -> None:
    await case.meet()
    a, to_b = case.a, case.to_b
    await says_goodbye(case.b, a, "moving house")
    story = "after a goodbye"
    refusals = [
        await expect(PeerClosedError, a.send(to_b, b"x"), story),
        await expect(PeerClosedError, a.send(to_b, b"x", when_down="queue"), story),
        await expect(PeerClosedError, a.request(to_b, b"x"), story),
        await expect(PeerClosedError, a.get_or_create_transport(to_b), story),
        expect_now(PeerClosedError, partial(a.send_nowait, to_b, b"x"), story),
    ]
    for refusal in refusals:
        assert "moving house" in str(refusal), f"the reason is not named: {refusal}"
        assert "reopen=True" in str(refusal), f"the cure is not named: {refusal}"
    (gone,) = a.snapshot().departed
    assert (gone.dest, gone.reason, gone.returning_in) == (to_b, "moving house", None)
    assert a.has_dest(to_b) is None
    await a.send(to_b, b"again", reopen=True)
    assert texts(await take(case.b, 1)) == [b"again"]
    assert a.snapshot().departed == ()
    await a.send(to_b, b"as ever")


async def each_verb_can_reopen(case: Case) -> None:
    await case.meet()
    a, b, to_b = case.a, case.b, case.to_b
    await says_goodbye(b, a, "")
    a.send_nowait(to_b, b"now", reopen=True)
    assert texts(await take(b, 1)) == [b"now"]
    await says_goodbye(b, a, "")
    await a.reconnect(to_b)
    await a.send(to_b, b"reconnected")
    assert texts(await take(b, 1)) == [b"reconnected"]
    await says_goodbye(b, a, "")
    await a.get_or_create_transport(to_b, reopen=True)
    await says_goodbye(b, a, "")
    await a.peer(to_b).send(b"by a handle", reopen=True)
    assert texts(await take(b, 1)) == [b"by a handle"]
    await says_goodbye(b, a, "")
    async with serving(b, lambda message: b"re " + bytes(message.data)):
        assert bytes(await a.request(to_b, b"ask", reopen=True)) == b"re ask"


async def who_comes_back_by_itself_is_welcome(case: Case) -> None:
    await case.meet()
    await says_goodbye(case.b, case.a, "lunch")
    await case.b.send(case.to_a, b"back")
    assert texts(await take(case.a, 1)) == [b"back"]
    assert case.a.snapshot().departed == ()
    await case.a.send(case.to_b, b"hello")
    assert texts(await take(case.b, 1)) == [b"hello"]


async def who_closes_may_send_again(case: Case) -> None:
    await case.meet()
    await says_goodbye(case.a, case.b, "")
    await case.a.send(case.to_b, b"again")
    assert texts(await take(case.b, 1)) == [b"again"]


async def a_node_that_leaves_takes_no_new_work(case: Case) -> None:
    await case.meet()
    a, b, to_a, to_b = case.a, case.b, case.to_a, case.to_b
    with b.events() as events:
        assert await a.drain(final=True, timeout=LONG, reason="new version", returning_in=3.0) == ()
        told = await next_of(events, PeerDraining)
    assert (told.dest, told.reason) == (to_a, "new version")
    assert told.returning_in is not None
    assert told.returning_in >= 3.0
    story = "while this node leaves"
    await expect(DrainingError, a.send(to_b, b"x"), story)
    await expect(DrainingError, a.request(to_b, b"x"), story)
    await expect(DrainingError, a.send("somebody-else", b"x", when_down="queue"), story)
    expect_now(DrainingError, partial(a.send_nowait, to_b, b"x"), story)
    story = "while the peer leaves"
    await expect(PeerDrainingError, b.send(to_a, b"x"), story)
    await expect(PeerDrainingError, b.request(to_a, b"x"), story)
    expect_now(PeerDrainingError, partial(b.send_nowait, to_a, b"x"), story)
    assert a.snapshot().draining
    assert not b.snapshot().draining
    assert [dest.draining for dest in b.snapshot().dests] == ["new version"]


async def a_node_that_leaves_brings_all_to_its_end(case: Case) -> None:
    """What both sides had accepted arrives, and requests in both directions are answered."""
    await case.meet()
    a, b, loop = case.a, case.b, asyncio.get_running_loop()
    go, got = asyncio.Event(), {a: list[bytes](), b: list[bytes]()}

    async def handle(manager: TransportManager, message: Message) -> bytes:
        got[manager].append(bytes(message.data))
        if message.is_request:
            await go.wait()
        return b"re " + bytes(message.data)

    async with serving(a, partial(handle, a)), serving(b, partial(handle, b)):
        asking = [loop.create_task(a.request(case.to_b, b"a?")), loop.create_task(b.request(case.to_a, b"b?"))]
        await until(lambda: bool(got[a] and got[b]))
        for number in range(20):
            await b.send(case.to_a, b"%d" % number)
            await a.send(case.to_b, b"%d" % number)
        drain = loop.create_task(a.drain(final=True, timeout=LONG))
        await asyncio.sleep(0.1)
        assert not drain.done(), "requests are in flight, and the drain is over"
        go.set()
        assert await drain == ()
        assert [bytes(await each) for each in asking] == [b"re a?", b"re b?"]
        await until(lambda: len(got[b]) == 21)
        assert got[a] == [b"b?", *(b"%d" % number for number in range(20))]


async def the_list_of_a_final_drain_is_exact(case: Case) -> None:
    await case.meet()
    a = case.a
    with a.events() as events:
        receipts = [a.send_nowait("nobody-there", b"%d" % number) for number in range(3)]
        await a.send(case.to_b, b"arrives", confirm="received")
        lost = await a.drain(final=True, timeout=0.4)
        ended = await next_of(events, SessionEnded)
    assert [entry.receipt for entry in lost] == receipts
    assert ended.lost == lost
    assert texts(await take(case.b, 1)) == [b"arrives"]
    assert await a.drain(final=True, timeout=LONG) == lost, "a second call shares the first one's list"


async def a_final_drain_is_shared_and_survives_its_callers(case: Case) -> None:
    await case.meet()
    a, loop = case.a, asyncio.get_running_loop()
    receipt = a.send_nowait("nobody-there", b"x")
    first, second, third = (loop.create_task(a.drain(final=True, timeout=0.4)) for _ in range(3))
    await asyncio.sleep(0.01)
    await end(first)
    lists = await asyncio.gather(second, third)
    assert [[entry.receipt for entry in lost] for lost in lists] == [[receipt], [receipt]]


async def closing_ends_a_final_drain_at_once(case: Case) -> None:
    await case.meet()
    receipt = case.a.send_nowait("nobody-there", b"x")
    drain = asyncio.get_running_loop().create_task(case.a.drain(final=True, timeout=10_000.0))
    await asyncio.sleep(0.01)
    await case.a.aclose()
    assert [entry.receipt for entry in await drain] == [receipt]


async def who_waits_for_space_hears_that_the_node_leaves(case: Case) -> None:
    await case.meet()
    a, loop, waiting = case.a, asyncio.get_running_loop(), list[asyncio.Task[object]]()
    calm = 0
    while calm < CALM:  # until one of them waits, and nothing that is still on its way makes room
        before = sum(each.done() for each in waiting)
        if before == len(waiting):
            waiting += [loop.create_task(a.send(case.to_b, bytes(10_000))) for _ in range(64)]
        await asyncio.sleep(0.02)
        calm = calm + 1 if sum(each.done() for each in waiting) == before else 0
    drain = loop.create_task(a.drain(final=True, timeout=LONG))
    await expect(DrainingError, waiting[-1], "waiting for space when the node leaves")
    others = await asyncio.gather(*waiting[:-1], return_exceptions=True)
    assert all(isinstance(each, DrainingError | tuple) for each in others)
    async with serving(case.b, lambda _: None):
        assert await drain == ()


async def nothing_slips_in_when_the_drain_begins(case: Case) -> None:
    """Not even in the turn of the loop in which it begins, in the middle of a burst."""
    await case.meet()
    a, loop, late = case.a, asyncio.get_running_loop(), list[object]()

    def send_late() -> None:
        try:
            late.append(a.send_nowait(case.to_b, b"late"))
        except DrainingError as error:
            late.append(error)

    drain = loop.create_task(a.drain(final=True, timeout=LONG))
    loop.call_soon(send_late)
    for number in range(4):
        a.send_nowait(case.to_b, b"%d" % number)
    assert await drain == ()
    assert [type(each) for each in late] == [DrainingError]
    assert texts(await take(case.b, 4)) == [b"0", b"1", b"2", b"3"]
    await expect(DrainingError, a.send(case.to_b, b"later"), "sent after the drain")


async def a_final_drain_is_of_all(case: Case) -> None:
    await expect(ValueError, case.a.drain(case.to_b, final=True), "a final drain of one dest")
    await expect(ValueError, case.a.drain(returning_in=1.0), "returning_in without final")
    await expect(ValueError, case.a.aclose(returning_in=-1.0), "a time before now")


END_CHECKS: Final[tuple[Check, ...]] = (
    after_a_goodbye_sends_are_refused_until_reopened,
    each_verb_can_reopen,
    who_comes_back_by_itself_is_welcome,
    who_closes_may_send_again,
    a_node_that_leaves_takes_no_new_work,
    a_node_that_leaves_brings_all_to_its_end,
    the_list_of_a_final_drain_is_exact,
    a_final_drain_is_shared_and_survives_its_callers,
    closing_ends_a_final_drain_at_once,
    who_waits_for_space_hears_that_the_node_leaves,
    nothing_slips_in_when_the_drain_begins,
    a_final_drain_is_of_all,
)
