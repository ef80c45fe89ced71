"""The path of a data channel: what the library says, also when it says it late."""

from __future__ import annotations

import asyncio
from unittest.mock import PropertyMock, patch

from litz.testing.recording import RecordingSink
from litz.wire import WirePath
from outproc.wires.webrtc.aiortc_engine import AiortcConnection
from tests.unit.outproc_webrtc.webrtc_kit import wire_pair


async def test_a_path_that_the_library_knows_late_is_shown() -> None:
    """One of the two libraries tells the chosen pair of addresses some time after the channel is open."""
    async with wire_pair(heartbeat=0.05) as (wire, other):
        wire.start(RecordingSink())
        other.start(RecordingSink())
        later = WirePath("relay", "192.0.2.1:1", "192.0.2.2:2")
        told = asyncio.Event()

        def tell() -> WirePath:
            told.set()
            return later

        with patch.object(AiortcConnection, "path", PropertyMock(side_effect=tell)):
            async with asyncio.timeout(120):
                await told.wait()
            assert later in (wire.path, other.path)
