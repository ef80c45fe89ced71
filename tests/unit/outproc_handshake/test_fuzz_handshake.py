"""Any bytes, in any state: only errors of litz, no hang, no growth."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litz.errors import LitzError
from outproc.handshake import AcceptorState, DiallerState, unproved_refusal
from outproc.security import NoAuthenticator, SealNeed
from outproc.session.identity import Half
from tests.unit.outproc_handshake.handshake_kit import ALICE, ALICE_LIFE, BOB, TERMS, Wiring, sealing


def _fresh() -> Wiring:
    link = sealing(SealNeed.OFFER, binding=b"x")
    return Wiring(alice_link=link, bob_link=link)


def _new() -> Wiring:
    return _fresh()


def _challenged() -> Wiring:
    wiring = _fresh()
    wiring.challenge()
    return wiring


def _verifying() -> Wiring:
    wiring = _fresh()
    wiring.dialler.receive(wiring.challenge().frame)
    return wiring


def _proved() -> Wiring:
    wiring = _fresh()
    wiring.prove_acceptor()
    return wiring


def _joining() -> Wiring:
    wiring = _proved()
    wiring.acceptor.receive(wiring.dialler.join(ALICE, None, TERMS))
    return wiring


def _deciding() -> Wiring:
    wiring = _joining()
    wiring.acceptor.verified()
    return wiring


def _joined() -> Wiring:
    wiring = _fresh()
    wiring.joined()
    return wiring


def _mismatched() -> Wiring:
    wiring = _joined()
    wiring.dialler_receives(wiring.acceptor.mismatch(BOB, ALICE, None))
    return wiring


def _unproved() -> Wiring:
    wiring = Wiring(alice=NoAuthenticator(), bob=NoAuthenticator())
    wiring.joined()
    return wiring


STATES: list[Callable[[], Wiring]] = [
    _new,
    _challenged,
    _verifying,
    _proved,
    _joining,
    _deciding,
    _joined,
    _mismatched,
    _unproved,
]


def _samples() -> list[bytes]:
    """One good frame of every type."""
    wiring = _fresh()
    hello = wiring.dialler.hello()
    challenge = _fresh().challenge().frame
    wiring = _proved()
    join = wiring.dialler.join(ALICE, BOB, TERMS)
    wiring.acceptor_receives(join)
    ok = wiring.acceptor.ok(BOB, ALICE, TERMS)
    mismatch = wiring.acceptor.mismatch(BOB, ALICE, TERMS.positions, reason="x")
    wiring = _joined()
    refuse = wiring.acceptor.refuse("busy", retry_after=1)
    again = _joined().dialler.join(Half(ALICE_LIFE, 2), None, TERMS)
    return [hello, challenge, join, ok, mismatch, refuse, again, unproved_refusal("busy", retry_after=1)]


SAMPLES = _samples()

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good frame with bytes changed, cut, doubled or with a piece of another."""
    frame = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(frame) - 1)))
        match draw(st.integers(0, 3)):
            case 0:
                frame[at : at + 1] = draw(st.binary(max_size=3))
            case 1:
                del frame[at : at + draw(st.integers(1, 40))]
            case 2:
                frame[at:at] = frame[at : at + draw(st.integers(1, 40))]
            case _:
                frame[at:] = draw(st.sampled_from(SAMPLES))[at:]
    return bytes(frame)


@st.composite
def refilled(draw: st.DrawFn) -> bytes:
    """A good frame in which some field has a value of any kind."""
    body, line_feed, proof = draw(st.sampled_from(SAMPLES)).partition(b"\n")
    fields: dict[str, Any] = json.loads(body)
    target: Any = fields
    name = draw(st.sampled_from(sorted(target)))
    while isinstance(target[name], dict) and draw(st.booleans()):
        target = target[name]
        name = draw(st.sampled_from(sorted(target)))
    target[name] = draw(any_json)
    return json.dumps(fields).encode() + line_feed + proof


frames = st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda b: b"{" + b), mutated(), refilled())


@pytest.mark.parametrize("state", STATES)
@settings(max_examples=150, deadline=None)
@given(sequence=st.lists(frames, min_size=1, max_size=3))
def test_any_bytes_in_any_state(state: Callable[[], Wiring], sequence: list[bytes]) -> None:
    feed(state(), sequence)


@pytest.mark.soak
@pytest.mark.limit(3600)
@pytest.mark.parametrize("state", STATES)
@settings(max_examples=50_000, deadline=None)
@given(sequence=st.lists(frames, min_size=1, max_size=3))
def test_very_many_bytes_in_any_state(state: Callable[[], Wiring], sequence: list[bytes]) -> None:
    feed(state(), sequence)


def feed(wiring: Wiring, sequence: list[bytes]) -> None:
    """Both machines get every frame."""
    for frame in sequence:
        for machine in (wiring.dialler, wiring.acceptor):
            try:
                machine.receive(frame)
            except LitzError as error:
                assert len(str(error)) < 1000
                assert machine.state in (DiallerState.CLOSED, AcceptorState.CLOSED)
    assert len(wiring.dialler._joins) <= 2


@given(frames)
def test_nothing_but_the_genuine_frame_gets_past_the_proof(frame: bytes) -> None:
    """Whatever is sent instead of JOIN, the acceptor does not reach a decision."""
    wiring = _proved()
    genuine = wiring.dialler.join(ALICE, None, TERMS)
    try:
        wiring.acceptor_receives(frame)
    except LitzError:
        return
    # Samples are made with the same keys and nonces, so the genuine frame can come up.
    assert frame == genuine or frame == SAMPLES[2] or b'"refuse"' in frame
