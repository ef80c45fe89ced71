"""The contract of wires over real WebRTC connections on loopback.

Covers `outproc.wires.webrtc.wire`, `outproc.wires.webrtc.aiortc_engine`, `outproc.wires.webrtc.guarded_ice` and
`outproc.wires.webrtc.channel_messages`.
"""

from __future__ import annotations

import pytest

from litz.testing import WIRE_CHECKS
from litz.testing.wire_contract import WireCheck
from tests.unit.outproc_webrtc.webrtc_kit import wire_pair


@pytest.mark.both_loops
@pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))
async def test_aiortc_wire(check: WireCheck) -> None:
    await check(wire_pair)
