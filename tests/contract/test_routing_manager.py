"""The routing manager keeps the manager contract, whichever of its two managers carries the traffic."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import TransportManager
from litz.routing import RoutingTransportManager
from litz.testing.manager_case import Check
from litz.testing.manager_contract import MANAGER_CHECKS, check_manager


def routing(local_id: str, near: Hub, far: Hub) -> RoutingTransportManager:
    """A second hub stands for the world outside: to a routing manager it is just another manager."""
    return RoutingTransportManager(
        local_id, inproc=InprocTransportManager(local_id, near), outproc=InprocTransportManager(local_id, far)
    )


def pair(*, inside: bool) -> AbstractAsyncContextManager[tuple[TransportManager, TransportManager]]:
    @asynccontextmanager
    async def make() -> AsyncIterator[tuple[TransportManager, TransportManager]]:
        far, near = Hub(), Hub()
        async with routing("a", near, far) as a, routing("b", near if inside else Hub(), far) as b:
            yield a, b

    return make()


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "outside"])
@pytest.mark.parametrize("check", MANAGER_CHECKS, ids=lambda check: check.__name__)
async def test_routing(check: Check, inside: bool) -> None:
    await check_manager(lambda: pair(inside=inside), check)
