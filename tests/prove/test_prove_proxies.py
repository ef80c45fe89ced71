"""Sessions through real proxies, which are killed under them: nothing is lost, doubled or reordered."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import ConnectError
from litz.testing.manager_case import take
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.outproc_nodes import LOOPBACK, dest_of, node
from tests.prove.lab.proxies import RealProxy

pytestmark = pytest.mark.prove

MESSAGES = 2000


@pytest.mark.parametrize("name", ["microsocks", "tinyproxy"])
async def test_a_real_proxy_is_killed_and_comes_back(name: str) -> None:
    async with RealProxy(name) as proxy, node("bob", listen=LOOPBACK) as bob:
        builder = WebSocketWireBuilder(proxy=proxy.url)
        async with node("alice", knows={"bob": bob.endpoints}, builders=[builder]) as alice:
            reading = asyncio.create_task(take(bob, MESSAGES))
            for number in range(MESSAGES):
                await alice.send("bob", b"%d" % number)
                if number in (MESSAGES // 4, MESSAGES // 2):
                    await alice.drain()
                    proxy.kill()
                    await proxy.start()
            await alice.drain()
            assert [bytes(message.data) for message in await reading] == [b"%d" % each for each in range(MESSAGES)]
            assert dest_of(alice, "bob").heals >= 2
            assert dest_of(alice, "bob").session == 0


@pytest.mark.parametrize("name", ["microsocks", "tinyproxy"])
async def test_a_real_proxy_refuses_who_does_not_know_the_password(name: str) -> None:
    async with RealProxy(name) as proxy, node("bob", listen=LOOPBACK) as bob:
        builder = WebSocketWireBuilder(proxy=proxy.url.replace("only-for-a-test", "guessed-badly"))
        async with node("alice", knows={"bob": bob.endpoints}, builders=[builder]) as alice:
            with pytest.raises(ConnectError, match="the proxy") as caught:
                await alice.get_or_create_transport("bob")
        assert "guessed-badly" not in str(caught.value)
