"""128 half-open attempts to connect, and 10,000 spoiled descriptions and candidates: bounded, nothing in the log, and
others unharmed."""

from __future__ import annotations

import logging

import pytest

from outproc.wires.webrtc.engines import EngineName
from tests.unit.outproc_webrtc.signaling_torment import half_open, spoiled

pytestmark = pytest.mark.prove
both_engines = pytest.mark.parametrize("engine", ["aiortc", "wrtc"])


@pytest.mark.limit(600)
@both_engines
async def test_128_half_open_attempts(engine: EngineName, caplog: pytest.LogCaptureFixture) -> None:
    await half_open(128, engine)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.limit(900)
@both_engines
async def test_10_000_spoiled_offers(engine: EngineName, caplog: pytest.LogCaptureFixture) -> None:
    await spoiled(10_000, engine)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
