"""Checks of the manager contract: dests, ends, events, other threads."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeVar

from litz.errors import ConnectError, LitzError, ManagerStateError
from litz.events import Event, SessionEnded, SessionStarted
from litz.manager import EventStream
from litz.snapshot import DestState
from litz.testing.manager_case import Case, Check, expect, expect_now, needs_threads, serving, take, texts

Kind = TypeVar("Kind", bound=Event)


async def all_verbs_refuse_a_closed_manager(case: Case) -> None:
    await case.meet()
    stream = case.a.messages()
    await case.a.aclose()
    await case.a.aclose()
    await expect(StopAsyncIteration, stream.__anext__(), "a stream of a closed manager")
    verbs: dict[str, Any] = {
        "send": lambda: case.a.send(case.to_b, b""),
        "request": lambda: case.a.request(case.to_b, b""),
        "drain": case.a.drain,
        "serve": lambda: case.a.serve(lambda m: None),
        "get_or_create_transport": lambda: case.a.get_or_create_transport(case.to_b),
        "reconnect": lambda: case.a.reconnect(case.to_b),
        "wait_connected": lambda: case.a.wait_connected(case.to_b),
        "peer.send": lambda: case.a.peer(case.to_b).send(b""),
    }
    for name, verb in verbs.items():
        await expect(ManagerStateError, verb(), f"{name} after aclose")
    expect_now(ManagerStateError, lambda: case.a.send_nowait(case.to_b, b""), "send_nowait after aclose")
    expect_now(ManagerStateError, case.a.messages, "messages after aclose")
    assert not case.a.snapshot().running, "a closed manager's snapshot says that it runs"
    story = "entering again"
    await expect(ManagerStateError, case.a.__aenter__(), story)


async def closing_in_the_middle_of_everything_ends_everything(case: Case) -> None:
    """Every caller gets a typed end, and none hangs."""
    loop = asyncio.get_running_loop()

    async def flood(number: int) -> None:
        while True:
            await case.a.send(case.to_b, b"%d" % number, confirm="processed" if number % 2 else None)

    async def ask() -> None:
        while True:
            await case.a.request(case.to_b, b"?")

    async def slow(message: Any) -> bytes:
        await asyncio.sleep(0)
        return b"!"

    tasks: list[asyncio.Task[Any]] = [
        *(loop.create_task(flood(n)) for n in range(6)),
        *(loop.create_task(ask()) for _ in range(6)),
        loop.create_task(case.b.serve(slow)),
    ]
    for _ in range(30):
        await asyncio.sleep(0)
    await asyncio.gather(case.b.aclose(), case.b.aclose())
    for _ in range(3):
        await asyncio.sleep(0)
    await case.a.aclose()
    await asyncio.wait(tasks)
    for task in tasks[:-1]:
        error = task.exception()
        assert isinstance(error, LitzError), f"a caller's end was {error!r}"
    assert tasks[-1].exception() is None, f"serve ended with {tasks[-1].exception()!r} when its manager closed"


async def closing_cancels_handlers_and_waits_for_them(case: Case) -> None:
    entered, ended = asyncio.Event(), asyncio.Event()

    async def handler(message: Any) -> None:
        entered.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    task = asyncio.get_running_loop().create_task(case.b.serve(handler))
    await case.a.send(case.to_b, b"")
    await entered.wait()
    await case.b.aclose()
    assert ended.is_set(), "aclose returned while a handler still ran"
    await task


async def a_handler_may_close_its_manager(case: Case) -> None:
    async def handler(message: Any) -> None:
        await case.b.aclose()

    task = asyncio.get_running_loop().create_task(case.b.serve(handler))
    await case.a.send(case.to_b, b"")
    await task
    await case.b.aclose()


async def a_closed_transport_starts_afresh(case: Case) -> None:
    await case.meet()
    first = await case.a.send(case.to_b, b"1", confirm="received")
    events, remote = case.a.events(), case.b.events()
    lost = await case.a.close_transport(case.to_b, reason="test")
    assert lost == (), f"everything was confirmed, but closing lost {lost}"
    ended = await next_of(events, SessionEnded)
    assert (ended.dest, ended.session, ended.lost) == (case.to_b, first[0].session, ()), f"it ended as {ended}"
    there = await next_of(remote, SessionEnded)
    assert (there.dest, there.lost) == (case.to_a, ()), f"the peer saw {there}"
    assert case.a.has_dest(case.to_b) is None, "a closed dest is still there"
    second = await case.a.send(case.to_b, b"2")
    assert (second[1], second[0].session) == (0, first[0].session + 1), f"after {first!r} came {second!r}"
    got = await take(case.b, 2)
    assert texts(got) == [b"1", b"2"], "what was confirmed as received was not handed out after the end"
    await case.a.close_transport("nobody")
    await case.a.close_all()
    assert case.a.dest_count == 0, "close_all left dests"


async def closing_tells_exactly_what_was_lost(case: Case) -> None:
    receipts = [await case.a.send("nobody", b"%d" % n, when_down="queue") for n in range(5)]
    events = case.a.events()
    waiting = asyncio.ensure_future(case.a.drain("nobody"))
    await asyncio.sleep(0)
    lost = await case.a.close_transport("nobody")
    assert [item.receipt for item in lost] == receipts, f"closing lost {lost}"
    assert {item.outcome.name for item in lost} == {"NEVER_ACCEPTED"}, f"nothing was ever sent: {lost}"
    assert (await next_of(events, SessionEnded)).lost == lost, "the event tells another list"
    await expect(LitzError, waiting, "a drain that cannot come true")


async def dests_are_counted_and_told_apart(case: Case) -> None:
    assert (case.a.dest_count, case.a.list_dests()) == (0, []), "a new manager has dests"
    assert case.a.has_dest(case.to_b) is None, "a new manager knows a dest"
    assert not case.a.is_connected(case.to_b), "connected without a session"
    waiting = asyncio.ensure_future(case.a.wait_connected(case.to_b))
    transports = await asyncio.gather(*(case.a.get_or_create_transport(case.to_b) for _ in range(100)))
    assert all(transport is transports[0] for transport in transports), "one dest got several transports"
    assert (transports[0].dest, transports[0].state) == (case.to_b, DestState.CONNECTED), repr(transports[0])
    await waiting
    assert case.a.has_dest(case.to_b) is DestState.CONNECTED, "not connected after wait_connected"
    assert case.a.is_connected(case.to_b), "not connected after wait_connected"
    assert case.a.list_dests() == [case.to_b], f"dests are {case.a.list_dests()}"
    await case.a.reconnect(case.to_b)
    await expect(TimeoutError, case.a.wait_connected("nobody", timeout=0.01), "wait_connected to nobody")
    await expect(ConnectError, case.a.reconnect("nobody"), "reconnect to nobody")
    case.a.add_endpoints(case.to_b, [])
    await case.a.close_transport(case.to_b)
    assert transports[0].state is DestState.CLOSED, "a closed transport lives"


async def events_are_numbered_and_state_comes_first(case: Case) -> None:
    early = case.a.events()
    await case.meet()
    await next_of(early, SessionStarted)
    late = case.a.events()
    number, _ = await late.__anext__()
    assert number == 0, f"a reader's first number is {number}"
    with case.a.events() as fresh:
        started = await next_of(fresh, SessionStarted)
        assert started.dest == case.to_b, f"the current state says {started}"
    await case.a.close_transport(case.to_b)
    await case.a.aclose()
    numbers = [number async for number, _ in late]
    assert numbers == list(range(1, len(numbers) + 1)), f"numbers are {numbers}"
    assert numbers, "the end of a session was no event"


async def a_snapshot_tells_what_is(case: Case) -> None:
    await case.meet()
    await case.a.send(case.to_b, b"12345", confirm="received")
    here, there = case.a.snapshot(), case.b.snapshot()
    assert (here.local_id, here.running) == (case.to_a, True), repr(here)
    (dest,) = here.dests
    assert (dest.dest, dest.state) == (case.to_b, DestState.CONNECTED), repr(dest)
    (lane,) = [lane for lane in dest.lanes if lane.lane == 0]
    assert (lane.sent, lane.acked) == (2, 2), f"sent 2, confirmed 2, but {lane}"
    (remote,) = [lane for lane in there.dests[0].lanes if lane.lane == 0]
    assert (remote.received, remote.inbox) == (2, 1), f"received 2, one not consumed, but {remote}"
    assert there.inbox_bytes >= 5, f"5 bytes wait, but inbox_bytes is {there.inbox_bytes}"


async def history_outlives_what_it_tells_of(case: Case) -> None:
    """A snapshot tells what happened to a dest, and goes on telling it when the dest is not there any more."""
    await case.meet()
    (dest,) = case.a.snapshot().dests
    told = [each.what for each in dest.history]
    assert "session started" in told, f"the history tells {told}"
    assert "wire up" in told, f"the history tells {told}"
    assert all(0 < each.at <= each.until and each.times >= 1 and each.dest == case.to_b for each in dest.history)
    await case.a.close_transport(case.to_b, reason="enough")
    left = case.a.snapshot()
    assert not left.dests, repr(left)
    others = [(each.dest, each.what) for each in left.history]
    assert (case.to_b, "session ended") in others, f"of what is gone the history tells {others}"


async def a_peer_handle_is_the_same_verbs(case: Case) -> None:
    bob = case.a.peer(case.to_b)
    assert bob.dest == case.to_b, "a handle of another dest"
    assert case.a.dest_count == 0, "making a handle made something happen"
    async with serving(case.b, lambda message: bytes(message.data) + b"!"):
        first = await bob.send(b"1", confirm="processed")
        second = bob.send_nowait(b"2")
        assert (first[1], second[1]) == (0, 1), f"receipts {first!r}, {second!r}"
        assert bytes(await bob.request(b"x", timeout=120)) == b"x!", "a request by handle"
        await bob.drain(timeout=120)


async def health_checkers_stop(case: Case) -> None:
    first, second = case.a.start_health_checker(), case.a.start_health_checker(30)
    await first.stop()
    await second.stop()
    await second.stop()
    await case.meet()


@needs_threads
async def other_threads_send_request_and_call(case: Case) -> None:
    def elsewhere() -> tuple[int, bytes]:
        verbs = case.a.threadsafe
        receipt = verbs.send(case.to_b, b"from a thread", timeout=120)
        reply = verbs.request(case.to_b, b"?", timeout=120)
        verbs.call(lambda: case.a.drain(case.to_b), timeout=120)
        return receipt[1], bytes(reply)

    async with serving(case.b, lambda message: b"re:" + bytes(message.data)):
        assert await asyncio.to_thread(elsewhere) == (0, b"re:?"), "a thread got another answer"
    story = "threadsafe verbs in the manager's own loop"
    expect_now(ManagerStateError, lambda: case.a.threadsafe.send(case.to_b, b""), story)


@needs_threads
async def closing_from_another_thread_and_loop_works(case: Case) -> None:
    await case.meet()
    task = asyncio.get_running_loop().create_task(case.a.serve(lambda message: None))
    await asyncio.sleep(0)
    await asyncio.to_thread(lambda: asyncio.run(case.a.aclose()))
    await task
    await expect(ManagerStateError, case.a.send(case.to_b, b""), "send after a foreign aclose")


@needs_threads
async def a_foreign_loop_is_refused(case: Case) -> None:
    async def misuse() -> None:
        await expect(ManagerStateError, case.a.send(case.to_b, b""), "send from a foreign loop")

    await asyncio.to_thread(lambda: asyncio.run(misuse()))
    await case.meet()


async def next_of(events: EventStream, kind: type[Kind]) -> Kind:
    """The next event of that kind."""
    async for _, event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the events ended without a {kind.__name__}")


LIFE_CHECKS: Final[tuple[Check, ...]] = (
    all_verbs_refuse_a_closed_manager,
    closing_in_the_middle_of_everything_ends_everything,
    closing_cancels_handlers_and_waits_for_them,
    a_handler_may_close_its_manager,
    a_closed_transport_starts_afresh,
    closing_tells_exactly_what_was_lost,
    dests_are_counted_and_told_apart,
    events_are_numbered_and_state_comes_first,
    a_snapshot_tells_what_is,
    history_outlives_what_it_tells_of,
    a_peer_handle_is_the_same_verbs,
    health_checkers_stop,
    other_threads_send_request_and_call,
    closing_from_another_thread_and_loop_works,
    a_foreign_loop_is_refused,
)
