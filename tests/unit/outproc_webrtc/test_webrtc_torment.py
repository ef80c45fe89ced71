"""Peers that only pretend to connect, a short run; `tests/prove` has the whole."""

from __future__ import annotations

import logging

import pytest

from outproc.wires.webrtc.engines import EngineName
from tests.unit.outproc_webrtc.signaling_torment import half_open, spoiled

both_engines = pytest.mark.parametrize("engine", ["aiortc", "wrtc"])


@both_engines
async def test_half_open_attempts_are_bounded(engine: EngineName, caplog: pytest.LogCaptureFixture) -> None:
    await half_open(48, engine)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@both_engines
async def test_spoiled_offers_harm_nobody_else(engine: EngineName, caplog: pytest.LogCaptureFixture) -> None:
    await spoiled(600, engine)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
