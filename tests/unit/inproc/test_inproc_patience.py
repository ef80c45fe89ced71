"""Who waits for a dest that is not on the hub yet, and sits through not finding it."""

from __future__ import annotations

import asyncio

import pytest

from inproc import Hub, InprocTransportManager
from litz.errors import UnknownDestError
from litz.retry import Retry


async def test_it_waits_until_the_dest_is_there() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a:
        sending = asyncio.ensure_future(a.send("b", "x", when_down=Retry()))
        connecting = asyncio.ensure_future(a.get_or_create_transport("b", retry=Retry()))
        await asyncio.sleep(0)
        assert not sending.done()
        assert a.has_dest("b") is None
        async with InprocTransportManager("b", hub) as b:
            async with b.messages() as messages:
                assert (await anext(messages)).data == "x"
            await sending
            assert (await connecting).dest == "b"


async def test_its_attempts_and_its_seconds_end() -> None:
    async with InprocTransportManager("a", Hub()) as a:
        with pytest.raises(UnknownDestError):
            await a.send("b", "x", when_down=Retry(attempts=2))
        with pytest.raises(UnknownDestError):
            await a.request("b", "x", when_down=Retry(seconds=0.01))
