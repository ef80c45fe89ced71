"""The in-process manager keeps the manager contract: in one loop, and across two threads.

Covers `litz.testing.manager_case`, `litz.testing.manager_delivery`, `litz.testing.manager_life`,
`litz.testing.manager_ordering`, `litz.testing.manager_receiving`, `litz.testing.manager_restarts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import TransportManager
from litz.testing.manager_case import Check
from litz.testing.manager_contract import MANAGER_CHECKS, VIRTUAL_TIME_CHECKS, check_manager
from litz.testing.simulation import run_simulation


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[TransportManager, TransportManager]]:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        yield a, b


@pytest.mark.parametrize("check", MANAGER_CHECKS, ids=lambda check: check.__name__)
async def test_one_loop(check: Check) -> None:
    await asyncio.sleep(0)
    await check_manager(pair, check)


@pytest.mark.parametrize("check", VIRTUAL_TIME_CHECKS, ids=lambda check: check.__name__)
def test_virtual_time(check: Check) -> None:
    run_simulation(lambda loop: check_manager(pair, check), seed=7, allow_timers=True)
