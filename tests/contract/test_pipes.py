"""Both managers keep the contract of byte pipes, on every kind of wire.

Covers `litz.testing.manager_pipes`, `litz.pipe_verbs`, `litz.pipe_host`, `litz.pipe_socket`, `litz.loopback_pair`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from inproc import Hub, InprocTransportManager
from litz import TransportManager
from litz.testing.manager_case import Check, MakeManagers, starts_threads
from litz.testing.manager_contract import check_manager
from litz.testing.manager_pipes import PIPE_CHECKS
from litz.testing.simulation import run_simulation
from tests.contract import test_relay_managers as relay
from tests.contract import test_routing_manager as routing
from tests.contract import test_webrtc_manager as webrtc
from tests.contract.test_outproc_manager import over_memory, over_tcp, over_tcp_sealed, over_unix


@asynccontextmanager
async def in_process() -> AsyncIterator[tuple[TransportManager, TransportManager]]:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        yield a, b


KINDS: dict[str, MakeManagers] = {
    "inproc": in_process,
    "memory": over_memory,
    "tcp": over_tcp,
    "sealed": over_tcp_sealed,
    "unix": over_unix,
    "relay": relay.over_memory,
    "webrtc": lambda: webrtc.without_proof(cold=False),
    "routed-inside": lambda: routing.pair(inside=True),
    "routed-outside": lambda: routing.pair(inside=False),
}
VIRTUAL = [check for check in PIPE_CHECKS if not starts_threads(check)]


PROVED = ("sealed", "unix", "relay", "webrtc")
"""Only `make prove` has these."""


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.prove) if kind in PROVED else kind for kind in KINDS]
)
@pytest.mark.parametrize("check", PIPE_CHECKS, ids=lambda check: check.__name__)
async def test_pipes(kind: str, check: Check) -> None:
    await check_manager(KINDS[kind], check)


@pytest.mark.parametrize("check", VIRTUAL, ids=lambda check: check.__name__)
def test_in_process_on_virtual_time(check: Check) -> None:
    run_simulation(lambda loop: check_manager(in_process, check), seed=7, allow_timers=True)
