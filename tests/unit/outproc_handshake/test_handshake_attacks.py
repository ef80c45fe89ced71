"""What somebody gets for lying about who it is, or for changing what others say."""

from __future__ import annotations

import pytest

from litz.errors import UnauthenticatedError
from outproc.handshake import (
    Link,
    NeedsVerification,
    SendChallenge,
)
from outproc.security import (
    Authenticator,
    Ed25519Authenticator,
    Role,
    SealNeed,
    SharedKeyAuthenticator,
)
from tests.unit.outproc_handshake.handshake_kit import (
    ALICE,
    ALICE_KEY,
    ALICE_LIFE,
    BOB,
    BOB_KEY,
    BOB_LIFE,
    TERMS,
    Wiring,
    ed25519,
    edited,
    sealing,
    setting,
)

SHARED = SharedKeyAuthenticator(b"0123456789abcdef")
MALLORY_KEY = b"m" * 32


# -- who is it ----------------------------------------------------------------------------------------


def test_an_acceptor_with_another_key_is_refused() -> None:
    wiring = Wiring(bob=ed25519(MALLORY_KEY, alice=ALICE_KEY))
    with pytest.raises(UnauthenticatedError, match="litz key trust bob ed25519-public:"):
        wiring.prove_acceptor()


def test_a_dialler_with_another_key_is_refused() -> None:
    wiring = Wiring(alice=ed25519(MALLORY_KEY, bob=BOB_KEY))
    wiring.prove_acceptor()
    with pytest.raises(UnauthenticatedError, match="not the one trusted"):
        wiring.join()


def test_the_key_of_a_trusted_id_does_not_prove_another_id() -> None:
    """Carol is trusted too, but not as alice."""
    bob = Ed25519Authenticator(BOB_KEY, {"alice": _public(ALICE_KEY), "carol": _public(MALLORY_KEY)})
    wiring = Wiring(alice=ed25519(MALLORY_KEY, bob=BOB_KEY), bob=bob)
    wiring.prove_acceptor()
    with pytest.raises(UnauthenticatedError):
        wiring.join()


def _public(private: bytes) -> bytes:
    return Ed25519Authenticator(private).public_key


def test_showing_the_right_key_without_having_it_is_refused() -> None:
    class Impostor(Ed25519Authenticator):
        def credential(self) -> bytes:
            return _public(BOB_KEY)

    wiring = Wiring(bob=Impostor(MALLORY_KEY, {"alice": _public(ALICE_KEY)}))
    with pytest.raises(UnauthenticatedError, match="did not prove that it has the key"):
        wiring.prove_acceptor()


@pytest.mark.parametrize("authenticator", [None, SHARED])
def test_a_reflected_proof_is_refused(authenticator: Authenticator | None) -> None:
    """The acceptor's own proof sent back to it, as the dialler's."""
    wiring = Wiring(alice=authenticator, bob=authenticator)
    challenge = wiring.challenge()
    wiring.dialler_receives(challenge.frame)
    join = wiring.dialler.join(ALICE, None, TERMS)
    reflected = join.partition(b"\n")[0] + b"\n" + challenge.frame.partition(b"\n")[2]
    with pytest.raises(UnauthenticatedError):
        wiring.acceptor_receives(reflected)


def test_a_proof_of_one_role_is_no_proof_of_the_other() -> None:
    """Even over the same transcript."""
    wiring = Wiring(alice=SHARED, bob=SHARED)
    wiring.prove_acceptor()
    step = wiring.acceptor.receive(wiring.dialler.join(ALICE, None, TERMS))
    assert isinstance(step, NeedsVerification)
    assert SHARED.prove(step.transcript, Role.DIALLER) == step.proof
    assert SHARED.prove(step.transcript, Role.ACCEPTOR) != step.proof


@pytest.mark.parametrize("authenticator", [None, SHARED])
def test_a_replayed_join_is_refused(authenticator: Authenticator | None) -> None:
    first = Wiring(alice=authenticator, bob=authenticator)
    first.prove_acceptor()
    join = first.dialler.join(ALICE, None, TERMS)
    second = Wiring(alice=authenticator, bob=authenticator, seed="another nonce")
    second.prove_acceptor()
    with pytest.raises(UnauthenticatedError):
        second.acceptor_receives(join)


def test_a_replayed_challenge_is_refused() -> None:
    old = Wiring().challenge()
    with pytest.raises(UnauthenticatedError):
        wiring = Wiring(seed="another nonce")
        wiring.dialler.hello()
        wiring.dialler_receives(old.frame)


def test_a_proof_does_not_fit_another_channel() -> None:
    wiring = Wiring(alice_link=Link("tls", b"channel 1"), bob_link=Link("tls", b"channel 2"))
    with pytest.raises(UnauthenticatedError):
        wiring.prove_acceptor()
    link = Link("tls", b"channel 1")
    Wiring(alice_link=link, bob_link=link).joined()


def test_hiding_the_channel_binding_is_found_out() -> None:
    wiring = Wiring(alice_link=Link("tls", b"channel 1"), bob_link=Link("tls", b"channel 2"))
    hello = edited(wiring.dialler.hello(), setting("bound", False))
    step = wiring.acceptor.receive(hello)
    assert isinstance(step, SendChallenge)
    with pytest.raises(UnauthenticatedError):
        wiring.dialler_receives(step.frame)


CHANGES: dict[str, object] = {
    "versions": [1, 2],
    "dialler": "carol",
    "nonce": "A" * 43,
    "incarnation": {"started": "5", "random": "5"},
    "limits": {"max_frame": "4096", "max_message": "4096"},
    "features": [],
    "bound": True,
    "auth": {"method": "ed25519", "credential": "A" * 43},
    "x25519": "A" * 42 + "E",
    "future": "field",
}


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_hello_is_found_out(field: str) -> None:
    link = sealing(SealNeed.REQUIRE)
    wiring = Wiring(alice_link=link, bob_link=link)
    step = wiring.acceptor.receive(edited(wiring.dialler.hello(), setting(field, CHANGES[field])))
    assert isinstance(step, SendChallenge)
    with pytest.raises(UnauthenticatedError):
        wiring.dialler_receives(step.frame)


def test_offering_to_seal_cannot_be_struck_out() -> None:
    link = sealing(SealNeed.OFFER)
    wiring = Wiring(alice_link=link, bob_link=link)
    hello = edited(wiring.dialler.hello(), lambda fields: fields.update(seal="never", x25519=None))
    step = wiring.acceptor.receive(hello)
    assert isinstance(step, SendChallenge)
    with pytest.raises(UnauthenticatedError):
        wiring.dialler_receives(step.frame)


@pytest.mark.parametrize("field", ["nonce", "incarnation", "limits", "features", "bound", "x25519"])
def test_a_changed_challenge_is_found_out(field: str) -> None:
    link = sealing(SealNeed.REQUIRE)
    wiring = Wiring(alice_link=link, bob_link=link)
    frame = edited(wiring.challenge().frame, setting(field, CHANGES[field]))
    with pytest.raises(UnauthenticatedError):
        wiring.dialler_receives(frame)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mine", {"started": str(ALICE_LIFE.started), "random": str(ALICE_LIFE.random), "counter": "2"}),
        ("yours", {"started": "1", "random": "2", "counter": "3"}),
        ("terms", {**TERMS.model_dump(mode="json"), "session_credit": "1"}),
    ],
)
def test_changed_halves_or_terms_of_a_join_are_found_out(field: str, value: object) -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    with pytest.raises(UnauthenticatedError):
        wiring.acceptor_receives(edited(wiring.dialler.join(ALICE, BOB, TERMS), setting(field, value)))


@pytest.mark.parametrize("field", ["mine", "yours"])
def test_changed_halves_of_an_ok_are_found_out(field: str) -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    wiring.join()
    half = {"started": str(BOB_LIFE.started), "random": str(BOB_LIFE.random), "counter": "99"}
    frame = edited(wiring.acceptor.ok(BOB, ALICE, TERMS), setting(field, half))
    with pytest.raises(UnauthenticatedError):
        wiring.dialler_receives(frame)


def test_an_answer_made_into_another_kind_is_found_out() -> None:
    wiring = Wiring()
    wiring.joined()
    proof = wiring.acceptor.refuse("duplicate").partition(b"\n")[2]
    forged = b'{"type":"refuse","code":"replaced","join":1,"versions":[],"retry_after_ms":0,"reason":""}\n' + proof
    with pytest.raises(UnauthenticatedError):
        wiring.dialler_receives(forged)


def test_an_ok_of_another_join_does_not_serve() -> None:
    """The OK to the first JOIN, renumbered, as the answer to the second."""
    wiring = Wiring()
    wiring.prove_acceptor()
    wiring.join()
    first = wiring.acceptor.ok(BOB, ALICE, TERMS)
    wiring.dialler_receives(first)
    wiring.dialler.join(ALICE, BOB, TERMS)
    with pytest.raises(UnauthenticatedError):
        wiring.dialler_receives(edited(first, setting("join", 2)))
