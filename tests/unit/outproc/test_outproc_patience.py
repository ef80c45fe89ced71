"""A caller's own retry: who sits through failures shares the dials of all, and changes nothing for the others."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import ConnectError, UntrustedPeerError
from litz.retry import Retry
from tests.unit.outproc.town import Town, virtual

REFUSED = {"memory:bob": ConnectionRefusedError("nobody listens")}
FOR_EVER = Retry()


def now() -> float:
    return asyncio.get_running_loop().time()


def test_it_waits_until_the_dest_is_there() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice, town.manager("bob") as bob:
            town.builders["alice"].errors = dict(REFUSED)
            sending = asyncio.ensure_future(alice.send("bob", b"x", when_down=FOR_EVER))
            connecting = asyncio.ensure_future(alice.get_or_create_transport("bob", retry=FOR_EVER))
            await asyncio.sleep(120)
            assert not sending.done()
            await bob.listen("memory:bob")
            town.builders["alice"].errors.clear()
            began = now()
            await sending
            assert (await connecting).dest == "bob"
            assert now() - began <= 5.1
            async with bob.messages() as messages:
                assert (await anext(messages)).data == b"x"

    virtual(scenario)


def test_each_caller_gets_its_error_when_its_own_attempts_are_used_up() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            town.builders["alice"].errors = dict(REFUSED)
            order: list[int | None] = []

            async def wait(attempts: int | None) -> None:
                with pytest.raises(ConnectError, match="nobody listens"):
                    await alice.send("bob", b"x", when_down=Retry(attempts=attempts) if attempts else None)
                order.append(attempts)

            await asyncio.gather(*(wait(attempts) for attempts in (4, None, 2, 7)))
            assert order == [None, 2, 4, 7]
            assert len(town.builders["alice"].dials) == 7
            await asyncio.sleep(60)
            assert len(town.builders["alice"].dials) == 7
            assert alice.has_dest("bob") is None

    virtual(scenario)


def test_an_attempt_is_one_of_every_endpoint() -> None:
    async def scenario() -> None:
        town = Town()
        knows = {"bob": ["memory:one", "memory:two", "memory:three"]}
        async with town.manager("alice", knows=knows) as alice:
            builder = town.builders["alice"]
            builder.errors = {address: ConnectionRefusedError() for address in knows["bob"]}
            with pytest.raises(ConnectError) as caught:
                await alice.send("bob", b"x", when_down=Retry(attempts=4))
            assert len(caught.value.attempts) == 3
            dials = [[at for address, at in builder.dials if address == each] for each in knows["bob"]]
            assert min(map(len, dials)) == 4

    virtual(scenario)


def test_the_backoff_is_that_of_the_dest_however_many_wait() -> None:
    async def scenario() -> None:
        counts = []
        for callers in (1, 1_000):
            town = Town()
            async with town.manager("alice") as alice:
                town.builders["alice"].errors = dict(REFUSED)
                waiting = [
                    asyncio.ensure_future(alice.send("bob", b"x", when_down=Retry(seconds=100.0)))
                    for _ in range(callers)
                ]
                await asyncio.gather(*waiting, return_exceptions=True)
                counts.append(len(town.builders["alice"].dials))
        assert counts[0] == counts[1]
        assert counts[0] <= 80

    virtual(scenario)


def test_its_seconds_end_the_wait_with_the_latest_error() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", backoff_base=500, backoff_cap=500) as alice:
            town.builders["alice"].errors = dict(REFUSED)
            began = now()
            with pytest.raises(ConnectError, match=r"in the time of this call.*nobody listens"):
                await alice.request("bob", b"x", when_down=Retry(seconds=7.0))
            assert now() - began == pytest.approx(7.0)

    virtual(scenario)


def test_a_caller_in_a_hurry_does_not_wait_for_the_backoff_of_the_patient() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", backoff_base=500, backoff_cap=500) as alice:
            town.builders["alice"].errors = dict(REFUSED)
            patient = asyncio.ensure_future(alice.send("bob", b"x", when_down=FOR_EVER))
            await asyncio.sleep(10)
            began = now()
            with pytest.raises(ConnectError):
                await alice.send("bob", b"y")
            assert now() - began < 0.1
            assert not patient.done()
            await asyncio.sleep(10)
            assert not patient.done()
            patient.cancel()
            await asyncio.wait([patient])

    virtual(scenario)


def test_what_is_pointless_is_told_at_once() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            town.builders["alice"].errors = {"memory:bob": UntrustedPeerError("not bob's key")}
            began = now()
            with pytest.raises(ConnectError, match="not bob's key"):
                await alice.send("bob", b"x", when_down=FOR_EVER)
            assert now() - began < 1.0

    virtual(scenario)


def test_cancelling_the_last_who_waits_ends_the_dials() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            town.builders["alice"].errors = dict(REFUSED)
            waiting = [asyncio.ensure_future(alice.send("bob", b"x", when_down=FOR_EVER)) for _ in range(3)]
            await asyncio.sleep(20)
            for task in waiting[:2]:
                task.cancel()
            before = len(town.builders["alice"].dials)
            await asyncio.sleep(20)
            assert len(town.builders["alice"].dials) > before
            waiting[2].cancel()
            await asyncio.sleep(10)
            before = len(town.builders["alice"].dials)
            await asyncio.sleep(60)
            assert len(town.builders["alice"].dials) == before
            assert alice.has_dest("bob") is None

    virtual(scenario)


@pytest.mark.parametrize("how", ["close_transport", "close"])
def test_who_closes_ends_the_wait(how: str) -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice") as alice:
            town.builders["alice"].errors = dict(REFUSED)
            waiting = asyncio.ensure_future(alice.send("bob", b"x", when_down=FOR_EVER))
            await asyncio.sleep(20)
            if how == "close":
                await alice.aclose()
            else:
                await alice.close_transport("bob")
            with pytest.raises(ConnectError):
                async with asyncio.timeout(1):
                    await waiting
            if how == "close_transport":
                assert alice.has_dest("bob") is None

    virtual(scenario)


def test_a_dest_that_is_given_up_ends_the_wait_although_a_directory_is_down() -> None:
    """Nothing is dialled any more, so no further attempt would ever fail."""

    class Down:
        async def look_up(self, dest: str) -> list[str]:
            raise ConnectionRefusedError("the directory is down")

    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", knows=Down()) as alice:
            town.builders["alice"].errors = {"memory:bob": UntrustedPeerError("not bob's key")}
            alice.add_endpoints("bob", ["memory:bob"])
            async with asyncio.timeout(1000):
                with pytest.raises(ConnectError, match="not bob's key"):
                    await alice.send("bob", b"x", when_down=Retry(attempts=3))

    virtual(scenario)
