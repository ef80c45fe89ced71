"""Attempts at weaker proofs, older versions and open wires; and wires to the wrong node."""

from __future__ import annotations

import pytest

from litz.errors import IncompatibleError, ProtocolError, UnauthenticatedError
from outproc.handshake import (
    Acceptor,
    Initiator,
    Link,
    SendChallenge,
)
from outproc.security import (
    Authenticator,
    NoAuthenticator,
    SealNeed,
    SharedKeyAuthenticator,
)
from outproc.session.identity import Incarnation
from tests.unit.outproc_handshake.handshake_kit import (
    Wiring,
    edited,
    known_bytes,
    node,
    sealing,
    setting,
)

SHARED = SharedKeyAuthenticator(b"0123456789abcdef")


# -- downgrades ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alice", "bob", "cure"),
    [
        (NoAuthenticator(), None, "give it an authenticator"),
        (None, NoAuthenticator(), "this node has no authenticator; give it one"),
        (SHARED, None, "use the same on both"),
    ],
)
def test_methods_differ_at_the_acceptor(alice: Authenticator | None, bob: Authenticator | None, cure: str) -> None:
    wiring = Wiring(alice=alice, bob=bob)
    with pytest.raises(UnauthenticatedError, match=cure) as raised:
        wiring.challenge()
    refusal = wiring.acceptor.refusal(raised.value)
    assert refusal is not None
    with pytest.raises(UnauthenticatedError, match="I prove ids by"):
        wiring.dialler.receive(refusal)


@pytest.mark.parametrize("method", ["none", "shared-key"])
def test_a_method_downgraded_on_the_way_is_refused(method: str) -> None:
    wiring = Wiring()
    with pytest.raises(UnauthenticatedError):
        wiring.acceptor.receive(edited(wiring.dialler.hello(), setting("auth", {"method": method, "credential": ""})))
    wiring = Wiring()
    frame = edited(wiring.challenge().frame, setting("auth", {"method": method, "credential": ""}))
    with pytest.raises(UnauthenticatedError):
        wiring.dialler.receive(frame)


def test_a_node_without_authenticator_does_not_answer_one_that_wants_proof_in_both_directions() -> None:
    wiring = Wiring(alice=NoAuthenticator(), bob=NoAuthenticator())
    frame = edited(wiring.challenge().frame, setting("auth", {"method": "ed25519", "credential": "A" * 43}))
    with pytest.raises(UnauthenticatedError, match="give it one"):
        wiring.dialler.receive(frame)


def test_versions_that_do_not_meet() -> None:
    dialler = Initiator(node(versions=(2, 3)), "bob", Link("m"), known_bytes("a"))
    acceptor = Acceptor(node("bob"), Link("m"), known_bytes("b"))
    with pytest.raises(IncompatibleError, match="upgrade the older") as raised:
        acceptor.receive(dialler.hello())
    refusal = acceptor.refusal(raised.value)
    assert refusal is not None
    with pytest.raises(IncompatibleError, match=r"versions 1 and this node 2, 3; upgrade the older"):
        dialler.receive(refusal)


def test_a_hello_of_an_unknown_version_is_answered_although_its_fields_are_unknown() -> None:
    acceptor = Acceptor(node("bob"), Link("m"), known_bytes("b"))
    with pytest.raises(IncompatibleError):
        acceptor.receive(b'{"type":"hello","versions":[7],"quantum":[[1]]}')


def test_a_version_that_was_not_offered_is_refused() -> None:
    wiring = Wiring()
    with pytest.raises(IncompatibleError, match="not offered"):
        wiring.dialler.receive(edited(wiring.challenge().frame, setting("version", 9)))


@pytest.mark.parametrize(("alice", "bob"), [(SealNeed.REQUIRE, SealNeed.NEVER), (SealNeed.NEVER, SealNeed.REQUIRE)])
def test_one_side_requires_sealing_and_the_other_never_seals(alice: SealNeed, bob: SealNeed) -> None:
    wiring = Wiring(alice_link=sealing(alice), bob_link=sealing(bob))
    with pytest.raises(UnauthenticatedError, match="allow it on both, or use wss"):
        wiring.challenge()


def test_a_challenge_that_does_not_seal_as_required_is_refused() -> None:
    wiring = Wiring(alice_link=sealing(SealNeed.REQUIRE), bob_link=sealing(SealNeed.OFFER))
    with pytest.raises(UnauthenticatedError, match="does not seal this unprotected wire"):
        wiring.dialler.receive(edited(wiring.challenge().frame, setting("x25519", None)))


def test_a_challenge_that_seals_unasked_is_refused() -> None:
    wiring = Wiring()
    with pytest.raises(ProtocolError, match="sealing was not offered"):
        wiring.dialler.receive(edited(wiring.challenge().frame, setting("x25519", "A" * 43)))


def test_a_key_that_makes_the_secret_known_is_refused() -> None:
    """A public key of all zeros makes every shared secret zero (RFC 7748, section 6.1)."""
    link = sealing(SealNeed.REQUIRE)
    wiring = Wiring(alice_link=link, bob_link=link)
    zeros = setting("x25519", "A" * 43)
    with pytest.raises(ProtocolError, match="X25519 key is not usable"):
        wiring.acceptor.receive(edited(wiring.dialler.hello(), zeros))
    wiring = Wiring(alice_link=link, bob_link=link)
    with pytest.raises(ProtocolError, match="X25519 key is not usable"):
        wiring.dialler.receive(edited(wiring.challenge().frame, zeros))


# -- the wrong node -----------------------------------------------------------------------------------


def test_the_wrong_dest_is_told_at_both_ends() -> None:
    wiring = Wiring(dest="carol")
    with pytest.raises(UnauthenticatedError, match="dialled 'carol' and reached 'bob'") as raised:
        wiring.challenge()
    refusal = wiring.acceptor.refusal(raised.value)
    assert refusal is not None
    with pytest.raises(UnauthenticatedError, match=r"leads to another node: correct it.*I am not the dest you want"):
        wiring.dialler.receive(refusal)


def test_an_acceptor_that_is_not_the_wanted_dest_is_refused() -> None:
    wiring = Wiring(alice=NoAuthenticator(), bob=NoAuthenticator(), dest="carol")
    step = wiring.acceptor.receive(edited(wiring.dialler.hello(), setting("dest", "bob")))
    assert isinstance(step, SendChallenge)
    with pytest.raises(UnauthenticatedError, match="correct the endpoint of 'carol'"):
        wiring.dialler.receive(step.frame)


def test_a_node_that_dials_itself_is_told() -> None:
    dialler = Initiator(node(), "bob", Link("m"), known_bytes("a"))
    acceptor = Acceptor(node(), Link("m"), known_bytes("b"))
    with pytest.raises(UnauthenticatedError, match="dialled itself") as raised:
        acceptor.receive(dialler.hello())
    refusal = acceptor.refusal(raised.value)
    assert refusal is not None
    with pytest.raises(UnauthenticatedError, match=r"leads to this node itself.*you have my id"):
        dialler.receive(refusal)


def test_another_node_of_the_same_id_is_told() -> None:
    twin = Acceptor(node(life=Incarnation(1, 1)), Link("m"), known_bytes("b"))
    with pytest.raises(UnauthenticatedError, match="give each node an id of its own"):
        twin.receive(Initiator(node(), "bob", Link("m"), known_bytes("a")).hello())


def test_wires_of_different_kinds_at_the_two_ends_are_refused() -> None:
    wiring = Wiring(alice_link=Link("websocket"), bob_link=Link("relay"))
    with pytest.raises(UnauthenticatedError, match="something between them translates"):
        wiring.challenge()
