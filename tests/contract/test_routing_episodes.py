"""Episodes between routing managers, whichever of their two managers carries them."""

from __future__ import annotations

import pytest

from litz.testing.manager_case import Check
from litz.testing.manager_contract import check_manager
from litz.testing.manager_episodes import EPISODE_CHECKS
from tests.contract.test_routing_manager import pair


@pytest.mark.parametrize("inside", [True, pytest.param(False, marks=pytest.mark.prove)], ids=["inside", "outside"])
@pytest.mark.parametrize("check", EPISODE_CHECKS, ids=lambda check: check.__name__)
async def test_routing_episodes(check: Check, inside: bool) -> None:
    await check_manager(lambda: pair(inside=inside), check)
