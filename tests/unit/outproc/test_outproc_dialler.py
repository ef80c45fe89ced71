"""Dialling: where a dest is, racing its endpoints, and dialling again what broke; never more than is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from litz.errors import BusyError, ConnectError, InvalidEndpointError, ReplacedError, UnknownDestError
from litz.events import ConnectFailed, LookUpFailed, WireDown, WireUp
from litz.snapshot import DestState
from outproc.dest_transport import DestTransport
from tests.unit.outproc.town import Everybody, Town, event_of, take, turns, virtual

TWO = {"bob": ["memory:one", "memory:two"]}


def test_the_next_endpoint_is_tried_when_one_refuses() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", knows=TWO) as alice:
            await bob.listen("memory:two")
            await alice.send("bob", b"x")
            assert [address for address, _ in town.builders["alice"].dials] == ["memory:one", "memory:two"]

    virtual(scenario)


def test_one_that_hangs_does_not_hold_up_the_next() -> None:
    async def scenario() -> None:
        town = Town()
        async with (
            town.manager("bob") as bob,
            town.manager("alice", knows=TWO, stagger=0.25, dial_timeout=3600) as alice,
        ):
            await bob.listen("memory:two")
            town.builders["alice"].gates["memory:one"] = asyncio.Event()
            await alice.send("bob", b"x")
            (_, began), (_, then) = town.builders["alice"].dials
            assert then - began == pytest.approx(0.25)

    virtual(scenario)


def test_a_dial_has_a_deadline_that_is_named() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", dial_timeout=3) as alice:
            town.builders["alice"].gates["memory:bob"] = asyncio.Event()
            with pytest.raises(ConnectError) as caught:
                await alice.send("bob", b"x")
            (attempt,) = caught.value.attempts
            assert (attempt.endpoint, str(attempt.error)) == ("memory:bob", "no answer within 3 s")
            assert asyncio.get_running_loop().time() == pytest.approx(town.builders["alice"].dials[0][1] + 3, abs=0.1)

    virtual(scenario)


class Broken:
    """A directory that fails as it likes, until it works."""

    def __init__(self, *outcomes: BaseException | Sequence[str]) -> None:
        self.outcomes = list(outcomes)

    async def look_up(self, dest: str) -> Sequence[str]:
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.mark.parametrize(
    ("outcome", "error", "text"),
    [
        (OSError("down"), ConnectError, "could not find out where bob is; directory: OSError: down"),
        (ZeroDivisionError("a bug"), ConnectError, "could not find out where bob is.*a bug"),
        (["ftp://nobody"], ConnectError, "ftp://nobody"),
        ([], UnknownDestError, "no endpoint of bob is known"),
    ],
    ids=["down", "a bug", "nonsense", "unknown"],
)
def test_whatever_the_directory_does_the_caller_hears_it(
    outcome: BaseException | Sequence[str], error: type[ConnectError], text: str
) -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", knows=Broken(outcome)) as alice:
            with pytest.raises(error, match=text):
                await alice.send("bob", b"x")

    virtual(scenario)


def test_what_is_good_is_dialled_and_what_is_bad_is_told_once_and_in_the_error() -> None:
    async def scenario() -> None:
        town = Town()
        knows = Broken(["ftp://nobody", "memory:bob"])
        async with town.manager("bob") as bob, town.manager("alice", knows=knows) as alice:
            events = alice.events()
            with pytest.raises(ConnectError) as caught:
                await alice.send("bob", b"x")
            assert [attempt.endpoint for attempt in caught.value.attempts] == ["memory:bob", "directory"]
            (bad,) = (await event_of(events, LookUpFailed)).attempts
            assert "ftp://nobody" in str(bad)
            alice.send_nowait("bob", b"x")
            await event_of(events, LookUpFailed)
            await asyncio.sleep(30)
            await bob.listen("memory:bob")
            await alice.wait_connected("bob", timeout=10)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await event_of(events, LookUpFailed)

    virtual(scenario)


def test_a_directory_that_is_down_takes_no_endpoint_away() -> None:
    async def scenario() -> None:
        town = Town()
        knows = Broken(["memory:bob"], OSError("down"))
        async with town.manager("bob") as bob, town.manager("alice", knows=knows) as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"x", confirm="received")
            alice.add_endpoints("bob", ["memory:other"])
            await turns()
            slots = alice.snapshot().dests[0].slots
            assert sorted(slot.endpoint for slot in slots) == ["memory:bob", "memory:other"]
            assert alice.is_connected("bob")

    virtual(scenario)


@pytest.mark.parametrize("error", [OSError("gone"), InvalidEndpointError("no such street")], ids=["gone", "dead"])
def test_a_dest_that_moved_in_part_is_found_at_its_new_address_too(error: Exception) -> None:
    """Two wires are wanted where two can be had, though one that works carries everything."""

    async def scenario() -> None:
        town = Town()
        book = {"bob": ["memory:bob", "memory:old"]}

        class Book:
            asked = 0

            async def look_up(self, dest: str) -> Sequence[str]:
                self.asked += 1
                return book[dest]

        async with town.manager("bob", ping_after=1000) as bob, town.manager("alice", knows=Book()) as alice:
            directory = alice._addressing._directory
            assert isinstance(directory, Book)
            town.builders["alice"].errors["memory:old"] = error
            await bob.listen("memory:bob")
            await alice.send("bob", b"x", confirm="received")
            await asyncio.sleep(1200)
            assert 15 <= directory.asked <= 21, "every minute, once it has failed for long"
            await bob.listen("memory:new")
            book["bob"] = ["memory:bob", "memory:new"]
            await asyncio.sleep(70)
            assert len(alice.snapshot().dests[0].wires) == 2
            before = directory.asked
            await asyncio.sleep(1200)
            assert directory.asked == before, "nothing fails any more"

    virtual(scenario)


def test_when_every_endpoint_failed_the_directory_is_asked_again() -> None:
    """The dest has moved."""

    async def scenario() -> None:
        town = Town()
        moved = Broken(["memory:old"], ["memory:new"])
        async with town.manager("bob") as bob, town.manager("alice", knows=moved) as alice:
            await bob.listen("memory:new")
            await alice.send("bob", b"follows", when_down="queue")
            assert await take(bob, 1) == [b"follows"]

    virtual(scenario)


@pytest.mark.parametrize("at_first", [OSError("down"), []], ids=["down", "unknown"])
def test_what_is_queued_goes_out_once_the_directory_knows_the_way(at_first: BaseException | Sequence[str]) -> None:
    """It was down, or did not know the dest, when it was asked first: it is asked again, after the backoff."""

    async def scenario() -> None:
        town = Town()
        learns = Broken(at_first, at_first, at_first, ["memory:bob"])
        async with town.manager("bob") as bob, town.manager("alice", knows=learns) as alice:
            await bob.listen("memory:bob")
            events = alice.events()
            await alice.send("bob", b"waits", when_down="queue")
            assert (await event_of(events, ConnectFailed)).retry_in is not None
            assert await take(bob, 1) == [b"waits"]

    virtual(scenario)


def test_a_lost_wire_is_dialled_again_by_whoever_dialled_it() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            for node in (alice, bob):
                await node.listen(f"memory:{node.local_id}")
            await alice.send("bob", b"0")
            events = bob.events()
            for _ in range(3):
                town.builders["alice"].cut()
                await event_of(events, WireDown)
                await event_of(events, WireUp)
            assert len(town.builders["alice"].dials) == 4
            assert town.builders["bob"].dials == []

    virtual(scenario)


def test_the_other_side_dials_when_the_first_does_not_come_back() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob", accept_grace=2) as bob, town.manager("alice", dial_timeout=3600) as alice:
            for node in (alice, bob):
                await node.listen(f"memory:{node.local_id}")
            await alice.send("bob", b"0")
            town.builders["alice"].gates["memory:bob"] = asyncio.Event()
            town.builders["alice"].cut()
            lost = asyncio.get_running_loop().time()
            await turns()
            await bob.wait_connected("alice")
            ((_, dialled),) = town.builders["bob"].dials
            assert dialled - lost == pytest.approx(2.0, abs=0.1)

    virtual(scenario)


def test_retries_back_off_within_bounds_and_reconnect_does_not_wait_for_them() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", backoff_cap=60, backoff_base=60) as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0")
            await listener.aclose()
            events = alice.events()
            town.builders["alice"].cut()
            await asyncio.sleep(600)
            count = len(town.builders["alice"].dials) - 1
            assert 10 <= count <= 60, "full jitter below a minute"
            assert (await event_of(events, ConnectFailed)).retry_in is not None
            await bob.listen("memory:bob")
            before = asyncio.get_running_loop().time()
            await alice.reconnect("bob")
            assert asyncio.get_running_loop().time() - before < 0.1
            assert alice.is_connected("bob")

    virtual(scenario)


def test_reconnect_says_why_it_failed_and_is_shared() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", backoff_base=60, backoff_cap=60) as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0")
            await listener.aclose()
            town.builders["alice"].cut()
            await turns()
            dials = len(town.builders["alice"].dials)
            outcomes = await asyncio.gather(*(alice.reconnect("bob") for _ in range(20)), return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {ConnectError}
            assert len(town.builders["alice"].dials) - dials <= 1
            with pytest.raises(ConnectError, match="by a wire of kind pigeon"):
                await alice.reconnect("bob", "pigeon")

    virtual(scenario)


def test_a_closed_dialler_says_so_to_whoever_asks() -> None:
    """It once left them waiting for ever."""

    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            transport = await alice.get_or_create_transport("bob")
            assert isinstance(transport, DestTransport)
            await alice.close_transport("bob")
            transport.dialler.start_round()  # nobody waits for this one: no warning either
            with pytest.raises(ConnectError, match="the transport of bob was closed"):
                await transport.dialler.start_round()
            assert len(town.builders["alice"].dials) == 1

    virtual(scenario)


def test_new_endpoints_of_a_lost_dest_are_dialled_at_once() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice", backoff_base=600, backoff_cap=600) as alice:
            listener = await bob.listen("memory:bob")
            await alice.send("bob", b"0")
            await listener.aclose()
            town.builders["alice"].cut()
            await asyncio.sleep(1)
            await bob.listen("memory:elsewhere")
            alice.add_endpoints("bob", ["memory:elsewhere"])
            await alice.wait_connected("bob", timeout=1)

    virtual(scenario)


def test_an_older_process_with_the_same_id_stops_dialling_for_good() -> None:
    """Until it is asked to again: then it is told again."""

    async def scenario() -> None:
        town = Town()
        async with town.manager("bob") as bob, town.manager("alice") as older:
            await bob.listen("memory:bob")
            await older.send("bob", b"older")
            async with town.manager("alice") as newer:
                await newer.send("bob", b"newer")
                await asyncio.sleep(30)
                dials = len(town.builders["alice"].dials)
                await asyncio.sleep(600)
                assert len(town.builders["alice"].dials) == dials
                told = []
                for _ in range(3):
                    with pytest.raises(ConnectError) as caught:
                        await older.send("bob", b"again")
                    told.append(type(caught.value.attempts[0].error))
                    await asyncio.sleep(1)
                # Each time the newer one is asked whether it lives; a ping of the same instant does not count.
                assert told == [BusyError, BusyError, ReplacedError]
                assert newer.is_connected("bob")

    virtual(scenario)


def test_dials_under_way_are_limited_for_the_whole_node() -> None:
    async def scenario() -> None:
        town = Town()
        async with town.manager("alice", max_dials=3, dial_timeout=3600) as alice:
            gates = {f"memory:{number}": asyncio.Event() for number in range(10)}
            town.builders["alice"].gates = gates
            for number in range(10):
                alice.send_nowait(str(number), b"x")
            await asyncio.sleep(1)
            assert len(town.builders["alice"].dials) == 3
            for gate in gates.values():
                gate.set()
            await asyncio.sleep(1)
            assert {address for address, _ in town.builders["alice"].dials} == set(gates)

    virtual(scenario)


def test_a_dest_that_nobody_dialled_is_not_looked_up() -> None:
    async def scenario() -> None:
        town = Town()
        directory = Everybody()
        async with town.manager("bob", knows=directory) as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            await alice.send("bob", b"0")
            bob.send_nowait("alice", b"1")
            assert await take(alice, 1) == [b"1"]
            assert bob.has_dest("alice") is DestState.CONNECTED
            assert directory.asked == []

    virtual(scenario)
