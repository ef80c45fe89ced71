"""What was stopped for a key that is not trusted says so, and begins anew when keys are looked at again."""

from __future__ import annotations

import asyncio

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from litz.errors import UntrustedPeerError
from litz.events import DestGivenUp
from outproc.security import Ed25519Authenticator, KeyRing
from tests.unit.outproc.test_outproc_supervisor import Watcher, bob_of
from tests.unit.outproc.town import Town, virtual


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def test_a_wire_dropped_for_a_key_that_was_replaced_is_dialled_when_the_peer_has_the_new_one() -> None:
    """Nobody dials from the other side, and nobody here waits: what is dropped must be told, and begin anew."""

    async def scenario() -> None:
        old, new, own = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))
        ring = KeyRing({"bob": public(old)})
        bobs = Ed25519Authenticator(old, KeyRing({"alice": public(own)}))
        town = Town()
        async with (
            town.manager("bob", authenticator=bobs, knows={}) as bob,
            town.manager("alice", authenticator=Ed25519Authenticator(own, ring)) as alice,
        ):
            await bob.listen("memory:bob")
            await alice.send("bob", b"x", confirm="received")
            watcher = Watcher(alice)
            ring.become(KeyRing({"bob": public(new)}))
            assert await alice.reauthorize() == ("bob",)
            await asyncio.sleep(20)
            assert bob_of(alice).given_up
            assert [event.cause for event in watcher.of(DestGivenUp)] == ["its certificate or key is not trusted"]
            bobs.use_key(new)
            await alice.reauthorize()
            await alice.wait_connected("bob", timeout=1)

    virtual(scenario)


def test_one_endpoint_of_two_that_was_stopped_is_dialled_again_too() -> None:
    async def scenario() -> None:
        town = Town()
        knows = {"bob": ["memory:one", "memory:two"]}
        async with town.manager("bob") as bob, town.manager("alice", knows=knows) as alice:
            await bob.listen("memory:two")
            dialled = town.builders["alice"]
            dialled.errors = {"memory:one": UntrustedPeerError("that is not bob's key")}
            await alice.send("bob", b"x", confirm="received")
            await asyncio.sleep(600)
            assert [address for address, _ in dialled.dials] == ["memory:one", "memory:two"]
            dialled.errors.clear()
            await bob.listen("memory:one")
            await alice.reauthorize()
            await asyncio.sleep(1)
            assert [slot.state for slot in bob_of(alice).slots] == ["ready", "ready"]
            assert len(dialled.dials) == 3  # what is up was left alone

    virtual(scenario)
