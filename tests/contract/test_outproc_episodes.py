"""Episodes between managers of two processes: over a wire in memory, over WebSockets, and on virtual time.

Covers `litz.testing.manager_episodes`, `litz.episode_publisher`, `litz.episode_subscriber`, `litz.episode_retrying`.
"""

from __future__ import annotations

import pytest

from litz.testing.manager_case import Check, MakeManagers
from litz.testing.manager_contract import check_manager
from litz.testing.manager_episodes import EPISODE_CHECKS
from tests.contract.test_outproc_manager import check_on_virtual_time, over_memory, over_tcp

checks = pytest.mark.parametrize("check", EPISODE_CHECKS, ids=lambda check: check.__name__)


@checks
@pytest.mark.parametrize("make_pair", [over_memory, over_tcp], ids=["memory", "tcp"])
async def test_on_real_wires(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)


@checks
def test_on_virtual_time(check: Check) -> None:
    check_on_virtual_time(check, seed=1, allow_timers=True)
