"""What the tests of the handshake share: nodes, a source of known bytes, and the driver's part in few lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256

import pytest

from outproc.handshake import (
    Acceptor,
    AcceptorStep,
    DiallerStep,
    Entropy,
    Initiator,
    Joined,
    JoinReceived,
    LaneCredit,
    LanePosition,
    Limits,
    Link,
    LogSize,
    NeedsVerification,
    Node,
    PeerProved,
    SendChallenge,
    Terms,
)
from outproc.security import Authenticator, Ed25519Authenticator, NoAuthenticator, SealNeed
from outproc.session.identity import Half, Incarnation

LIMITS = Limits(max_frame=1 << 20, max_message=1 << 24)
ALICE_LIFE = Incarnation(1_700_000_000_000_000_001, 0xA11CE)
BOB_LIFE = Incarnation(1_700_000_000_000_000_002, (1 << 64) - 1)
ALICE = Half(ALICE_LIFE, 1)
BOB = Half(BOB_LIFE, 7)
ALICE_KEY = sha256(b"alice").digest()
BOB_KEY = sha256(b"bob").digest()

TERMS = Terms(
    positions=(LanePosition(lane=0, number=12, offset=300, processed=11, durable=0),),
    log=LogSize(messages=16384, bytes=4 << 20),
    credit=(LaneCredit(lane=0, messages=16384, bytes=16 << 20), LaneCredit(lane=1, messages=9, bytes=1 << 20)),
    session_credit=(1 << 64) - 1,
)


def known_bytes(seed: str) -> Entropy:
    """Bytes that look random and are the same every time: SHA-256 of the seed and a counter."""
    count = 0

    def entropy(size: int) -> bytes:
        nonlocal count
        count += 1
        return sha256(f"{seed} {count}".encode()).digest()[:size]

    return entropy


def ed25519(own: bytes, **trusted: bytes) -> Ed25519Authenticator:
    """An authenticator with the private key `own`, which trusts the ids whose *private* keys are given."""
    return Ed25519Authenticator(own, {name: Ed25519Authenticator(key).public_key for name, key in trusted.items()})


def node(
    name: str = "alice",
    authenticator: Authenticator | None = None,
    *,
    life: Incarnation | None = None,
    versions: tuple[int, ...] = (1,),
) -> Node:
    return Node(
        name,
        life or (ALICE_LIFE if name == "alice" else BOB_LIFE),
        LIMITS,
        authenticator or NoAuthenticator(),
        ("one",),
        versions,
    )


class Wiring:
    """A dialler (alice) and an acceptor (bob), with keys that trust each other unless told otherwise."""

    def __init__(
        self,
        *,
        alice: Authenticator | None = None,
        bob: Authenticator | None = None,
        alice_link: Link | None = None,
        bob_link: Link | None = None,
        dest: str = "bob",
        seed: str = "",
    ) -> None:
        self.alice_auth = alice or ed25519(ALICE_KEY, bob=BOB_KEY)
        self.bob_auth = bob or ed25519(BOB_KEY, alice=ALICE_KEY)
        self.dialler = Initiator(
            node("alice", self.alice_auth), dest, alice_link or Link("memory"), known_bytes("alice" + seed)
        )
        self.acceptor = Acceptor(node("bob", self.bob_auth), bob_link or Link("memory"), known_bytes("bob" + seed))

    def challenge(self) -> SendChallenge:
        step = self.acceptor.receive(self.dialler.hello())
        assert isinstance(step, SendChallenge)
        return step

    def prove_acceptor(self) -> PeerProved:
        step = self.dialler_receives(self.challenge().frame)
        assert isinstance(step, PeerProved)
        return step

    def join(self, yours: Half | None = None) -> JoinReceived:
        step = self.acceptor_receives(self.dialler.join(ALICE, yours, TERMS))
        assert isinstance(step, JoinReceived)
        return step

    def joined(self) -> Joined:
        self.prove_acceptor()
        self.join()
        step = self.dialler_receives(self.acceptor.ok(BOB, ALICE, TERMS))
        assert isinstance(step, Joined)
        return step

    def dialler_receives(self, frame: bytes) -> DiallerStep:
        step = self.dialler.receive(frame)
        if isinstance(step, NeedsVerification):
            check(self.alice_auth, step)
            return self.dialler.verified()
        return step

    def acceptor_receives(self, frame: bytes) -> AcceptorStep:
        step = self.acceptor.receive(frame)
        if isinstance(step, NeedsVerification):
            check(self.bob_auth, step)
            return self.acceptor.verified()
        return step


def check(authenticator: Authenticator, step: NeedsVerification) -> None:
    """What a driver awaits. The built-in methods do not suspend, so no loop is needed."""
    verification = authenticator.verify(step.peer_id, step.credential, step.transcript, step.proof, step.role)
    with pytest.raises(StopIteration):
        verification.send(None)


def sealing(need: SealNeed, *, kind: str = "memory", binding: bytes | None = None) -> Link:
    return Link(kind, binding, need)


def edited(frame: bytes, change: Callable[[dict[str, object]], None]) -> bytes:
    """The frame with other fields and the proof it had."""
    body, line_feed, proof = frame.partition(b"\n")
    fields = json.loads(body)
    change(fields)
    return json.dumps(fields, separators=(",", ":")).encode() + line_feed + proof


def setting(name: str, value: object) -> Callable[[dict[str, object]], None]:
    """A change for `edited`."""
    return lambda fields: fields.update({name: value})
