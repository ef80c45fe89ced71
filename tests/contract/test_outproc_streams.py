"""The manager across processes keeps the contract of streams: over memory, TCP and Unix sockets, and on virtual time.

Covers `outproc.streams.streams`, `outproc.streams.session_streams` and `outproc.streams.side` under the public verbs.
"""

from __future__ import annotations

import pytest

from litz.testing.manager_case import Check, MakeManagers
from litz.testing.manager_contract import check_manager
from tests.contract.stream_checks import ALL_STREAM_CHECKS, VIRTUAL_STREAM_CHECKS
from tests.contract.test_outproc_manager import check_on_virtual_time, over_memory, over_tcp, over_tcp_sealed, over_unix


@pytest.mark.parametrize("check", ALL_STREAM_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "make_pair",
    [
        pytest.param(over_memory, id="memory"),
        pytest.param(over_tcp, id="tcp"),
        pytest.param(over_tcp_sealed, id="sealed", marks=pytest.mark.prove),
        pytest.param(over_unix, id="unix", marks=pytest.mark.prove),
    ],
)
async def test_over_every_wire(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)


@pytest.mark.parametrize("check", VIRTUAL_STREAM_CHECKS, ids=lambda check: check.__name__)
def test_on_virtual_time(check: Check) -> None:
    check_on_virtual_time(check, seed=7)
