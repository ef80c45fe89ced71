"""Refusals with and without proof, and frames out of turn.

Covers `outproc.handshake.checks`.
"""

from __future__ import annotations

import json

import pytest

from litz.errors import BusyError, ProtocolError, UnauthenticatedError
from outproc.handshake import (
    Acceptor,
    AcceptorState,
    DiallerState,
    Initiator,
    Link,
    Ok,
    unproved_refusal,
)
from outproc.session.identity import Half
from tests.unit.outproc_handshake.handshake_kit import (
    ALICE,
    ALICE_LIFE,
    BOB,
    BOB_KEY,
    TERMS,
    Wiring,
    ed25519,
    edited,
    known_bytes,
    node,
    setting,
)

MALLORY_KEY = b"m" * 32


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
