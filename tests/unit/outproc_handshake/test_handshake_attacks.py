"""What a peer, or somebody in between, gets for lying."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from litz.errors import BusyError, IncompatibleError, ProtocolError, UnauthenticatedError
from outproc.handshake import (
    Acceptor,
    AcceptorState,
    DiallerState,
    Initiator,
    Link,
    NeedsVerification,
    Ok,
    SendChallenge,
    unproved_refusal,
)
from outproc.security import (
    Authenticator,
    Ed25519Authenticator,
    NoAuthenticator,
    Role,
    SealNeed,
    SharedKeyAuthenticator,
)
from outproc.session.identity import Half, Incarnation
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
    known_bytes,
    node,
    sealing,
)

SHARED = SharedKeyAuthenticator(b"0123456789abcdef")
MALLORY_KEY = b"m" * 32


def edited(frame: bytes, change: Callable[[dict[str, object]], None]) -> bytes:
    """The frame with other fields and the proof it had."""
    body, line_feed, proof = frame.partition(b"\n")
    fields = json.loads(body)
    change(fields)
    return json.dumps(fields, separators=(",", ":")).encode() + line_feed + proof


def setting(name: str, value: object) -> Callable[[dict[str, object]], None]:
    return lambda fields: fields.update({name: value})


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
    with pytest.raises(UnauthenticatedError, match="I am not the dest you want"):
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
    with pytest.raises(UnauthenticatedError, match="you have my id"):
        dialler.receive(refusal)


def test_another_node_of_the_same_id_is_told() -> None:
    twin = Acceptor(node(life=Incarnation(1, 1)), Link("m"), known_bytes("b"))
    with pytest.raises(UnauthenticatedError, match="give each node an id of its own"):
        twin.receive(Initiator(node(), "bob", Link("m"), known_bytes("a")).hello())


def test_wires_of_different_kinds_at_the_two_ends_are_refused() -> None:
    wiring = Wiring(alice_link=Link("websocket"), bob_link=Link("relay"))
    with pytest.raises(UnauthenticatedError, match="something between them translates"):
        wiring.challenge()


# -- refusals without proof ---------------------------------------------------------------------------


def test_busy_before_the_proof() -> None:
    dialler = Initiator(node(), "bob", Link("m"), known_bytes("a"))
    dialler.hello()
    with pytest.raises(BusyError, match=r"try again in 2\.5 s") as raised:
        dialler.receive(unproved_refusal("busy", retry_after=2.5))
    assert raised.value.retry_after == 2.5
    assert dialler.state is DiallerState.CLOSED


def test_somebody_unproved_cannot_keep_us_away_for_long() -> None:
    dialler = Initiator(node(), "bob", Link("m"), known_bytes("a"))
    dialler.hello()
    with pytest.raises(BusyError) as raised:
        dialler.receive(unproved_refusal("busy", retry_after=1e9))
    assert raised.value.retry_after == 60


def test_a_refused_join_tells_the_dialler_to_check_its_trust() -> None:
    wiring = Wiring(alice=ed25519(MALLORY_KEY, bob=BOB_KEY))
    wiring.prove_acceptor()
    with pytest.raises(UnauthenticatedError) as raised:
        wiring.join()
    refusal = wiring.acceptor.refusal(raised.value)
    assert refusal is not None
    assert b"litz key" not in refusal  # the peer learns nothing about what is trusted here
    with pytest.raises(UnauthenticatedError, match="check that it trusts this node's key"):
        wiring.dialler.receive(refusal)


@pytest.mark.parametrize("code", ["stale", "replaced", "duplicate"])
def test_what_changes_sessions_needs_a_proof(code: str) -> None:
    frame = json.dumps(
        {"type": "refuse", "code": code, "join": 0, "versions": [], "retry_after_ms": 0, "reason": ""}
    ).encode()
    wiring = Wiring()
    wiring.dialler.hello()
    with pytest.raises(ProtocolError, match="without proof"):
        wiring.dialler.receive(frame)
    with pytest.raises(ValueError, match="only said with proof"):
        unproved_refusal("stale")


def test_a_joined_wire_does_not_believe_an_unproved_refusal() -> None:
    wiring = Wiring()
    wiring.joined()
    with pytest.raises(ProtocolError, match="without proof"):
        wiring.dialler.receive(unproved_refusal("busy"))


def test_other_errors_are_not_answered() -> None:
    acceptor = Acceptor(node("bob"), Link("m"), known_bytes("b"))
    assert acceptor.refusal(ProtocolError("x")) is None
    assert acceptor.refusal(OSError()) is None


# -- out of turn --------------------------------------------------------------------------------------


def test_the_first_frame_must_be_hello() -> None:
    acceptor = Acceptor(node("bob"), Link("m"), known_bytes("b"))
    with pytest.raises(ProtocolError, match="before HELLO"):
        acceptor.receive(unproved_refusal("busy"))
    assert acceptor.state is AcceptorState.CLOSED
    assert acceptor.claimed_id == ""
    with pytest.raises(ProtocolError, match="that closed"):
        acceptor.receive(unproved_refusal("busy"))


def test_hello_twice() -> None:
    wiring = Wiring()
    hello = wiring.dialler.hello()
    wiring.acceptor.receive(hello)
    with pytest.raises(ProtocolError, match="hello frame for an acceptor that awaits JOIN"):
        wiring.acceptor.receive(hello)


def test_challenge_twice() -> None:
    wiring = Wiring()
    challenge = wiring.challenge().frame
    wiring.dialler_receives(challenge)
    with pytest.raises(ProtocolError, match="challenge frame for a dialler that may join"):
        wiring.dialler.receive(challenge)


def test_join_while_the_last_one_is_decided() -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    join = wiring.dialler.join(ALICE, None, TERMS)
    wiring.acceptor_receives(join)
    with pytest.raises(ProtocolError, match="JOIN for an acceptor that decides"):
        wiring.acceptor.receive(join)


def test_join_with_the_wrong_number_or_a_foreign_half() -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    with pytest.raises(ProtocolError, match="JOIN 2 after JOIN 0"):
        wiring.acceptor.receive(edited(wiring.dialler.join(ALICE, None, TERMS), setting("join", 2)))
    wiring = Wiring()
    wiring.prove_acceptor()
    half = {"started": "1", "random": "2", "counter": "3"}
    with pytest.raises(ProtocolError, match="another incarnation of the dialler"):
        wiring.acceptor.receive(edited(wiring.dialler.join(ALICE, None, TERMS), setting("mine", half)))


def test_answers_that_nobody_asked_for() -> None:
    wiring = Wiring()
    wiring.joined()
    ok = Ok(join=1, mine=BOB, yours=ALICE, terms=TERMS).model_dump_json().encode()
    with pytest.raises(ProtocolError, match="ok frame for a dialler that joined"):
        wiring.dialler.receive(ok + b"\n")


def test_an_answer_to_a_join_that_was_not_sent() -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    wiring.join()
    with pytest.raises(ProtocolError, match="for JOIN 3; the latest is 1"):
        wiring.dialler.receive(edited(wiring.acceptor.ok(BOB, ALICE, TERMS), setting("join", 3)))


def test_an_ok_of_another_incarnation() -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    wiring.join()
    half = {"started": "1", "random": "2", "counter": "3"}
    with pytest.raises(ProtocolError, match="another incarnation of the acceptor"):
        wiring.dialler.receive(edited(wiring.acceptor.ok(BOB, ALICE, TERMS), setting("mine", half)))


def test_refusals_out_of_turn() -> None:
    wiring = Wiring()
    wiring.joined()
    frame = edited(wiring.acceptor.refuse("duplicate"), setting("join", 9))
    with pytest.raises(ProtocolError, match="out of turn"):
        wiring.dialler.receive(frame)
    wiring = Wiring()
    wiring.joined()
    frame = edited(wiring.dialler.refuse("duplicate"), setting("join", 9))
    with pytest.raises(ProtocolError, match="refusal of JOIN 9; the latest is 1"):
        wiring.acceptor.receive(frame)
    wiring = Wiring()
    wiring.joined()
    frame = edited(wiring.dialler.refuse("duplicate"), setting("code", "incompatible"))
    with pytest.raises(ProtocolError, match="'incompatible' with a proof"):
        wiring.acceptor.receive(frame)
    wiring = Wiring()
    wiring.prove_acceptor()
    join = wiring.dialler.join(ALICE, None, TERMS)
    wiring.acceptor.receive(join)
    with pytest.raises(ProtocolError, match="a refusal for an acceptor that verifies"):
        wiring.acceptor.receive(wiring.dialler.refuse("duplicate"))


def test_proofs_where_they_must_not_be_and_missing_where_they_must() -> None:
    wiring = Wiring()
    with pytest.raises(ProtocolError, match="proof it should not have"):
        wiring.acceptor.receive(wiring.dialler.hello() + b"\nAAAA")
    wiring = Wiring()
    with pytest.raises(ProtocolError, match="without its proof"):
        wiring.dialler.receive(wiring.challenge().frame.partition(b"\n")[0])
    wiring = Wiring()
    wiring.prove_acceptor()
    with pytest.raises(ProtocolError, match="without its proof"):
        wiring.acceptor.receive(wiring.dialler.join(ALICE, None, TERMS).partition(b"\n")[0])
    wiring = Wiring()
    wiring.joined()
    again = wiring.dialler.join(Half(ALICE_LIFE, 2), None, TERMS)
    with pytest.raises(ProtocolError, match="proof it should not have"):
        wiring.acceptor.receive(again + b"\n")
