"""The dialler's side of the handshake of one wire, as a pure state machine.

    hello() -> write it, then pass every frame that starts with "{" to receive()
    receive(CHALLENGE) -> NeedsVerification -> verified() -> PeerProved -> join() or refuse()
    receive(answer)    -> NeedsVerification -> verified() -> Joined | Mismatched | Refused

After Joined or Mismatched `join` may be called again, on the same wire. Every error raised ends the machine:
abort the wire. Raises `IncompatibleError`, `UnauthenticatedError`, `BusyError`, `ProtocolError`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from litz.dest import validate_dest
from litz.errors import IncompatibleError, LitzError, ProtocolError, UnauthenticatedError
from outproc.handshake.checks import (
    check_method,
    check_not_self,
    make_refuse,
    refused,
    require_proof,
    unproved_error,
)
from outproc.handshake.codec import Parsed, check_size, encode_body, parse, split, with_proof
from outproc.handshake.models import Auth, Challenge, Hello, Join, Mismatch, Ok, Refuse, RefuseCode, Terms
from outproc.handshake.results import (
    DiallerStep,
    Entropy,
    Joined,
    Link,
    Mismatched,
    NeedsVerification,
    Node,
    Outdated,
    PeerInfo,
    PeerProved,
    check_link,
)
from outproc.handshake.transcript import absorb, after_challenge
from outproc.security.authenticator import Role
from outproc.security.sealing import Exchange, SealKeys, SealNeed
from outproc.session.identity import Half


class DiallerState(Enum):
    """How far the dialling side has come; the value is what a log says."""

    NEW = "new"
    AWAITS_CHALLENGE = "awaits CHALLENGE"
    VERIFYING = "verifies the acceptor"
    PROVED = "may join"
    JOINING = "awaits the answer to JOIN"
    VERIFYING_ANSWER = "verifies an answer"
    JOINED = "joined"
    CLOSED = "closed"


class Initiator:
    """One dialled wire. `dest` is the id that the other end must prove."""

    def __init__(self, node: Node, dest: str, link: Link, entropy: Entropy) -> None:
        check_link(node, link)
        self._node = node
        self._dest = validate_dest(dest)
        self._link = link
        self._nonce: Final = entropy(32)
        self._exchange = Exchange(entropy) if link.seal is not SealNeed.NEVER else None
        self._state = DiallerState.NEW
        self._hello = b""
        self._join = 0
        self._credential = b""
        self._peer: PeerInfo | None = None
        self._proved = b""  # the transcript up to and with the acceptor's proof
        self._joins: dict[int, bytes] = {}  # the transcripts after the last two JOINs
        self._first_join = b""
        self._answer: DiallerStep | None = None

    @property
    def state(self) -> DiallerState:
        return self._state

    @property
    def peer(self) -> PeerInfo:
        """The acceptor. Only after `PeerProved`."""
        if self._peer is None or self._state is DiallerState.VERIFYING:
            raise RuntimeError("the peer has not proved its id yet")
        return self._peer

    # -- what the driver says -----------------------------------------------------------------------

    def hello(self) -> bytes:
        """The first frame. Write it."""
        self._expect(DiallerState.NEW)
        node, link = self._node, self._link
        value = Hello(
            versions=node.versions,
            dialler=node.id,
            dest=self._dest,
            nonce=self._nonce,
            incarnation=node.incarnation,
            auth=Auth(method=node.authenticator.method, credential=node.authenticator.credential()),
            kind=link.kind,
            bound=link.binding is not None,
            seal=link.seal.value,
            x25519=self._exchange.public if self._exchange else None,
            limits=node.limits,
            features=node.features,
        )
        self._hello = check_size(encode_body(value))
        self._state = DiallerState.AWAITS_CHALLENGE
        return self._hello

    def join(self, mine: Half, yours: Half | None, terms: Terms) -> bytes:
        """JOIN with our half and the acceptor's as far as known (None: a new session). Write it; on resume data
        may follow at once. After Joined this first takes the wire out of its session (R3)."""
        self._expect(DiallerState.PROVED, DiallerState.JOINED)
        if mine.incarnation != self._node.incarnation:
            raise ValueError("our half is of another incarnation")
        if yours is not None and yours.incarnation != self.peer.incarnation:
            raise ValueError("the acceptor's half is of another incarnation than the acceptor")
        number = self._join + 1
        body = encode_body(Join(join=number, mine=mine, yours=yours, terms=terms))
        if number == 1:
            transcript = absorb(self._proved, "join", body)
            proof = self._node.authenticator.prove(transcript, Role.DIALLER)
            frame = with_proof(body, proof)
            self._first_join = transcript = absorb(transcript, "proof", proof)
        else:
            transcript = absorb(self._first_join, "join", body)
            frame = check_size(body)
        self._joins = {self._join: self._joins[self._join]} if self._join else {}
        self._joins[number] = transcript
        self._join = number
        self._state = DiallerState.JOINING
        return frame

    def refuse(self, code: RefuseCode, *, retry_after: float = 0, reason: str = "") -> bytes:
        """End this wire and say why, with proof: busy, stale, replaced or duplicate. Write it, then close."""
        self._expect(DiallerState.PROVED, DiallerState.JOINING, DiallerState.JOINED)
        body = encode_body(make_refuse(code, self._join, retry_after, reason))
        base = self._joins[self._join] if self._join else self._proved
        frame = with_proof(body, self._node.authenticator.prove(absorb(base, "refuse", body), Role.DIALLER))
        self._state = DiallerState.CLOSED
        return frame

    def verified(self) -> DiallerStep:
        """The proof of the latest NeedsVerification was good."""
        self._expect(DiallerState.VERIFYING, DiallerState.VERIFYING_ANSWER)
        if self._state is DiallerState.VERIFYING:
            self._state = DiallerState.PROVED
            return PeerProved(self.peer)
        answer, self._answer = self._answer, None
        match answer:
            case Joined():
                self._state = DiallerState.JOINED
            case Mismatched():
                self._state = DiallerState.PROVED
            case _:
                self._state = DiallerState.CLOSED
        assert answer is not None
        return answer

    # -- what the peer says -------------------------------------------------------------------------

    def receive(self, frame: bytes) -> DiallerStep:
        """One frame of the peer that starts with "{"."""
        try:
            parsed = parse(split(frame))
            if isinstance(parsed.value, Refuse):
                return self._refuse_received(parsed, parsed.value)
            if self._state is DiallerState.AWAITS_CHALLENGE and isinstance(parsed.value, Challenge):
                return self._challenge_received(parsed, parsed.value)
            if isinstance(parsed.value, Ok | Mismatch):
                return self._answer_received(parsed, parsed.value)
            raise ProtocolError(f"{parsed.value.type} frame for a dialler that {self._state.value}")
        except LitzError:
            self._state = DiallerState.CLOSED
            raise

    def _challenge_received(self, parsed: Parsed, challenge: Challenge) -> NeedsVerification:
        node, link = self._node, self._link
        if challenge.version not in node.versions:
            raise IncompatibleError(f"{self._dest} chose protocol version {challenge.version}, which was not offered")
        check_not_self(node, challenge.acceptor, challenge.incarnation)
        if challenge.acceptor != self._dest:
            raise UnauthenticatedError(
                f"dialled {self._dest!r} and reached {challenge.acceptor!r}; correct the endpoint of {self._dest!r}"
            )
        check_method(node, challenge.acceptor, challenge.auth.method)
        proof = require_proof(parsed)
        both_bound = link.binding is not None and challenge.bound
        transcript = after_challenge(self._hello, parsed.body, (link.binding or b"") if both_bound else b"")
        self._proved = absorb(transcript, "proof", proof)
        self._credential = challenge.auth.credential
        keys = self._seal_keys(challenge)
        self._peer = PeerInfo(
            id=challenge.acceptor,
            incarnation=challenge.incarnation,
            limits=challenge.limits,
            features=frozenset(challenge.features),
            version=challenge.version,
            proves=node.authenticator.proves,
            sealed=keys is not None,
        )
        self._state = DiallerState.VERIFYING
        return NeedsVerification(challenge.acceptor, self._credential, transcript, proof, Role.ACCEPTOR, seal=keys)

    def _seal_keys(self, challenge: Challenge) -> SealKeys | None:
        if challenge.x25519 is None:
            if self._link.seal is SealNeed.REQUIRE:
                raise UnauthenticatedError(
                    f"{self._dest} does not seal this unprotected wire; allow sealing there, or use wss://"
                )
            return None
        if self._exchange is None:
            raise ProtocolError("CHALLENGE seals a wire for which sealing was not offered")
        return self._exchange.keys(challenge.x25519, self._proved, Role.DIALLER)

    def _answer_received(self, parsed: Parsed, answer: Ok | Mismatch) -> DiallerStep:
        unasked = isinstance(answer, Mismatch) and self._state is DiallerState.JOINED
        if not (self._state is DiallerState.JOINING or unasked):
            raise ProtocolError(f"{answer.type} frame for a dialler that {self._state.value}")
        if answer.join < self._join and answer.join in self._joins:
            return Outdated()
        if answer.join != self._join:
            raise ProtocolError(f"{answer.type} frame for JOIN {answer.join}; the latest is {self._join}")
        step = Joined(answer) if isinstance(answer, Ok) else Mismatched(answer)
        if isinstance(answer, Ok) and answer.mine.incarnation != self.peer.incarnation:
            raise ProtocolError("OK names a half of another incarnation of the acceptor")
        return self._verify_answer(parsed, answer.type, step, answer.join)

    def _refuse_received(self, parsed: Parsed, refuse: Refuse) -> DiallerStep:
        if parsed.proof is None:
            if self._state not in (DiallerState.AWAITS_CHALLENGE, DiallerState.JOINING):
                raise ProtocolError(f"a refusal without proof for a dialler that {self._state.value}")
            raise unproved_error(self._dest, self._node, refuse)
        if self._state not in (DiallerState.JOINING, DiallerState.JOINED) or refuse.join not in self._joins:
            raise ProtocolError(f"a refusal out of turn for a dialler that {self._state.value}")
        return self._verify_answer(parsed, "refuse", refused(refuse), refuse.join)

    def _verify_answer(self, parsed: Parsed, label: str, step: DiallerStep, join: int) -> NeedsVerification:
        proof = require_proof(parsed)
        self._answer = step
        self._state = DiallerState.VERIFYING_ANSWER
        transcript = absorb(self._joins[join], label, parsed.body)
        return NeedsVerification(self.peer.id, self._credential, transcript, proof, Role.ACCEPTOR)

    def _expect(self, *states: DiallerState) -> None:
        if self._state not in states:
            raise RuntimeError(f"not now: this dialler {self._state.value}")

    def __repr__(self) -> str:
        return f"<handshake with {self._dest}, as dialler: {self._state.value}>"
