"""The contract of streams where wires take long to come up, or others carry them on: WebRTC with both engines, hubs.
All checks in `make prove`; two that are quick in `make test`."""

from __future__ import annotations

from functools import partial

import pytest

from litz.testing.manager_case import Check, MakeManagers
from litz.testing.manager_contract import check_manager
from litz.testing.manager_stream_ends import an_abort_comes_after_what_arrived_before
from litz.testing.manager_streams import each_half_ends_on_its_own
from tests.contract import test_relay_managers as relayed
from tests.contract import test_webrtc_manager as webrtc
from tests.contract.stream_checks import ALL_STREAM_CHECKS

OVER: dict[str, MakeManagers] = {
    "hub": relayed.over_tcp_sealed,
    "aiortc": partial(webrtc.without_proof, cold=False),
    "wrtc": partial(webrtc.with_keys, cold=False, engine="wrtc"),
}
"""The checks begin with WebRTC up."""

overs = pytest.mark.parametrize("make_pair", OVER.values(), ids=OVER.keys())


@overs
@pytest.mark.parametrize(
    "check",
    [each_half_ends_on_its_own, an_abort_comes_after_what_arrived_before],
    ids=lambda check: check.__name__,
)
async def test_quick(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)


@pytest.mark.prove
@overs
@pytest.mark.parametrize("check", ALL_STREAM_CHECKS, ids=lambda check: check.__name__)
async def test_all(make_pair: MakeManagers, check: Check) -> None:
    await check_manager(make_pair, check)
