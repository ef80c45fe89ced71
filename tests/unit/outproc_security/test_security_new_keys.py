"""Keys and trust that are replaced while a node runs.

Covers `outproc.security.ed25519`, `outproc.security.key_ring`, `outproc.security.channel`.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from outproc.security import Channel, Ed25519Authenticator, KeyRing, Role
from outproc.security.channel import bound


async def test_a_new_key_counts_from_the_next_wire_on_and_a_wire_keeps_its_own() -> None:
    old, new = Ed25519Authenticator(b"o" * 32), Ed25519Authenticator(b"n" * 32)
    by = Ed25519Authenticator(b"o" * 32)
    channel = Channel("websocket", None, secure=True)
    before = bound(by, channel)
    by.use_key(Ed25519PrivateKey.from_private_bytes(b"n" * 32))
    after = bound(by, channel)
    assert (before.credential(), after.credential()) == (old.public_key, new.public_key)
    assert by.public_key == new.public_key
    transcript = bytes(32)
    for wire, owner in ((before, old), (after, new)):
        judge = Ed25519Authenticator(b"j" * 32, {"a": owner.public_key})
        await judge.verify("a", wire.credential(), transcript, wire.prove(transcript, Role.DIALLER), Role.DIALLER)


def test_a_ring_becomes_another() -> None:
    key = Ed25519Authenticator(b"o" * 32).public_key
    ring = KeyRing({"a": key, "b": key})
    ring.become(KeyRing({"b": key, "c": key}))
    assert [ring.trusts(name, key) for name in ("a", "b", "c")] == [False, True, True]


def test_who_overrides_a_method_is_asked_itself() -> None:
    class Own(Ed25519Authenticator):
        def credential(self) -> bytes:
            return b"own"

    assert bound(Own(b"o" * 32), Channel("websocket", None, secure=True)).credential() == b"own"
