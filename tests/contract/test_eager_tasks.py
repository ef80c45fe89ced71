"""Streams and served messages in a loop whose tasks step at once: a handler runs when its stream stands, not before,
and no message is forgotten.

Covers `litz.stream_listener`, `litz.serving` and `litz.ordered_work`.
"""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import StreamAbortedError, StreamRefusedError
from litz.message import Message
from litz.order import Fifo, Order, PerKey
from litz.stream import Stream
from litz.testing.manager_case import Case, Check, MakeManagers
from litz.testing.manager_contract import check_manager
from litz.testing.manager_stream_ends import STREAM_END_CHECKS
from litz.testing.stream_case import PATIENT, service, until
from tests.contract.eager_tasks import eager_tasks
from tests.contract.test_inproc_streams import pair
from tests.contract.test_outproc_manager import over_memory


async def a_handler_is_known_and_may_speak_from_its_first_step(case: Case) -> None:
    known = list[bool]()

    async def greet(stream: Stream) -> None:
        known.append(stream in listener.streams)
        await stream.send(b"hello")
        await stream.receive()

    async with service(case, greet) as listener, case.a.open_stream(case.to_b, "service", options=PATIENT) as stream:
        assert await stream.receive() == b"hello"
        await stream.send(b"and goodbye")
        await stream.send_eof()
    assert known == [True]


async def one_that_stops_its_listener_leaves_no_other_behind(case: Case) -> None:
    began = list[Stream]()

    async def first_ends_all(stream: Stream) -> None:
        began.append(stream)
        await listener.stop("abort")

    async with service(case, first_ends_all, start=False) as listener:
        opening = [asyncio.ensure_future(_open(case)) for _ in range(3)]
        await until(lambda: listener.waiting == 3)
        listener.start()
        for stream in await asyncio.gather(*opening):
            try:
                async with stream:
                    await stream.receive()
            except (StreamAbortedError, EOFError):
                pass
        await until(lambda: not listener.streams)
        assert len(began) == 1
        with pytest.raises(StreamRefusedError):
            await _open(case)


async def _open(case: Case) -> Stream:
    return await case.a.open_stream(case.to_b, "service", options=PATIENT)


async def _serves_all(case: Case, order: Order | None, concurrency: int | None) -> None:
    got = list[bytes]()

    def handler(message: Message) -> None:
        got.append(message.data)

    sent = [b"%d" % number for number in range(8)]
    for data in sent:
        await case.a.send(case.to_b, data)
    serving = asyncio.create_task(case.b.serve(handler, order=order, concurrency=concurrency))
    await case.a.send(case.to_b, b"last", confirm="processed")
    assert got == [*sent, b"last"]
    serving.cancel()
    await asyncio.wait([serving])


async def serve_handles_all(case: Case) -> None:
    await _serves_all(case, None, None)


async def several_at_once_handle_all(case: Case) -> None:
    await _serves_all(case, None, 4)


async def one_after_the_other_handle_all(case: Case) -> None:
    await _serves_all(case, Fifo(), None)


async def in_order_of_a_key_handle_all(case: Case) -> None:
    await _serves_all(case, PerKey(by=lambda message: b"", messages=2), 2)


CHECKS = (
    serve_handles_all,
    several_at_once_handle_all,
    one_after_the_other_handle_all,
    in_order_of_a_key_handle_all,
    a_handler_is_known_and_may_speak_from_its_first_step,
    one_that_stops_its_listener_leaves_no_other_behind,
    *STREAM_END_CHECKS,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make_pair", [pytest.param(pair, id="inproc"), pytest.param(over_memory, id="outproc")])
async def test_with_tasks_that_step_at_once(make_pair: MakeManagers, check: Check) -> None:
    with eager_tasks():
        await check_manager(make_pair, check)
