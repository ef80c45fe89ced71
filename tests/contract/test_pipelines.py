"""Pipelines over the streams of both managers: `litz.testing.manager_pipelines`, `litz.pipeline.line`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import TransportManager
from litz.testing.manager_case import Check
from litz.testing.manager_contract import check_manager
from litz.testing.manager_pipelines import PIPELINE_CHECKS
from litz.testing.simulation import run_simulation
from tests.contract.test_outproc_manager import check_on_virtual_time, over_tcp


@asynccontextmanager
async def in_process() -> AsyncIterator[tuple[TransportManager, TransportManager]]:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        yield a, b


@pytest.mark.parametrize("check", PIPELINE_CHECKS, ids=lambda check: check.__name__)
def test_in_process_on_virtual_time(check: Check) -> None:
    run_simulation(lambda loop: check_manager(in_process, check), seed=7, allow_timers=True)


@pytest.mark.parametrize("check", PIPELINE_CHECKS, ids=lambda check: check.__name__)
async def test_in_process(check: Check) -> None:
    await check_manager(in_process, check)


@pytest.mark.parametrize("check", PIPELINE_CHECKS, ids=lambda check: check.__name__)
async def test_between_nodes(check: Check) -> None:
    await check_manager(over_tcp, check)


@pytest.mark.parametrize("check", PIPELINE_CHECKS, ids=lambda check: check.__name__)
def test_between_nodes_on_virtual_time(check: Check) -> None:
    check_on_virtual_time(check, seed=7)
