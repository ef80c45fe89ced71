"""Proofs of ids: which hold, which do not, and what the refusal tells to do.

Covers `outproc.security.ed25519`.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from litz.dest import validate_dest
from litz.errors import InvalidDestError, UnauthenticatedError
from outproc.security import (
    Authenticator,
    Ed25519Authenticator,
    KeyRing,
    NoAuthenticator,
    Role,
    SharedKeyAuthenticator,
    derived_id,
    parse_public_key,
    public_key_text,
)

ALICE = Ed25519Authenticator(b"a" * 32)
MALLORY = Ed25519Authenticator(b"m" * 32)
T = b"t" * 32


async def check(
    verifier: Authenticator,
    prover: Authenticator,
    peer_id: str,
    *,
    role: Role = Role.DIALLER,
    claimed_role: Role = Role.DIALLER,
    transcript: bytes = T,
    credential: bytes | None = None,
) -> None:
    proof = prover.prove(T, role)
    shown = prover.credential() if credential is None else credential
    await verifier.verify(peer_id, shown, transcript, proof, claimed_role)


def bob(**trusted: bytes) -> Ed25519Authenticator:
    return Ed25519Authenticator(b"b" * 32, trusted)


async def test_a_trusted_key_proves_its_id() -> None:
    await check(bob(alice=ALICE.public_key), ALICE, "alice")


async def test_several_keys_may_prove_one_id() -> None:
    ring = KeyRing({"alice": [ALICE.public_key, public_key_text(MALLORY.public_key)]})
    for prover in (ALICE, MALLORY):
        await check(Ed25519Authenticator(b"b" * 32, ring), prover, "alice")


async def test_the_ring_may_change_at_any_time() -> None:
    ring = KeyRing()
    verifier = Ed25519Authenticator(b"b" * 32, ring)
    with pytest.raises(UnauthenticatedError, match="no key is trusted for 'alice'"):
        await check(verifier, ALICE, "alice")
    ring.trust("alice", ALICE.public_key)
    await check(verifier, ALICE, "alice")
    ring.forget("alice")
    ring.forget("alice")
    with pytest.raises(UnauthenticatedError):
        await check(verifier, ALICE, "alice")


async def test_wrong_keys_other_ids_roles_and_transcripts_do_not() -> None:
    verifier = bob(alice=ALICE.public_key, mallory=MALLORY.public_key)
    with pytest.raises(UnauthenticatedError, match="not the one trusted for it"):
        await check(verifier, MALLORY, "alice")
    with pytest.raises(UnauthenticatedError, match="did not prove that it has the key"):
        await check(verifier, MALLORY, "alice", credential=ALICE.public_key)
    with pytest.raises(UnauthenticatedError, match="did not prove that it has the key"):
        await check(verifier, ALICE, "alice", claimed_role=Role.ACCEPTOR)
    with pytest.raises(UnauthenticatedError, match="did not prove that it has the key"):
        await check(verifier, ALICE, "alice", transcript=b"u" * 32)
    for credential in (b"", b"short", b"x" * 33, b"\xff" * 32):
        with pytest.raises(UnauthenticatedError):
            await check(verifier, ALICE, "alice", credential=credential)


async def test_a_derived_id_proves_itself_to_its_dialler_only() -> None:
    own = ALICE.derived_id
    await check(bob(), ALICE, own, role=Role.ACCEPTOR, claimed_role=Role.ACCEPTOR)
    with pytest.raises(UnauthenticatedError, match="no key is trusted"):
        await check(bob(), ALICE, own)
    await check(Ed25519Authenticator(b"b" * 32, accept_derived=True), ALICE, own)
    await check(Ed25519Authenticator(b"b" * 32, {own: ALICE.public_key}), ALICE, own)


async def test_a_derived_id_of_another_key_is_refused_always() -> None:
    verifier = Ed25519Authenticator(b"b" * 32, accept_derived=True)
    for role in Role:
        with pytest.raises(UnauthenticatedError, match="whose id is"):
            await check(verifier, MALLORY, ALICE.derived_id, role=role, claimed_role=role)


async def test_the_cure_is_safe_to_paste_into_a_shell() -> None:
    with pytest.raises(UnauthenticatedError) as raised:
        await check(bob(), ALICE, "x;$(evil)")
    assert "litz key trust 'x;$(evil)' ed25519-public:" in str(raised.value)


async def test_the_shared_secret_proves_membership_and_no_more() -> None:
    secret = SharedKeyAuthenticator("sixteen or more!")
    assert secret.proves == "group"
    await check(secret, SharedKeyAuthenticator(b"sixteen or more!"), "anybody")
    for claimed_role, transcript in ((Role.ACCEPTOR, T), (Role.DIALLER, b"u" * 32)):
        with pytest.raises(UnauthenticatedError, match="give both the same"):
            await check(secret, secret, "alice", claimed_role=claimed_role, transcript=transcript)
    with pytest.raises(UnauthenticatedError):
        await check(secret, SharedKeyAuthenticator(b"another secret..."), "alice")
    for proof in (b"", b"x" * 31, secret.prove(T, Role.DIALLER)[:-1]):
        with pytest.raises(UnauthenticatedError):
            await secret.verify("alice", b"", T, proof, Role.DIALLER)


@pytest.mark.parametrize("secret", [b"", b"x" * 15, "fifteen letters"])
def test_short_secrets_are_refused(secret: bytes | str) -> None:
    with pytest.raises(ValueError, match="needs 16; make one with"):
        SharedKeyAuthenticator(secret)


async def test_no_authenticator_proves_nothing() -> None:
    nobody = NoAuthenticator()
    assert (nobody.method, nobody.proves, nobody.credential()) == ("none", "nothing", b"")
    await check(nobody, nobody, "alice")
    assert "claims" in repr(nobody)


def test_all_are_authenticators_and_show_no_secret() -> None:
    secret = b"very secret bytes, 32 of them..."
    for each in (NoAuthenticator(), Ed25519Authenticator(secret), SharedKeyAuthenticator(secret)):
        assert isinstance(each, Authenticator)
        for form in (secret.decode(), secret.hex(), repr(secret)):
            assert form not in repr(each)
    assert "ed25519-public:" in repr(ALICE)


def test_private_keys_are_taken_as_object_or_bytes() -> None:
    assert Ed25519Authenticator(Ed25519PrivateKey.from_private_bytes(b"a" * 32)).public_key == ALICE.public_key
    with pytest.raises(ValueError, match="has 32 bytes"):
        Ed25519Authenticator(b"a" * 31)


def test_public_keys_as_text_and_ids() -> None:
    text = public_key_text(ALICE.public_key)
    assert parse_public_key(f" {text}\n") == ALICE.public_key
    assert validate_dest(ALICE.derived_id) == derived_id(ALICE.public_key)
    assert len(ALICE.derived_id) == len("ed25519:") + 32
    for bad in ("", text[:-1], text + "A", "ssh-ed25519 AAAA", text.upper(), text[:-1] + "B"):
        with pytest.raises(ValueError, match=r"no public key|left over"):
            parse_public_key(bad)
    for function in (public_key_text, derived_id):
        with pytest.raises(ValueError, match="has 32 bytes"):
            function(b"short")


def test_a_ring_takes_only_what_makes_sense() -> None:
    with pytest.raises(InvalidDestError):
        KeyRing({"a b": ALICE.public_key})
    with pytest.raises(ValueError, match="has 32 bytes"):
        KeyRing({"a": b"short"})
    with pytest.raises(ValueError, match="belongs to another key"):
        KeyRing({ALICE.derived_id: MALLORY.public_key})
    ring = KeyRing({"a": ALICE.public_key})
    ring.trust("a", ALICE.public_key)
    assert ring.trusts("a", ALICE.public_key)
    assert not ring.trusts("b", ALICE.public_key)
    assert ("a" in ring, "b" in ring, list(ring), len(ring)) == (True, False, ["a"], 1)
    assert repr(ring) == "<key ring of 1 ids>"
