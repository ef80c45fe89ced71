"""The accepting side of the handshake of one wire, as a pure state machine.

    receive(HELLO) -> SendChallenge
    receive(JOIN)  -> NeedsVerification -> verified() -> JoinReceived -> ok(), mismatch() or refuse()

After ok() or mismatch() another JOIN may come on the same wire; it needs no verification. Until the peer has
proved its id this keeps a few hundred bytes and answers only with what `refusal` gives. Every error raised
ends the machine. Raises `IncompatibleError`, `UnauthenticatedError`, `ProtocolError`.
"""

from __future__ import annotations

from enum import Enum

from litz.errors import IncompatibleError, LitzError, ProtocolError, UnauthenticatedError
from outproc.handshake.checks import (
    MY_ID,
    NOT_ME,
    OTHER_METHOD,
    check_method,
    check_not_self,
    make_refuse,
    refuse_proof,
    refused,
    require_proof,
    unproved_refusal,
)
from outproc.handshake.codec import Parsed, Raw, encode_body, parse, split, with_proof
from outproc.handshake.models import (
    Auth,
    Challenge,
    Hello,
    Join,
    LanePosition,
    Mismatch,
    Ok,
    Refuse,
    RefuseCode,
    Terms,
)
from outproc.handshake.results import (
    AcceptorStep,
    Entropy,
    JoinReceived,
    Link,
    NeedsVerification,
    Node,
    PeerInfo,
    SendChallenge,
    check_link,
)
from outproc.handshake.transcript import absorb, after_challenge
from outproc.security.authenticator import Role
from outproc.security.sealing import Exchange, SealKeys
from outproc.session.identity import Half


class AcceptorState(Enum):
    """How far the accepting side has come; the value is what a log says."""

    AWAITS_HELLO = "awaits HELLO"
    AWAITS_JOIN = "awaits JOIN"
    VERIFYING = "verifies the dialler"
    DECIDING = "decides about a JOIN"
    JOINED = "joined"
    CLOSED = "closed"


class Acceptor:
    """One wire that came in."""

    def __init__(self, node: Node, link: Link, entropy: Entropy) -> None:
        check_link(node, link)
        self._node = node
        self._link = link
        self._entropy = entropy
        self._state = AcceptorState.AWAITS_HELLO
        self._told = ""  # what a refusal tells the peer about the reason
        self._hello: Hello | None = None
        self._peer: PeerInfo | None = None
        self._proved = b""  # the transcript up to and with our proof
        self._first_join = b""
        self._transcript = b""  # after the latest JOIN
        self._join = 0
        self._step: AcceptorStep | None = None

    @property
    def state(self) -> AcceptorState:
        return self._state

    @property
    def peer(self) -> PeerInfo:
        """The dialler. Only after the first `JoinReceived`."""
        if self._peer is None or not self._first_join:
            raise RuntimeError("the peer has not proved its id yet")
        return self._peer

    @property
    def claimed_id(self) -> str:
        """What the dialler calls itself, for events about a failure; '' before HELLO."""
        return self._hello.dialler if self._hello else ""

    # -- what the peer says -------------------------------------------------------------------------

    def receive(self, frame: bytes) -> AcceptorStep:
        """One frame of the peer that starts with "{"."""
        try:
            raw = split(frame)
            if self._state is AcceptorState.AWAITS_HELLO:
                if raw.type != "hello":
                    raise ProtocolError(f"{raw.type} frame before HELLO")
                return self._hello_received(raw)
            parsed = parse(raw)
            if isinstance(parsed.value, Join):
                return self._join_received(parsed, parsed.value)
            if isinstance(parsed.value, Refuse):
                return self._refuse_received(parsed, parsed.value)
            raise ProtocolError(f"{raw.type} frame for an acceptor that {self._state.value}")
        except LitzError:
            self._state = AcceptorState.CLOSED
            raise

    def refusal(self, error: BaseException) -> bytes | None:
        """What to write before the wire is aborted because of `error`, None for nothing. The peer is told the kind
        of refusal and nothing about keys or ids known here."""
        if isinstance(error, IncompatibleError):
            return unproved_refusal("incompatible", versions=self._node.versions)
        if isinstance(error, UnauthenticatedError):
            return unproved_refusal("unauthenticated", reason=self._told)
        return None

    def _hello_received(self, raw: Raw) -> SendChallenge:
        node, link = self._node, self._link
        version = self._choose_version(raw)
        parsed = parse(raw)
        refuse_proof(parsed)
        hello = parsed.value
        assert isinstance(hello, Hello)
        self._hello = hello
        self._check_hello(hello)
        exchange = Exchange(self._entropy) if self._seals(hello) else None
        # Not validated: every field is our own, and strangers make us say this.
        challenge = Challenge.model_construct(
            version=version,
            acceptor=node.id,
            nonce=self._entropy(32),
            incarnation=node.incarnation,
            auth=Auth(method=node.authenticator.method, credential=node.authenticator.credential()),
            bound=link.binding is not None,
            x25519=exchange.public if exchange else None,
            limits=node.limits,
            features=node.features,
        )
        body = encode_body(challenge)
        both_bound = link.binding is not None and hello.bound
        transcript = after_challenge(parsed.body, body, (link.binding or b"") if both_bound else b"")
        proof = node.authenticator.prove(transcript, Role.ACCEPTOR)
        self._proved = absorb(transcript, "proof", proof)
        keys: SealKeys | None = None
        if exchange is not None and hello.x25519 is not None:
            keys = exchange.keys(hello.x25519, self._proved, Role.ACCEPTOR)
        self._peer = PeerInfo(
            id=hello.dialler,
            incarnation=hello.incarnation,
            limits=hello.limits,
            features=frozenset(hello.features),
            version=version,
            proves=node.authenticator.proves,
            sealed=keys is not None,
        )
        self._state = AcceptorState.AWAITS_JOIN
        return SendChallenge(with_proof(body, proof), keys)

    def _choose_version(self, raw: Raw) -> int:
        """Before anything else of a HELLO is read: its other fields may be of a version we do not know."""
        offered = raw.fields.get("versions")
        if not isinstance(offered, list) or not all(type(version) is int for version in offered):
            raise ProtocolError("HELLO without a list of versions")
        common = [version for version in self._node.versions if version in offered]
        if not common:
            raise IncompatibleError(
                f"the peer speaks protocol versions {offered[:16]} and this node {list(self._node.versions)}; "
                "upgrade the older"
            )
        return max(common)

    def _check_hello(self, hello: Hello) -> None:
        node, link = self._node, self._link
        if hello.dialler == node.id:
            self._told = MY_ID
            check_not_self(node, hello.dialler, hello.incarnation)
        if hello.dest != node.id:
            self._told = NOT_ME
            raise UnauthenticatedError(
                f"{hello.dialler!r} dialled {hello.dest!r} and reached {node.id!r}; "
                f"correct its endpoint of {hello.dest!r}"
            )
        if hello.auth.method != node.authenticator.method:
            self._told = f"{OTHER_METHOD} {node.authenticator.method}"
            check_method(node, hello.dialler, hello.auth.method)
        if hello.kind != link.kind:
            self._told = f"this end is a wire of kind {link.kind}"
            raise UnauthenticatedError(
                f"the wire is of kind {hello.kind!r} at {hello.dialler!r} and {link.kind!r} here; "
                "something between them translates, which no proof can cross"
            )

    def _seals(self, hello: Hello) -> bool:
        needs = {hello.seal, self._link.seal.value}
        if "require" in needs and "never" in needs:
            self._told = "one of us seals this wire and the other does not"
            raise UnauthenticatedError(
                f"sealing of this wire is {hello.seal!r} at {hello.dialler!r} and {self._link.seal.value!r} here; "
                "allow it on both, or use wss://"
            )
        # One end sees a protected channel and the other another one or none: it ends in between.
        split_channel = hello.bound != (self._link.binding is not None)
        return "never" not in needs and ("require" in needs or split_channel)

    def _join_received(self, parsed: Parsed, join: Join) -> AcceptorStep:
        first = self._state is AcceptorState.AWAITS_JOIN and not self._first_join
        rejoin = self._state in (AcceptorState.JOINED, AcceptorState.AWAITS_JOIN) and not first
        if not (first or rejoin):
            raise ProtocolError(f"JOIN for an acceptor that {self._state.value}")
        if join.join != self._join + 1:
            raise ProtocolError(f"JOIN {join.join} after JOIN {self._join}")
        assert self._peer is not None
        if join.mine.incarnation != self._peer.incarnation:
            raise ProtocolError("JOIN names a half of another incarnation of the dialler")
        step = JoinReceived(self._peer, join, repeated=rejoin)
        if rejoin:
            refuse_proof(parsed)
            self._join = join.join
            self._transcript = absorb(self._first_join, "join", parsed.body)
            self._state = AcceptorState.DECIDING
            return step
        proof = require_proof(parsed)
        covered = absorb(self._proved, "join", parsed.body)
        self._join = join.join
        self._transcript = absorb(covered, "proof", proof)
        return self._verify(covered, proof, step)

    def _refuse_received(self, parsed: Parsed, refuse: Refuse) -> NeedsVerification:
        if self._state not in (AcceptorState.AWAITS_JOIN, AcceptorState.JOINED):
            raise ProtocolError(f"a refusal for an acceptor that {self._state.value}")
        if refuse.join != self._join:
            raise ProtocolError(f"a refusal of JOIN {refuse.join}; the latest is {self._join}")
        proof = require_proof(parsed)
        covered = absorb(self._transcript or self._proved, "refuse", parsed.body)
        return self._verify(covered, proof, refused(refuse))

    def _verify(self, covered: bytes, proof: bytes, step: AcceptorStep) -> NeedsVerification:
        assert self._hello is not None
        self._step = step
        self._state = AcceptorState.VERIFYING
        return NeedsVerification(self._hello.dialler, self._hello.auth.credential, covered, proof, Role.DIALLER)

    # -- what the driver says -----------------------------------------------------------------------

    def verified(self) -> AcceptorStep:
        """The proof of the latest NeedsVerification was good."""
        self._expect(AcceptorState.VERIFYING)
        step, self._step = self._step, None
        assert step is not None
        if isinstance(step, JoinReceived):
            self._first_join = self._transcript
            self._state = AcceptorState.DECIDING
        else:
            self._state = AcceptorState.CLOSED
        return step

    def ok(self, mine: Half, yours: Half, terms: Terms) -> bytes:
        """The wire is joined to the session of this pair. Write it; data may follow at once."""
        self._expect(AcceptorState.DECIDING)
        if mine.incarnation != self._node.incarnation:
            raise ValueError("our half is of another incarnation")
        frame = self._signed(Ok(join=self._join, mine=mine, yours=yours, terms=terms))
        self._state = AcceptorState.JOINED
        return frame

    def mismatch(
        self,
        mine: Half,
        yours: Half,
        final: tuple[LanePosition, ...] | None,
        *,
        partial: bool = False,
        reason: str = "",
    ) -> bytes:
        """The named pair is no session here (`final` None: nothing is known of it; `partial`: these are not the
        positions of all lanes), or, on a joined wire, no longer one. Write it; the wire is in no session until the next
        JOIN."""
        self._expect(AcceptorState.DECIDING, AcceptorState.JOINED)
        said = Mismatch(join=self._join, mine=mine, yours=yours, final=final, partial=partial, reason=reason)
        frame = self._signed(said)
        self._state = AcceptorState.AWAITS_JOIN
        return frame

    def refuse(self, code: RefuseCode, *, retry_after: float = 0, reason: str = "") -> bytes:
        """End this wire and say why, with proof: busy, stale, replaced or duplicate. Write it, then close."""
        self._expect(AcceptorState.DECIDING, AcceptorState.JOINED)
        frame = self._signed(make_refuse(code, self._join, retry_after, reason))
        self._state = AcceptorState.CLOSED
        return frame

    def _signed(self, value: Ok | Mismatch | Refuse) -> bytes:
        body = encode_body(value)
        covered = absorb(self._transcript, value.type, body)
        return with_proof(body, self._node.authenticator.prove(covered, Role.ACCEPTOR))

    def _expect(self, *states: AcceptorState) -> None:
        if self._state not in states:
            raise RuntimeError(f"not now: this acceptor {self._state.value}")

    def __repr__(self) -> str:
        return f"<handshake with {self.claimed_id or 'somebody'}, as acceptor: {self._state.value}>"
