"""What two honest nodes see.

Covers `outproc.handshake.acceptor`, `outproc.handshake.initiator`.
"""

from __future__ import annotations

import pytest

from outproc.handshake import (
    MAX_LANES,
    Acceptor,
    AcceptorState,
    DiallerState,
    Initiator,
    Joined,
    JoinReceived,
    LaneCredit,
    LanePosition,
    Link,
    LogSize,
    Mismatched,
    Outdated,
    RefuseCode,
    Refused,
    SendChallenge,
    Terms,
    is_handshake,
)
from outproc.security import Authenticator, NoAuthenticator, SealNeed, SharedKeyAuthenticator
from outproc.session.identity import Half
from tests.unit.outproc_handshake.handshake_kit import (
    ALICE,
    ALICE_LIFE,
    BOB,
    BOB_LIFE,
    LIMITS,
    TERMS,
    Wiring,
    known_bytes,
    node,
    sealing,
)

SHARED = SharedKeyAuthenticator(b"0123456789abcdef")
FINAL = (LanePosition(lane=0, number=40, offset=0, processed=40, durable=0),)
MAX = (1 << 64) - 1


@pytest.mark.parametrize(("authenticator", "proves"), [(None, "id"), (SHARED, "group"), (NoAuthenticator(), "nothing")])
def test_both_sides_end_up_knowing_the_same(authenticator: Authenticator | None, proves: str) -> None:
    wiring = Wiring(alice=authenticator, bob=authenticator)
    bob = wiring.prove_acceptor().peer
    request = wiring.join()
    alice = request.peer
    assert (bob.id, bob.incarnation, bob.limits, bob.version) == ("bob", BOB_LIFE, LIMITS, 1)
    assert (alice.id, alice.incarnation, alice.limits, alice.version) == ("alice", ALICE_LIFE, LIMITS, 1)
    assert alice.features == bob.features == {"one"}
    assert alice.proves == bob.proves == proves
    assert alice.verified == bob.verified == (proves != "nothing")
    assert (request.join.mine, request.join.yours, request.join.terms) == (ALICE, None, TERMS)
    assert not request.repeated
    answer = wiring.dialler_receives(wiring.acceptor.ok(BOB, ALICE, TERMS))
    assert isinstance(answer, Joined)
    assert (answer.ok.mine, answer.ok.yours, answer.ok.terms) == (BOB, ALICE, TERMS)
    assert wiring.dialler.state is DiallerState.JOINED
    assert wiring.acceptor.state is AcceptorState.JOINED
    assert wiring.dialler.peer == bob
    assert wiring.acceptor.peer == alice
    assert wiring.acceptor.claimed_id == "alice"


def test_the_newest_common_version_is_chosen() -> None:
    dialler = Initiator(node("alice", versions=(1, 3, 2)), "bob", Link("memory"), known_bytes("a"))
    acceptor = Acceptor(node("bob", versions=(4, 2, 1)), Link("memory"), known_bytes("b"))
    step = acceptor.receive(dialler.hello())
    assert isinstance(step, SendChallenge)
    dialler.receive(step.frame)
    dialler.verified()
    assert dialler.peer.version == 2


def test_a_frame_is_told_from_data_by_its_first_byte() -> None:
    wiring = Wiring()
    assert is_handshake(wiring.dialler.hello())
    assert not is_handshake(b"\x01{")
    assert not is_handshake(b"")


@pytest.mark.parametrize("alice_need", [SealNeed.OFFER, SealNeed.REQUIRE])
@pytest.mark.parametrize("bob_need", [SealNeed.OFFER, SealNeed.REQUIRE])
def test_a_wire_is_sealed_when_one_side_requires_it(alice_need: SealNeed, bob_need: SealNeed) -> None:
    wiring = Wiring(alice_link=sealing(alice_need), bob_link=sealing(bob_need))
    challenge = wiring.challenge()
    step = wiring.dialler.receive(challenge.frame)
    keys = getattr(step, "seal", None)
    if alice_need is bob_need is SealNeed.OFFER:
        assert keys is challenge.seal is None
        return
    assert keys is not None
    assert challenge.seal is not None
    assert (keys.send, keys.receive) == (challenge.seal.receive, challenge.seal.send)
    assert keys.send != keys.receive
    wiring.dialler.verified()
    assert wiring.dialler.peer.sealed
    assert wiring.join().peer.sealed


def test_a_channel_that_ends_in_between_is_sealed() -> None:
    """A proxy ends TLS: only the dialler's end is bound to a channel."""
    wiring = Wiring(alice_link=sealing(SealNeed.OFFER, binding=b"tls"), bob_link=sealing(SealNeed.OFFER))
    assert wiring.challenge().seal is not None
    both = sealing(SealNeed.OFFER, binding=b"tls")
    assert Wiring(alice_link=both, bob_link=both).challenge().seal is None


def test_a_mismatch_is_followed_by_another_join_on_the_same_wire() -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    wiring.join(yours=Half(BOB_LIFE, 3))
    step = wiring.dialler_receives(wiring.acceptor.mismatch(Half(BOB_LIFE, 3), ALICE, FINAL, reason="gone"))
    assert isinstance(step, Mismatched)
    assert (step.mismatch.mine, step.mismatch.yours, step.mismatch.final) == (Half(BOB_LIFE, 3), ALICE, FINAL)
    higher = Half(ALICE_LIFE, 2)
    frame = wiring.dialler.join(higher, None, TERMS)
    assert b"\n" not in frame  # no proof: the channel is proved already
    again = wiring.acceptor.receive(frame)
    assert isinstance(again, JoinReceived)
    assert again.repeated
    assert again.join.mine == higher
    assert isinstance(wiring.dialler_receives(wiring.acceptor.ok(BOB, higher, TERMS)), Joined)


def test_unknown_final_positions_stay_unknown() -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    wiring.join(yours=BOB)
    step = wiring.dialler_receives(wiring.acceptor.mismatch(BOB, ALICE, None))
    assert isinstance(step, Mismatched)
    assert step.mismatch.final is None


def test_a_joined_wire_can_be_taken_out_by_either_side() -> None:
    wiring = Wiring()
    wiring.joined()
    assert isinstance(wiring.dialler_receives(wiring.acceptor.mismatch(BOB, ALICE, FINAL)), Mismatched)
    for counter in range(2, 6):
        half = Half(ALICE_LIFE, counter)
        assert isinstance(wiring.acceptor_receives(wiring.dialler.join(half, None, TERMS)), JoinReceived)
        assert isinstance(wiring.dialler_receives(wiring.acceptor.ok(BOB, half, TERMS)), Joined)


def test_an_answer_overtaken_by_a_newer_join_changes_nothing() -> None:
    wiring = Wiring()
    wiring.joined()
    late = wiring.acceptor.mismatch(BOB, ALICE, FINAL)
    join = wiring.dialler.join(Half(ALICE_LIFE, 2), None, TERMS)
    assert isinstance(wiring.dialler_receives(late), Outdated)
    assert wiring.dialler.state is DiallerState.JOINING
    assert isinstance(wiring.acceptor_receives(join), JoinReceived)
    answer = wiring.dialler_receives(wiring.acceptor.ok(BOB, Half(ALICE_LIFE, 2), TERMS))
    assert isinstance(answer, Joined)


@pytest.mark.parametrize("code", ["busy", "stale", "replaced", "duplicate"])
def test_the_acceptor_refuses_a_join_with_proof(code: RefuseCode) -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    wiring.join()
    step = wiring.dialler_receives(wiring.acceptor.refuse(code, retry_after=1.5, reason="why"))
    assert step == Refused(code, 1.5, "why")
    assert wiring.dialler.state is DiallerState.CLOSED
    assert wiring.acceptor.state is AcceptorState.CLOSED


def test_a_joined_wire_is_ended_as_duplicate_by_either_side() -> None:
    wiring = Wiring()
    wiring.joined()
    assert wiring.dialler_receives(wiring.acceptor.refuse("duplicate")) == Refused("duplicate", 0, "")
    wiring = Wiring()
    wiring.joined()
    assert wiring.acceptor_receives(wiring.dialler.refuse("duplicate")) == Refused("duplicate", 0, "")
    assert wiring.acceptor.state is AcceptorState.CLOSED


def test_the_dialler_refuses_instead_of_joining() -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    assert wiring.acceptor_receives(wiring.dialler.refuse("stale")) == Refused("stale", 0, "")
    with pytest.raises(RuntimeError, match="not proved"):
        _ = wiring.acceptor.peer


def test_an_end_that_crosses_a_newer_join_is_still_an_end() -> None:
    wiring = Wiring()
    wiring.joined()
    late = wiring.acceptor.refuse("duplicate")
    wiring.dialler.join(Half(ALICE_LIFE, 2), None, TERMS)
    assert wiring.dialler_receives(late) == Refused("duplicate", 0, "")


def test_the_largest_join_fits_a_frame() -> None:
    lanes = range((1 << 32) - MAX_LANES, 1 << 32)
    terms = Terms(
        positions=tuple(LanePosition(lane=lane, number=MAX, offset=MAX, processed=MAX, durable=MAX) for lane in lanes),
        log=LogSize(messages=MAX, bytes=MAX),
        credit=tuple(LaneCredit(lane=lane, messages=MAX, bytes=MAX) for lane in lanes),
        session_credit=MAX,
    )
    wiring = Wiring()
    wiring.prove_acceptor()
    step = wiring.acceptor_receives(wiring.dialler.join(ALICE, BOB, terms))
    assert isinstance(step, JoinReceived)
    assert step.join.terms == terms


def test_status_lines_can_be_read_and_show_no_secret() -> None:
    wiring = Wiring(alice_link=sealing(SealNeed.REQUIRE), bob_link=sealing(SealNeed.REQUIRE))
    challenge = wiring.challenge()
    assert challenge.seal is not None
    step = wiring.dialler.receive(challenge.frame)
    shown = f"{wiring.dialler!r} {wiring.acceptor!r} {challenge!r} {step!r}"
    assert "with bob, as dialler: verifies the acceptor" in shown
    assert "with alice, as acceptor: awaits JOIN" in shown
    for secret in (challenge.seal.send, challenge.seal.receive):
        assert repr(secret) not in shown
        assert secret.hex() not in shown


def test_calls_out_of_turn_are_bugs_of_the_caller() -> None:
    wiring = Wiring()
    with pytest.raises(RuntimeError, match="not now"):
        wiring.dialler.join(ALICE, None, TERMS)
    with pytest.raises(RuntimeError, match="not now"):
        wiring.dialler.verified()
    with pytest.raises(RuntimeError, match="not proved"):
        _ = wiring.dialler.peer
    wiring.challenge()
    for call in (
        wiring.dialler.hello,
        wiring.acceptor.verified,
        lambda: wiring.acceptor.ok(BOB, ALICE, TERMS),
        lambda: wiring.acceptor.refuse("busy"),
        lambda: wiring.acceptor.mismatch(BOB, ALICE, None),
    ):
        with pytest.raises(RuntimeError, match="not now"):
            call()


def test_what_cannot_be_said_is_refused_here() -> None:
    wiring = Wiring()
    wiring.prove_acceptor()
    with pytest.raises(ValueError, match="another incarnation"):
        wiring.dialler.join(BOB, None, TERMS)
    with pytest.raises(ValueError, match="not said after the proof"):
        wiring.dialler.refuse("incompatible")
    with pytest.raises(ValueError, match="no control characters"):
        wiring.dialler.refuse("duplicate", reason="\x1b[2J")
    wiring.join()
    with pytest.raises(ValueError, match="another incarnation"):
        wiring.acceptor.ok(ALICE, ALICE, TERMS)
    with pytest.raises(ValueError, match="sealing needs an authenticator"):
        Initiator(node(), "bob", sealing(SealNeed.OFFER), known_bytes("a"))
    with pytest.raises(ValueError, match="sealing needs an authenticator"):
        Acceptor(node(), sealing(SealNeed.REQUIRE), known_bytes("a"))
