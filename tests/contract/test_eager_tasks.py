"""Streams in a loop whose tasks step at once: a handler runs when its stream stands, and not before.

Covers `litz.stream_listener`.
"""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import StreamAbortedError, StreamRefusedError
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


CHECKS = (
    a_handler_is_known_and_may_speak_from_its_first_step,
    one_that_stops_its_listener_leaves_no_other_behind,
    *STREAM_END_CHECKS,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make_pair", [pytest.param(pair, id="inproc"), pytest.param(over_memory, id="outproc")])
async def test_with_tasks_that_step_at_once(make_pair: MakeManagers, check: Check) -> None:
    with eager_tasks():
        await check_manager(make_pair, check)
