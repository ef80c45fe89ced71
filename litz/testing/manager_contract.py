"""The contract of a transport manager as checks: run them on your own manager."""

from __future__ import annotations

import asyncio
from typing import Final

from litz.testing.manager_case import LIMIT, Case, Check, MakeManagers, starts_threads
from litz.testing.manager_delivery import DELIVERY_CHECKS
from litz.testing.manager_ends import END_CHECKS
from litz.testing.manager_life import LIFE_CHECKS
from litz.testing.manager_ordering import ORDERING_CHECKS
from litz.testing.manager_receiving import RECEIVING_CHECKS
from litz.testing.manager_restarts import RESTART_CHECKS

MANAGER_CHECKS: Final[tuple[Check, ...]] = (
    *DELIVERY_CHECKS,
    *RECEIVING_CHECKS,
    *ORDERING_CHECKS,
    *LIFE_CHECKS,
    *END_CHECKS,
    *RESTART_CHECKS,
)
"""All checks. Each is an async function of one `Case`; its name says what must hold."""

VIRTUAL_TIME_CHECKS: Final[tuple[Check, ...]] = tuple(check for check in MANAGER_CHECKS if not starts_threads(check))
"""Those that start no thread, so that they also run on a loop with virtual time."""


async def check_manager(make_pair: MakeManagers, check: Check) -> None:
    """Run one check on a fresh pair. Raises AssertionError with a story. Nothing that the managers or the check
    started may run afterwards."""
    name = getattr(check, "__name__", repr(check))
    before = asyncio.all_tasks()
    try:
        async with asyncio.timeout(LIMIT), make_pair() as (a, b):
            await check(Case(a, b))
    except TimeoutError as error:
        raise AssertionError(f"{name}: hung for {LIMIT} s") from error
    for _ in range(3):
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task not in before]
    if left:
        raise AssertionError(f"{name}: tasks were left behind (P7): {left}")


async def check_transport_manager(make_pair: MakeManagers, *, threads: bool = True) -> None:
    """Run every check of the manager contract, each on a fresh pair of `make_pair()`: two entered managers, the
    other's id known to each, nothing sent yet, payloads bytes. `threads=False` leaves out those that start
    threads. Raises AssertionError at the first that fails."""
    for check in MANAGER_CHECKS if threads else VIRTUAL_TIME_CHECKS:
        await check_manager(make_pair, check)
