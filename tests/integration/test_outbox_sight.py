"""What a manager's snapshot tells of durable messages. Covers `outproc.outbox.sight`."""

from __future__ import annotations

from pathlib import Path

from litz.snapshot import InboxSnapshot, ManagerSnapshot
from outproc.outbox import DeadLettered
from tests.integration.outbox_nodes import DURABLE, SOON, address, alice_of, bob_of, inbox, send_all
from tests.integration.outproc_nodes import next_of, node, take, until


def summary(snapshot: ManagerSnapshot) -> tuple[int, int, str]:
    """Waiting, dead letters, and what is said of bob."""
    assert snapshot.outbox is not None
    said = [f"{dest.dest}: {dest.waiting} {dest.state} {dest.last_error}".strip() for dest in snapshot.outbox.dests]
    return snapshot.outbox.waiting, snapshot.outbox.dead, "; ".join(said)


async def test_what_waits_is_told_until_it_is_confirmed(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        assert summary(alice.snapshot()) == (0, 0, "")
        await send_all(alice, 0, 3)
        told = alice.snapshot().outbox
        assert told is not None
        assert (told.waiting, told.waiting_bytes >= 12, told.last_error) == (3, True, "")
        assert [(dest.dest, dest.waiting, dest.state) for dest in told.dests] == [("bob", 3, "no session")]
        assert told.dests[0].next_attempt is not None
        await until(lambda: (alice.snapshot().outbox or told).oldest_age is not None, "it was looked at")
        async with bob_of(tmp_path, address(tmp_path)) as bob:
            await until(lambda: summary(alice.snapshot())[2] == "bob: 3 sending", "bob has accepted")
            await until(lambda: bob.snapshot().inbox == InboxSnapshot(3, 0, 1, ""), "bob has taken them")
            await take(bob, 3)
            await alice.drain(timeout=SOON)
            assert summary(alice.snapshot()) == (0, 0, "")
            assert bob.snapshot().outbox is None


async def test_why_a_dest_takes_none_and_dead_letters_are_told(tmp_path: Path) -> None:
    async with alice_of(tmp_path, address(tmp_path)) as alice:
        events = alice.events()
        async with node("bob", listen=address(tmp_path)):
            await send_all(alice, 0, 1)
            await until(lambda: "refused it has no inbox" in summary(alice.snapshot())[2], "it is refused")
        async with node("bob", listen=address(tmp_path), inbox=inbox(tmp_path), options={"max_message": 1000}) as bob:
            await alice.send("bob", bytes(2000), payload_type=DURABLE)
            await next_of(events, DeadLettered)
            await take(bob, 1)
            await until(lambda: summary(alice.snapshot()) == (0, 1, ""), "one is dead, and one was taken")


async def test_a_manager_without_durable_messages_says_so() -> None:
    async with node("carol") as carol:
        assert (carol.snapshot().outbox, carol.snapshot().inbox) == (None, None)
