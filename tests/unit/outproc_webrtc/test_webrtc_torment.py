"""Peers that only pretend to connect, a short run; `tests/prove` has the whole."""

from __future__ import annotations

import logging

import pytest

from tests.unit.outproc_webrtc.signaling_torment import half_open, spoiled


async def test_half_open_attempts_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    await half_open(48)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_spoiled_offers_harm_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    await spoiled(600)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
