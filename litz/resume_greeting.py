"""The handshake of a connection of a `ResumablePipe`, from both sides: who proves what in which order.

    active    HELLO  ------------------------>  passive: known session? a newer attempt?
              <------------------------  HELLO
    active lets its old connection go, and says what it has
              PROOF  ------------------------>  passive lets its old connection go
              <------------------------  PROOF  and says what it has
    both      go on from there

An old connection is let go before its end says what it has, so nothing is received behind that; and only for a peer
that is known to be there (active) or has proved who it is (passive), so a stranger disturbs nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from litz.errors import HandshakeError, ProtocolError, ResumeImpossibleError, UnauthenticatedError
from litz.resume_frames import Ack, Hello, Kind, Why, coded_frame, hello_frame, read_code, read_hello, read_proof
from litz.resume_handshake import Keys, Role, first_keys
from litz.resume_link import ResumeLink
from litz.resume_session import ResumeSession


@dataclass(slots=True)
class ResumeIdentity:
    """What one end knows of the session's other end. `secret`: None until a connection has resumed. `attempt`: the
    last one made (active), or the newest that resumed (passive). `proven`: the peer knows the secret for sure. `ended`:
    nothing resumes any more."""

    session: bytes | None = None
    secret: bytes | None = None
    attempt: int = 0
    proven: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Greeted:
    """How a connection goes on: what this end said it has, what the peer has, and the secret."""

    mine: Ack
    peer: Ack
    secret: bytes


def refuse(link: ResumeLink, why: Why, text: str) -> None:
    """Say why not."""
    link.say(coded_frame(Kind.REFUSE, why, text))


async def greet_active(
    link: ResumeLink, identity: ResumeIdentity, nonce: bytes, session: ResumeSession, let_go: Callable[[], None]
) -> Greeted:
    """As the side that dialled. Raises `ResumeImpossibleError` (final), `HandshakeError` and what the link raises."""
    try:
        return await _greet_active(link, identity, nonce, session, let_go)
    except _RefusedError as refused:
        raise refused.judged() from None


async def _greet_active(
    link: ResumeLink, identity: ResumeIdentity, nonce: bytes, session: ResumeSession, let_go: Callable[[], None]
) -> Greeted:
    secret = identity.secret
    assert identity.session is not None
    hello = Hello(secret is None, identity.session, nonce, identity.attempt)
    link.say(hello_frame(hello))
    theirs = read_hello(await _expect(link, Kind.HELLO))
    if (theirs.session, theirs.attempt, theirs.begins) != (hello.session, hello.attempt, hello.begins):
        raise ProtocolError("the other end answers somebody else")
    keys = first_keys(hello, theirs) if secret is None else Keys(secret, hello, theirs)
    let_go()
    mine = session.position()
    link.say(keys.proof_frame(Role.ACTIVE, mine))
    peer, mac = read_proof(await _expect(link, Kind.PROOF))
    if not keys.proves(Role.PASSIVE, peer, mac):
        raise UnauthenticatedError("who answered did not prove that it is the other end of this pipe")
    if not session.fits(peer):
        refuse(link, Why.GONE, "")
        raise _gone(peer, session)
    return Greeted(mine, peer, keys.secret)


async def greet_passive(  # noqa: PLR0917 - the five of `greet_active`, and what came
    link: ResumeLink,
    identity: ResumeIdentity,
    hello: Hello,
    nonce: bytes,
    session: ResumeSession,
    let_go: Callable[[], None],
) -> Greeted:
    """As the side that was dialled, which has read `hello`. Answers with the last of it, so from its return on the
    connection must be carried without an await. Raises `ResumeImpossibleError` (final), `HandshakeError` (this
    connection only) and what the link raises."""
    _check(link, identity, hello)
    theirs = Hello(hello.begins, hello.session, nonce, hello.attempt)
    link.say(hello_frame(theirs))
    secret = identity.secret
    keys = first_keys(hello, theirs) if hello.begins or secret is None else Keys(secret, hello, theirs)
    peer, mac = read_proof(await _expect(link, Kind.PROOF))
    if not keys.proves(Role.ACTIVE, peer, mac):
        refuse(link, Why.OTHER, "the proof is wrong")
        raise UnauthenticatedError("who came did not prove that it is the other end of this pipe")
    _check(link, identity, hello)  # another one may have resumed meanwhile, or the pipe may have ended
    if not session.fits(peer):
        refuse(link, Why.GONE, "")
        raise _gone(peer, session)
    let_go()
    identity.session = hello.session
    identity.attempt = hello.attempt
    mine = session.position()
    link.say(keys.proof_frame(Role.PASSIVE, mine))
    return Greeted(mine, peer, keys.secret)


def _check(link: ResumeLink, identity: ResumeIdentity, hello: Hello) -> None:
    if identity.ended:  # perhaps since the connection said its first word
        refuse(link, Why.UNKNOWN, "this end has ended")
        raise HandshakeError("a connection came for a pipe that has ended")
    if identity.secret is None:
        if not hello.begins:
            refuse(link, Why.UNKNOWN, "this end has begun no session yet")
            raise HandshakeError("a connection wants to resume a session that this end does not know")
    elif hello.session != identity.session or (hello.begins and identity.proven):
        refuse(link, Why.OTHER, "this end serves another session")
        raise HandshakeError("a connection of somebody else's session came")
    elif hello.attempt <= identity.attempt:
        refuse(link, Why.STALE, "a newer connection was here first")
        raise HandshakeError("an older connection came late")


async def _expect(link: ResumeLink, kind: Kind) -> bytes:
    found, payload = await link.next()
    if found is Kind.REFUSE and kind is not Kind.REFUSE:
        raise _RefusedError(payload)
    if found is not kind:
        raise ProtocolError(f"the other end said {found.name} when {kind.name} was due")
    return payload


class _RefusedError(HandshakeError):
    """REFUSE came. Who dialled believes it; who was dialled does not know yet who says so."""

    def __init__(self, payload: bytes) -> None:
        self.code, text = read_code(payload)
        super().__init__(f"the other end refused this connection: {text}")

    def judged(self) -> HandshakeError | ResumeImpossibleError:
        reason = _REASONS.get(self.code)
        return self if reason is None else ResumeImpossibleError(f"{reason} ({self}); open a new pipe")


_REASONS: dict[int, str] = {
    Why.UNKNOWN: "the other end does not know this pipe any more: its state is lost, or it has ended it",
    Why.OTHER: "the other end serves another pipe",
    Why.GONE: "the other end does not hold the bytes any more that are missing here",
}
"""What is final."""


def _gone(peer: Ack, session: ResumeSession) -> ResumeImpossibleError:
    held = f"{session.out.start} to {session.out.end}"
    return ResumeImpossibleError(f"the other end wants to go on at {peer.received}, and bytes {held} are held here")
