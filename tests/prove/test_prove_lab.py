"""The lab does what it says: networks come and go, links are as bad as told, the TURN server relays and refuses, the
SSH server and the database serve.

Covers `tests/prove/lab/`, so that a proof which fails in it is believed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.prove.lab.coturn import Coturn
from tests.prove.lab.namespaces import Lab, Namespace
from tests.prove.lab.openssh import SshServer, listens
from tests.prove.lab.postgres import Postgres
from tests.prove.lab.tools import run
from tests.prove.processes import Worker

pytestmark = [pytest.mark.prove, pytest.mark.limit(600)]

PROBE = "tests.prove.lab.probe:serve"
PATIENCE = 60.0
"""Seconds for what must come."""
LONG = 1.0
"""Seconds without an answer after which none is believed to come."""


@asynccontextmanager
async def probes(*namespaces: Namespace) -> AsyncIterator[list[Worker]]:
    workers = [Worker(PROBE, prefix=each.prefix) for each in namespaces]
    entered: list[Worker] = []
    try:
        for worker in workers:
            await worker.__aenter__()
            entered.append(worker)
        yield workers
    finally:
        for worker in entered:
            await worker.__aexit__(None, None, None)


async def ask(
    worker: Worker, host: str, port: int, *, count: int = 5, gap: float = 0.002, patience: float = PATIENCE
) -> dict[str, Any]:
    """Ask until all is answered, or for so long."""
    found: dict[str, Any] = await worker.control.call(
        "ask", host=host, port=port, count=count, gap=gap, patience=patience, enough=count
    )
    return found


async def ask_in_vain(worker: Worker, host: str, port: int) -> None:
    """Nothing is answered."""
    assert (await ask(worker, host, port, patience=LONG))["order"] == []


async def came(worker: Worker, count: int) -> None:
    """So many packets have come there, and no more."""
    end = time.monotonic() + PATIENCE
    while len(await worker.control.call("came")) < count and time.monotonic() < end:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    assert len(await worker.control.call("came")) == count


async def test_hosts_are_joined_cut_deafened_and_gone_at_the_end() -> None:
    with Lab() as lab:
        a, b = lab.namespace("a"), lab.namespace("b")
        lab.join(a, "10.91.0.1/24", b, "10.91.0.2/24")
        async with probes(a, b) as (at_a, at_b):
            port = await at_b.control.call("listen", host="10.91.0.2")
            assert len((await ask(at_a, "10.91.0.2", port))["order"]) == 5

            a.deafen("10.91.0.2")
            before = len(await at_b.control.call("came"))
            await ask_in_vain(at_a, "10.91.0.2", port)
            await came(at_b, before + 5)  # one way only: what is sent there arrives

            a.heal()
            assert len((await ask(at_a, "10.91.0.2", port))["order"]) == 5
            a.block_udp()
            await ask_in_vain(at_a, "10.91.0.2", port)
            await came(at_b, before + 10)
        names = [a.name, b.name]
    assert not [name for name in names if name in run("ip", "netns", "list")]


async def test_two_networks_meet_only_where_a_host_forwards() -> None:
    with Lab() as lab:
        a, middle, b = lab.namespace("a"), lab.namespace("m"), lab.namespace("b")
        lab.join(a, "10.91.0.1/24", middle, "10.91.0.2/24")
        lab.join(b, "10.92.0.1/24", middle, "10.92.0.2/24")
        a.route("10.92.0.0/24", "10.91.0.2")
        b.route("10.91.0.0/24", "10.92.0.2")
        middle.forward(False)
        async with probes(a, b) as (at_a, at_b):
            port = await at_b.control.call("listen", host="10.92.0.1")
            await ask_in_vain(at_a, "10.92.0.1", port)
            middle.forward(True)
            assert len((await ask(at_a, "10.92.0.1", port))["order"]) == 5


async def test_a_host_changes_its_address() -> None:
    with Lab() as lab:
        a, b = lab.namespace("a"), lab.namespace("b")
        device, _ = lab.join(a, "10.91.0.1/24", b, "10.91.0.2/24")
        async with probes(a, b) as (at_a, at_b):
            port = await at_a.control.call("listen", host="0.0.0.0")
            assert (await ask(at_b, "10.91.0.1", port))["order"]
            a.change_address(device, "10.91.0.9/24")
            await ask_in_vain(at_b, "10.91.0.1", port)
            assert (await ask(at_b, "10.91.0.9", port))["order"]


async def test_a_bad_link_is_as_bad_as_it_is_told() -> None:
    with Lab() as lab:
        a, b = lab.namespace("a"), lab.namespace("b")
        async with (
            Worker(
                "tests.prove.lab.emulator:serve",
                namespaces=[a.name, b.name],
                addresses=["10.88.0.1/24", "10.88.0.2/24"],
                seed=5,
            ) as link,
            probes(a, b) as (at_a, at_b),
        ):
            port = await at_b.control.call("listen", host="10.88.0.2")
            calm = await ask(at_a, "10.88.0.2", port, count=20)
            assert calm["order"] == list(range(20))

            await link.control.call("weather", delay=0.025)
            late = await ask(at_a, "10.88.0.2", port, count=20)
            assert late["order"] == list(range(20))
            assert 0.05 <= min(late["times"]) < 0.1

            await link.control.call("weather", way=0, delay=0.005, loss=0.2, reorder=0.2, duplicate=0.2)
            await link.control.call("weather", way=1)
            storm = await ask(at_a, "10.88.0.2", port, count=500, gap=0.001, patience=5 * LONG)
            answered = set(storm["order"])
            assert 350 <= len(answered) <= 450, "a fifth is lost"
            assert len(storm["order"]) - len(answered) >= 40, "a fifth comes twice"
            assert storm["order"] != sorted(storm["order"])

            await link.control.call("weather", way=1, down=True)
            before = len(await at_b.control.call("came"))
            await link.control.call("weather", way=0)
            await ask_in_vain(at_a, "10.88.0.2", port)
            await came(at_b, before + 5)
            counts = await link.control.call("counts")
            assert counts[0]["lost"] > 0
            assert counts[1]["lost"] >= 5


async def test_the_turn_server_listens_starts_again_and_stops() -> None:
    with Lab() as lab:
        middle, a = lab.namespace("m"), lab.namespace("a")
        lab.join(a, "10.91.0.1/24", middle, "10.91.0.2/24")
        async with Coturn(["10.91.0.2"], within=middle) as server:
            assert ":0D96" in middle.run("cat", "/proc/net/udp")
            await server.kill()
            assert ":0D96" not in middle.run("cat", "/proc/net/udp")
            await server.start()
            assert ":0D96" in middle.run("cat", "/proc/net/udp")
        assert ":0D96" not in middle.run("cat", "/proc/net/udp")


async def test_the_turn_server_on_loopback() -> None:
    async with Coturn() as server:
        assert server.url().startswith("turn:127.0.0.1:")
        assert server.allocations == 0


async def test_the_ssh_server_lets_in_the_user_of_its_key_only() -> None:
    async with SshServer() as server:
        said = await asyncio.to_thread(run, *server.client("ssh", server.port, "127.0.0.1", "echo hello"))
        assert said == "hello\n"
        (server.folder / "user_key.pub").write_text("")
        with pytest.raises(RuntimeError, match="Permission denied"):
            await asyncio.to_thread(run, *server.client("ssh", server.port, "127.0.0.1", "echo hello"))
        port = server.port
    assert not await listens(port)


async def test_the_database_answers_on_both_of_its_sockets_and_ends() -> None:
    async with Postgres() as server:
        for host in ("127.0.0.1", server.folder):
            assert await asyncio.to_thread(run, *server.psql(host, server.port), "-c", "select 6 * 7") == "42\n"
        port, folder = server.port, server.folder
    assert not await listens(port)
    assert not folder.exists()
