"""Checks of the manager contract: what is sent arrives exactly once and in order, within bounds."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final, get_args

from litz.errors import BackpressureError, ConnectError, InvalidDestError, NotARequestError, UnknownDestError
from litz.events import SessionEnded, SessionStarted
from litz.manager import Confirm
from litz.payload import PayloadType
from litz.retry import Retry
from litz.testing.manager_case import Case, Check, end, expect, expect_now, fill, serving, take, texts

RELIABLE: Final = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)


async def order_per_lane_and_exactly_once(case: Case) -> None:
    """Concurrent senders on three lanes, both directions."""
    count = 300

    async def flood(lane: PayloadType, back: bool) -> None:
        sender, dest = (case.b, case.to_a) if back else (case.a, case.to_b)
        for number in range(count):
            receipt = await sender.send(dest, b"%d" % number, payload_type=lane)
            assert receipt[1] == number, f"message {number} of {lane.name} got receipt {receipt!r}"
            assert (receipt[0].dest, receipt[0].lane) == (dest, lane), f"{receipt!r} is of another lane or dest"

    async with asyncio.TaskGroup() as group:
        for lane in RELIABLE:
            group.create_task(flood(lane, back=False))
            group.create_task(flood(lane, back=True))
        got_b = group.create_task(take(case.b, count * len(RELIABLE)))
        got_a = group.create_task(take(case.a, count * len(RELIABLE)))
    for got, sender in ((got_b.result(), case.to_a), (got_a.result(), case.to_b)):
        for lane in RELIABLE:
            numbers = [(m.number, bytes(m.data)) for m in got if m.payload_type is lane]
            story = f"{lane.name} from {sender} arrived as {numbers[:20]}..."
            assert numbers == [(n, b"%d" % n) for n in range(count)], story


async def concurrent_senders_are_delivered_as_accepted(case: Case) -> None:
    receipts = await asyncio.gather(*(case.a.send(case.to_b, b"%d" % n) for n in range(500)))
    got = await take(case.b, 500)
    for index, receipt in enumerate(receipts):
        assert bytes(got[receipt[1]].data) == b"%d" % index, f"{receipt!r} names another message"


async def messages_say_what_they_are(case: Case) -> None:
    await case.a.send(case.to_b, b"x", payload_type=PayloadType.STREAM_RELIABLE, key="k")
    (message,) = await take(case.b, 1)
    found = (message.sender, message.payload_type, message.number, message.key, message.redelivered)
    assert found == (case.to_a, PayloadType.STREAM_RELIABLE, 0, "k", False), f"a message came as {found}"
    assert not message.is_request, "a plain message says that it is a request"
    await expect(NotARequestError, message.reply(b""), "reply to a plain message")


async def signals_overtake_in_the_receive_queue(case: Case) -> None:
    for number in range(500):
        await case.a.send(case.to_b, b"%d" % number)
    await case.a.drain(case.to_b)
    await case.a.send(case.to_b, b"!", payload_type=PayloadType.RPC_SIGNAL, confirm="received")
    first = await take(case.b, 1)
    assert texts(first) == [b"!"], f"{first[0]!r} was handed out before the signal"
    stream = case.b.messages()
    early = [await stream.__anext__() for _ in range(3)]
    await case.a.send(case.to_b, b"?", payload_type=PayloadType.RPC_SIGNAL, confirm="received")
    late = [await stream.__anext__() for _ in range(498)]
    await stream.aclose()
    assert bytes(late[0].data) == b"?", "a signal waited for the rest of a batch that was half handed out"
    assert texts(early + late[1:]) == [b"%d" % n for n in range(500)], "the signal disturbed the order of bulk"


async def latency_first_is_at_most_once_and_ascends(case: Case) -> None:
    await case.meet()
    lane = PayloadType.STREAM_LATENCY_FIRST
    for number in range(200):
        await case.a.send(case.to_b, b"%d" % number, payload_type=lane)
    await case.round_trip()
    await case.a.send(case.to_b, b"end", payload_type=PayloadType.STREAM_RELIABLE)
    numbers = []
    async for message in case.b.messages():
        if message.payload_type is lane:
            numbers.append(message.number)
        if bytes(message.data) == b"end":
            break
    assert numbers == sorted(set(numbers)), f"latency-first messages came doubled or out of order: {numbers}"


async def confirm_received_needs_no_consumer(case: Case) -> None:
    await case.a.send(case.to_b, b"1", confirm="received")
    await case.a.drain()
    await case.a.drain(case.to_b)
    await case.a.drain("nobody")
    assert texts(await take(case.b, 1)) == [b"1"], "confirmed as received, but not in the handler queue"


async def confirm_processed_waits_for_the_consumer(case: Case) -> None:
    assert set(get_args(Confirm)) == {"received", "processed", "durable"}, "this check knows three levels"
    loop = asyncio.get_running_loop()
    sending = [loop.create_task(case.a.send(case.to_b, b"%d" % n, confirm="processed")) for n in range(3)]
    stream = case.b.messages()
    for number in range(3):
        await stream.__anext__()
        for earlier in sending[:number]:
            await earlier  # confirmed now, or this hangs
        await case.round_trip_without_signals()
        done = [task.done() for task in sending]
        assert done == [n < number for n in range(3)], f"message {number} is in hand, but confirmed are {done}"
    await stream.aclose()
    receipt = await sending[2]
    assert receipt[1] == 2, "the confirmed receipt names another message"


async def confirm_processed_waits_for_the_handler(case: Case) -> None:
    gate, entered = asyncio.Event(), asyncio.Event()

    async def handler(message: object) -> None:
        entered.set()
        await gate.wait()

    async with serving(case.b, handler):
        sending = asyncio.get_running_loop().create_task(case.a.send(case.to_b, b"", confirm="processed"))
        await entered.wait()
        await case.round_trip_without_signals()
        assert not sending.done(), "confirmed as processed while its handler still runs"
        gate.set()
        await sending


async def a_full_queue_pushes_back_and_waiters_are_served_in_turn(case: Case) -> None:
    loop = asyncio.get_running_loop()
    count = await fill(case.a, case.to_b)
    expect_now(BackpressureError, lambda: case.a.send_nowait(case.to_b, b"no"), "send_nowait to a full lane")
    waiting = [loop.create_task(case.a.send(case.to_b, b"w%d" % n)) for n in range(20)]
    await asyncio.sleep(0)
    timed_out = expect(TimeoutError, case.a.send(case.to_b, b"late", timeout=0.01), "send(timeout=)")
    await timed_out
    for task in waiting[::3]:
        task.cancel()
    await asyncio.sleep(0)
    expect_now(BackpressureError, lambda: case.a.send_nowait(case.to_b, b"no"), "overtaking those who wait")
    kept = [b"w%d" % n for n in range(20) if n % 3]
    got = await take(case.b, count + len(kept))
    await asyncio.wait(waiting)
    assert [m.number for m in got] == list(range(count + len(kept))), "numbers have gaps or repeat"
    order = [bytes(m.data[:4]) for m in got[:count]]
    assert order == [n.to_bytes(4, "big") for n in range(count)], "a full queue lost or reordered messages"
    assert texts(got[count:]) == kept, f"waiting sends came as {texts(got[count:])}"
    await case.a.send(case.to_b, b"after")
    assert texts(await take(case.b, 1)) == [b"after"], "a cancelled or refused send was delivered"


async def a_cancelled_send_is_whole_or_nothing(case: Case) -> None:
    loop = asyncio.get_running_loop()
    returned: list[bytes] = []

    async def send(data: bytes) -> None:
        await case.a.send(case.to_b, data)
        returned.append(data)

    for step in range(12):
        task = loop.create_task(send(b"c%d" % step))
        for _ in range(step):
            await asyncio.sleep(0)
        await end(task)
    await case.a.send(case.to_b, b"end")
    got: list[bytes] = []
    async for message in case.b.messages():
        if bytes(message.data) == b"end":
            break
        got.append(bytes(message.data))
    assert len(got) == len(set(got)), f"a cancelled send was doubled: {got}"
    assert set(returned) <= set(got), f"{set(returned) - set(got)} returned from send and never came"


async def a_thousand_first_senders_make_one_session(case: Case) -> None:
    loop = asyncio.get_running_loop()
    events = case.a.events()
    tasks = [loop.create_task(case.a.send(case.to_b, b"%d" % n)) for n in range(1000)]
    await asyncio.sleep(0)
    cancelled = [tasks[0], *tasks[7::50]]
    for task in cancelled:
        task.cancel()
    await asyncio.wait(tasks)
    sent = {b"%d" % n for n, task in enumerate(tasks) if not task.cancelled()}
    failed = [task.exception() for task in tasks if not task.cancelled() and task.exception()]
    assert not failed, f"cancelling some first senders broke others: {failed[:3]}"
    await case.a.send(case.to_b, b"end")
    got: list[bytes] = []
    async for message in case.b.messages():
        got.append(bytes(message.data))
        if got[-1] == b"end":
            break
    assert len(got) == len(set(got)), "a first message was doubled"
    assert sent <= set(got), f"{len(sent - set(got))} first messages were lost"
    assert (case.a.dest_count, case.a.list_dests()) == (1, [case.to_b]), "one dest became several"
    await case.a.close_transport(case.to_b)
    started = 0
    async for _, event in events:
        started += isinstance(event, SessionStarted)
        if isinstance(event, SessionEnded):
            break
    assert started == 1, f"a thousand first senders started {started} sessions"


async def illegal_sends_are_refused(case: Case) -> None:
    for dest in ("", "a b", "x" * 256, "line\n"):
        await expect(InvalidDestError, case.a.send(dest, b""), f"send to {dest!r}")
        expect_now(InvalidDestError, partial(case.a.send_nowait, dest, b""), f"send_nowait to {dest!r}")
    await expect(ValueError, case.a.send(case.to_b, b"", payload_type=PayloadType.MEDIA), "send of MEDIA")
    misspelt: Any = "nowait"
    await expect(ValueError, case.a.send(case.to_b, b"", when_down=misspelt), "when_down='nowait'")
    await expect(ValueError, case.a.request(case.to_b, b"", when_down=misspelt), "request with when_down='nowait'")
    await expect(ValueError, case.a.send(case.to_b, b"", confirm=misspelt), "confirm='nowait'")
    no_key: Any = 5
    for key in ("", "k" * 256, no_key):
        await expect(ValueError, case.a.send(case.to_b, b"", key=key), f"send with key={key!r}")
        expect_now(ValueError, partial(case.a.send_nowait, case.to_b, b"", key=key), f"send_nowait with key={key!r}")
    await case.a.send(case.to_b, b"fine")
    (message,) = await take(case.b, 1)
    assert message.number == 0, "a refused send used up a number"


async def what_takes_too_long_says_what_did_not_happen(case: Case) -> None:
    error: BaseException = await expect(TimeoutError, case.a.wait_connected("nobody", timeout=0.01), "waiting")
    assert "nobody had no wire" in str(error), f"of whom? {error!r}"
    case.a.send_nowait("nobody", b"kept")
    error = await expect(TimeoutError, case.a.drain(timeout=0.01), "draining")
    assert "received" in str(error), f"what was awaited? {error!r}"
    late = case.a.send(case.to_b, b"read by nobody", confirm="processed", timeout=0.01)
    error = await expect(TimeoutError, late, "a confirmed send")
    assert case.to_b in str(error), f"of whom? {error!r}"
    assert "processed" in str(error), f"what was awaited? {error!r}"


async def unknown_dests_fail_wait_or_queue_as_asked(case: Case) -> None:
    error = await expect(ConnectError, case.a.send("nobody", b""), "send to nobody")
    assert isinstance(error, UnknownDestError), f"nobody knows that dest, but {error!r} does not say so"
    await expect(ConnectError, case.a.send("nobody", b"", when_down="fail"), "when_down='fail'")
    await expect(ConnectError, case.a.send(case.to_b, b"", when_down="fail"), "'fail' before a session")
    assert case.a.has_dest("nobody") is None, "a failed dial left something behind"
    receipt = await case.a.send("nobody", b"kept", when_down="queue")
    assert receipt[1] == 0, "a refused send used up a number"
    assert case.a.has_dest("nobody"), "a queued message has no dest"
    (lost,) = await case.a.close_transport("nobody")
    assert lost.receipt == receipt, f"closing lost {lost!r}, not {receipt!r}"


async def who_is_patient_sits_through_failures(case: Case) -> None:
    few = Retry(attempts=3)
    error = await expect(ConnectError, case.a.send("nobody", b"", when_down=few), "3 attempts to reach nobody")
    assert isinstance(error, UnknownDestError), f"nobody knows that dest, but {error!r} does not say so"
    await expect(ConnectError, case.a.get_or_create_transport("nobody", retry=few), "3 attempts to find nobody")
    assert case.a.has_dest("nobody") is None, "patience in vain left something behind"
    await expect(ConnectError, case.a.request("nobody", b"", when_down=Retry(seconds=0.05)), "0.05 s for nobody")
    await case.a.send(case.to_b, b"at once", when_down=Retry(attempts=1))
    assert texts(await take(case.b, 1)) == [b"at once"]
    await case.a.get_or_create_transport(case.to_b, retry=Retry())


async def send_nowait_starts_a_session(case: Case) -> None:
    receipts = [case.a.send_nowait(case.to_b, b"%d" % n) for n in range(10)]
    assert [receipt[1] for receipt in receipts] == list(range(10)), "numbers do not count up from 0"
    assert texts(await take(case.b, 10)) == [b"%d" % n for n in range(10)], "queued messages lost their order"
    await case.a.wait_connected(case.to_b, timeout=120)
    await case.a.send(case.to_b, b"up", when_down="fail")


DELIVERY_CHECKS: Final[tuple[Check, ...]] = (
    order_per_lane_and_exactly_once,
    concurrent_senders_are_delivered_as_accepted,
    messages_say_what_they_are,
    signals_overtake_in_the_receive_queue,
    latency_first_is_at_most_once_and_ascends,
    confirm_received_needs_no_consumer,
    confirm_processed_waits_for_the_consumer,
    confirm_processed_waits_for_the_handler,
    a_full_queue_pushes_back_and_waiters_are_served_in_turn,
    a_cancelled_send_is_whole_or_nothing,
    a_thousand_first_senders_make_one_session,
    illegal_sends_are_refused,
    what_takes_too_long_says_what_did_not_happen,
    unknown_dests_fail_wait_or_queue_as_asked,
    who_is_patient_sits_through_failures,
    send_nowait_starts_a_session,
)
