"""The in-process manager keeps the contract of streams: in one loop, on virtual time, and across two threads.

Covers `litz.testing.manager_streams`, `litz.testing.manager_stream_ends`, `litz.testing.manager_stream_services`,
`litz.testing.stream_case`, `inproc.streams`, `inproc.stream_side`,
`litz.stream`, `litz.stream_core`, `litz.stream_host`, `litz.stream_inbound`, `litz.stream_listener`,
`litz.stream_outbound`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import TransportManager
from litz.testing.manager_case import Check
from litz.testing.manager_contract import check_manager
from litz.testing.simulation import run_simulation
from tests.contract.stream_checks import ALL_STREAM_CHECKS, VIRTUAL_STREAM_CHECKS


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[TransportManager, TransportManager]]:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        yield a, b


@pytest.mark.parametrize("check", ALL_STREAM_CHECKS, ids=lambda check: check.__name__)
async def test_one_loop(check: Check) -> None:
    await check_manager(pair, check)


@pytest.mark.parametrize("check", VIRTUAL_STREAM_CHECKS, ids=lambda check: check.__name__)
def test_virtual_time(check: Check) -> None:
    run_simulation(lambda loop: check_manager(pair, check), seed=7, allow_timers=True)
