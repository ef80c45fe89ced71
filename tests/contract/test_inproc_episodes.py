"""Episodes between managers of one process: in one loop, and on virtual time.

Covers `litz.testing.manager_episodes`, `litz.episode_publisher`, `litz.episode_subscriber`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import TransportManager
from litz.testing.manager_case import Check
from litz.testing.manager_contract import check_manager
from litz.testing.manager_episodes import EPISODE_CHECKS
from litz.testing.simulation import run_simulation


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[TransportManager, TransportManager]]:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        yield a, b


@pytest.mark.parametrize("check", EPISODE_CHECKS, ids=lambda check: check.__name__)
async def test_one_loop(check: Check) -> None:
    await check_manager(pair, check)


@pytest.mark.parametrize("check", EPISODE_CHECKS, ids=lambda check: check.__name__)
def test_virtual_time(check: Check) -> None:
    run_simulation(lambda loop: check_manager(pair, check), seed=7, allow_timers=True)
