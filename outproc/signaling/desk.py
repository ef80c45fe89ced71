"""The driver of signaling: opens and checks what comes through a node's port, signs and posts what goes, and tells
whoever dials or answers. It decides nothing (`attempts` does) and knows no WebRTC library.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from litz.errors import BusyError, ConnectError, IncompatibleError, LitzError, ProtocolError
from litz.node_port import NodePort
from outproc.signaling.attempts import Attempts, Refuse, Take
from outproc.signaling.messages import (
    MAX_ENVELOPE,
    MAX_LIFE,
    TOPIC,
    VERSION,
    Answer,
    Message,
    Offer,
    Reason,
    Refusal,
    Withdrawal,
    body_of,
    open_envelope,
    read_body,
    seal_envelope,
)

MAX_WAITING: Final = 16
"""Messages of one peer that wait for their proof to be checked; further ones are dropped."""

VERIFY_TIMEOUT: Final = 5.0

GLARE_RETRY: Final = 1.0
"""Seconds for the handshake on the peer's connection, which came first."""

OFFER_LIFE: Final = 30
"""Seconds for which our offers and answers are valid."""


class Answerer(Protocol):
    """Who answers offers."""

    def take(self, offer: Offer) -> None:
        """Answer this offer: begin a task that ends with `Desk.over`."""

    def give_up(self, attempt: str) -> None:
        """Nobody wants this attempt any more, whoever made it: abort its connection."""

    def peer_came(self, dest: str) -> None:
        """A session with `dest` has begun."""

    def peer_left(self, dest: str) -> None:
        """The session with `dest` is over."""


@dataclass(slots=True)
class DeskCounters:
    """What came, for people who look after a node."""

    offers: int = 0
    answers: int = 0
    dropped: int = 0
    """Messages that were malformed, not proved, not for us, late, or too many."""


class Desk:
    """Signaling of one node. Every method belongs to the loop's thread.

    limit  attempts at once, both ways and with all peers
    """

    def __init__(
        self,
        port: NodePort,
        answerer: Answerer,
        *,
        limit: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._port = port
        self._answerer = answerer
        self._wall = wall
        self.attempts = Attempts(port.local_id, limit)
        self.counters = DeskCounters()
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._inbox: dict[str, deque[bytes]] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._closed = False

    def open(self) -> None:
        """Begin to take messages, and announce it."""
        self._port.announce(TOPIC)
        self._port.subscribe(TOPIC, self)

    # -- what comes -----------------------------------------------------------------------------------

    def received(self, sender: str, data: memoryview) -> None:
        """A message came. Those of one peer are looked at one after the other, in order."""
        waiting = self._inbox.get(sender)
        if self._closed or len(data) > MAX_ENVELOPE or (waiting is not None and len(waiting) >= MAX_WAITING):
            self.counters.dropped += 1
            return
        if waiting is not None:
            waiting.append(bytes(data))
            return
        self._inbox[sender] = deque([bytes(data)])
        self._readers[sender] = self._loop.create_task(self._read(sender), name=f"litz signaling of {sender}")

    async def _read(self, sender: str) -> None:
        waiting = self._inbox[sender]
        try:
            while waiting:
                try:
                    async with asyncio.timeout(VERIFY_TIMEOUT):
                        message = await self._checked(sender, waiting[0])
                except Exception:
                    # Also what an authenticator of the user's raises: there is no verdict on the proof.
                    self.counters.dropped += 1
                else:
                    self._act(message)
                waiting.popleft()
        finally:
            del self._inbox[sender], self._readers[sender]

    async def _checked(self, sender: str, data: bytes) -> Message:
        """The message, if `sender` made it for us in this session."""
        body, proof = open_envelope(data)
        await self._port.verify(TOPIC, sender, body.encode(), proof)
        message = read_body(body)
        if (message.sender, message.dest) != (sender, self._port.local_id):
            raise ProtocolError("a signaling message of somebody else, or for somebody else")
        if message.session != self._port.session_name(sender):
            raise ProtocolError("a signaling message of another session")
        return message

    def _act(self, message: Message) -> None:
        peer, attempt = message.sender, message.attempt
        match message:
            case Offer():
                self.counters.offers += 1
                self._offered(message)
            case Answer():
                self.counters.answers += 1
                future = self._answers.get(attempt)
                if self.attempts.answered(message) and future is not None and not future.done():
                    future.set_result(message)
            case Refusal():
                if self.attempts.refused(peer, attempt):
                    self._fail(attempt, refusal_error(message))
            case Withdrawal():
                if self.attempts.withdrawn(peer, attempt):
                    self._answerer.give_up(attempt)
                    self.over(peer, attempt)

    def _offered(self, offer: Offer) -> None:
        decision = self.attempts.offered(offer, self._wall())
        if isinstance(decision, Take):
            self._ends[offer.attempt] = self._loop.create_future()
            for old in (decision.replaces, decision.yields):
                if old is not None:
                    self._end(old)
                    self._answerer.give_up(old)
                    self._fail(old, crossed_error(offer.sender))
            self._answerer.take(offer)
        elif isinstance(decision, Refuse):
            self.refuse(offer, decision.reason, decision.retry_after)
        else:
            self.counters.dropped += 1

    def session_began(self, dest: str) -> None:
        """A peer that speaks WebRTC has one more endpoint."""
        self._answerer.peer_came(dest)

    def wires_changed(self, dest: str) -> None:
        """Nothing depends on it."""

    def writable(self, dest: str) -> None:
        """What could not be posted has failed by now; the next dial tries again."""

    def session_ended(self, dest: str) -> None:
        """Offers that wait for an answer will get none."""
        self._answerer.peer_left(dest)
        attempt = self.attempts.session_ended(dest)
        if attempt is not None:
            self._fail(attempt, ConnectError(f"the session with {dest} ended while it was asked", dest=dest))

    # -- dialling -------------------------------------------------------------------------------------

    async def begin(self, dest: str, attempt: str) -> None:
        """Begin an attempt of ours; its owner ends it with `over`. Raises `BusyError` when there are too many, and,
        once it is over, when the peer's own attempt is under way."""
        if self.attempts.mine(dest) is not None:
            raise BusyError(f"{dest} is being dialled by WebRTC already", retry_after=GLARE_RETRY)
        decision = self.attempts.begin(dest, attempt)
        if isinstance(decision, Refuse):
            raise BusyError("too many WebRTC connections are being made", retry_after=decision.retry_after)
        if isinstance(decision, Take):
            await self.peers_attempt_over(dest)
            raise crossed_error(dest)

    async def peers_attempt_over(self, dest: str) -> None:
        """Wait until the attempt of `dest` that we answer, if any, has come to its end."""
        attempt = self.attempts.theirs(dest)
        end = self._ends.get(attempt) if attempt is not None else None
        if end is not None:
            await asyncio.shield(end)

    async def ask(self, dest: str, attempt: str, sdp: str, fingerprint: str) -> Answer:
        """Post the offer of an attempt and return the answer. Raises a `LitzError` when there will be none."""
        if self.attempts.mine(dest) != attempt:
            raise crossed_error(dest)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answers[attempt] = answer
        try:
            self._post(
                Offer(
                    version=VERSION,
                    sender=self._port.local_id,
                    dest=dest,
                    session=self._port.session_name(dest),
                    attempt=attempt,
                    expires=self._expires(),
                    fingerprint=fingerprint,
                    sdp=sdp,
                )
            )
            return await answer
        finally:
            del self._answers[attempt]

    def withdraw(self, dest: str, attempt: str) -> None:
        """Tell the peer that our attempt is over. Says nothing when there is no session any more."""
        with contextlib.suppress(LitzError):
            self._post(
                Withdrawal(
                    version=VERSION,
                    sender=self._port.local_id,
                    dest=dest,
                    session=self._port.session_name(dest),
                    attempt=attempt,
                )
            )

    # -- answering ------------------------------------------------------------------------------------

    def answer(self, offer: Offer, sdp: str, fingerprint: str) -> None:
        """Post the answer. Raises `ConnectError` when the session it belongs to is over."""
        self._post(
            Answer(
                version=VERSION,
                sender=self._port.local_id,
                dest=offer.sender,
                session=offer.session,
                attempt=offer.attempt,
                expires=self._expires(),
                fingerprint=fingerprint,
                sdp=sdp,
            )
        )

    def refuse(self, offer: Offer, reason: Reason, retry_after: float = 0.0) -> None:
        """Say that there will be no answer. Says nothing when the session is over."""
        with contextlib.suppress(LitzError):
            self._post(
                Refusal(
                    version=VERSION,
                    sender=self._port.local_id,
                    dest=offer.sender,
                    session=offer.session,
                    attempt=offer.attempt,
                    reason=reason,
                    retry_after_ms=round(retry_after * 1000),
                )
            )

    # -- ends -----------------------------------------------------------------------------------------

    def over(self, peer: str, attempt: str) -> None:
        """The attempt has made a connection, or has failed."""
        self.attempts.over(peer, attempt)
        self._end(attempt)

    def _end(self, attempt: str) -> None:
        end = self._ends.pop(attempt, None)
        if end is not None and not end.done():
            end.set_result(None)

    def _fail(self, attempt: str, error: LitzError) -> None:
        future = self._answers.get(attempt)
        if future is not None and not future.done():
            future.set_exception(error)

    def _expires(self) -> int:
        return int(self._wall()) + OFFER_LIFE

    def _post(self, message: Message) -> None:
        if message.session != self._port.session_name(message.dest):
            raise ConnectError(f"the session with {message.dest} is over", dest=message.dest)
        body = body_of(message)
        proof = self._port.sign(TOPIC, message.dest, body.encode())
        if not self._port.post(message.dest, TOPIC, seal_envelope(body, proof)):
            raise ConnectError(f"no message can be posted to {message.dest} now", dest=message.dest)

    async def aclose(self) -> None:
        """Take nothing more, and end what reads. Attempts are ended by who owns them."""
        self._closed = True
        readers = list(self._readers.values())
        for task in readers:
            task.cancel()
        if readers:
            await asyncio.wait(readers)
        for attempt in list(self._ends):
            self._end(attempt)


def crossed_error(dest: str) -> BusyError:
    """For whoever waits for an offer of ours that does not count."""
    return BusyError(
        f"{dest} offered a WebRTC connection at the same time, and its offer counts", retry_after=GLARE_RETRY
    )


def refusal_error(refusal: Refusal) -> LitzError:
    """What a refusal means to who offered."""
    after = refusal.retry_after_ms / 1000
    match refusal.reason:
        case "busy":
            return BusyError(f"{refusal.sender} makes too many WebRTC connections at once", retry_after=after)
        case "expired":
            return BusyError(
                f"{refusal.sender} takes our offers for old ones: set the clocks of both nodes", retry_after=MAX_LIFE
            )
        case "unfit":
            return IncompatibleError(f"{refusal.sender} cannot use our WebRTC description")
        case _:
            return ConnectError(f"{refusal.sender} could not make its side of a connection", dest=refusal.sender)
