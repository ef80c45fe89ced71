"""Seeds whose nodes resend what a restart left open: what is drawn for them, and what the checker knows of it.

A message has a chain of receipts then, one for each session that was to send it; the sender's events tell them.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from litz.events import Outcome, ResentReceipt, SessionEnded
from litz.message import Channel, Message, Origin, Receipt
from litz.payload import PayloadType
from litz.restarts import RESENT_AFTER, OnRestart, resends
from outproc.options import TransportOptions
from outproc.session.session import Session
from tests.simulation.managers.record import InvariantError, Sent

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

RESENDING: Final = 6
"""The hundred thousands of the seeds that have it: 600,000 to 699,999, and so in each million."""
RESTARTS: Final = {"restart higher": 6.0, "restart lower": 3.0, "outage": 1.0, "close transport": 0.7}
"""What they have more of."""
HITS: Final = ("resent UNKNOWN", "resent NEVER_ACCEPTED", "resent again", "came marked", "came again, marked")
"""What a run over them must have hit at least once."""
LANES: Final = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)


def draw_resends(
    seed: int, options: dict[str, TransportOptions], faults: dict[str, float]
) -> tuple[dict[str, TransportOptions], dict[str, float]]:
    """The options and faults of a seed, with policies and restarts where it has them. Chance of its own."""
    if seed // 100_000 % 10 != RESENDING:
        return options, faults
    rng = Random(f"managers plan, resends {seed}")
    drawn: dict[str, TransportOptions] = {}
    for name, each in options.items():
        other: OnRestart = "surface" if rng.random() < 0.2 else "resend"
        policy = other if rng.random() < 0.7 else {rng.choice(sorted(options)): "resend", "*": other}
        drawn[name] = each.model_copy(update={"on_restart": policy})
    return drawn, {**faults, **RESTARTS}


class Resends:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._after: dict[tuple[Life, Receipt], ResentReceipt] = {}
        self._into: dict[tuple[Life, Receipt], ResentReceipt] = {}
        self._origins: dict[Sent, Origin] = {}

    def ended(self, life: Life, event: SessionEnded) -> None:
        """A session of `life` ended, at this moment."""
        numbers: dict[int, list[int]] = {}
        for entry in event.resent:
            if not resends(life.options.on_restart, event.dest, event.reason) or event.reason not in RESENT_AFTER:
                self._fail("loud", f"{life} resends {entry} after {event.reason}")
            if entry.receipt[0].lane not in LANES or entry.again[0].session != event.session + 1:
                self._fail("loud", f"{life} resends {entry}")
            numbers.setdefault(entry.receipt[0].lane, []).append(entry.receipt[1])
            if entry.again[1] != len(numbers[entry.receipt[0].lane]) - 1:
                self._fail("in-order", f"{life} resends {entry} behind something else")
            self._after[life, entry.receipt] = self._into[life, entry.again] = entry
            self.world.hits[f"resent {entry.outcome.name}"] += 1
            self.world.hits["resent again"] += (life, entry.receipt) in self._into
        for lane, listed in numbers.items():
            if listed != sorted(set(listed)):
                self._fail("in-order", f"{life} resends {listed} of lane {lane}")

    def _fail(self, name: str, detail: str) -> None:
        self.world.failed(InvariantError(name, detail))  # the node would take it for an error of its own

    def receipts(self, life: Life, receipt: Receipt) -> list[Receipt]:
        """All receipts of the message that was accepted under this one, the latest last."""
        chain = [receipt]
        while (entry := self._after.get((life, chain[-1]))) is not None:
            chain.append(entry.again)
        return chain

    def numbers(self, sent: Sent) -> list[int]:
        """Under which numbers it may come; none: its receipt is not known (yet)."""
        return [number for _, number in self.receipts(sent.life, sent.receipt)] if sent.receipt is not None else []

    def again_here(self, sent: Sent, message: Message) -> bool:
        """Whether a consumer of the same process had it already, in the same session."""
        session = session_of(message)
        return message.redelivered and any(each is session for each in sent.sessions)

    def came_before(self, life: Life, sent: Sent) -> bool:
        """Whether it was handed out before, so that now it has to be marked. Of two live processes of one id the one
        that it was sent to first may hand it out last."""
        return sent.unmarked or any(each is life for each, _, _ in sent.handed)

    def handed(self, life: Life, sent: Sent, message: Message) -> None:
        """It was handed out, in this session for the first time."""
        session, origin = session_of(message), message.origin
        if any(each is session for each in sent.sessions):
            raise InvariantError("exactly-once", f"{life} got {sent!r} twice in one session")
        assert session.pair is not None
        here = Origin(str(session.pair.yours.incarnation), session.pair.yours.counter, sent.lane, message.number)
        if message.is_request and self._explained(life, sent, message, *Outcome):
            raise InvariantError("exactly-once", f"{life} got {sent!r}, a request that was sent again by itself")
        if message.redelivered:
            self._marked(life, sent, message)
            if origin.session >= here.session or origin.incarnation != here.incarnation or origin.lane != here.lane:
                raise InvariantError("exactly-once", f"{life} got {sent!r}, of {here}, with the origin {origin}")
        else:
            sent.unmarked = True
        if not message.redelivered and origin != here:
            raise InvariantError("exactly-once", f"{life} got {sent!r}, which is not marked, with the origin {origin}")
        if self._origins.setdefault(sent, origin) != origin:
            raise InvariantError("exactly-once", f"{life} got {sent!r} as {origin}, before as {self._origins[sent]}")
        sent.sessions.append(session)

    def _marked(self, life: Life, sent: Sent, message: Message) -> None:
        """Something must explain the mark: the sender said that it resends this, and does not know if it came."""
        self.world.hits["came marked"] += 1
        self.world.hits["came again, marked"] += bool(sent.handed)
        if not self._explained(life, sent, message, Outcome.UNKNOWN):
            raise InvariantError("exactly-once", f"{life} got {sent!r} marked, and nothing explains it")
        if sent.receipt is None:
            return
        steps = [self._after[sent.life, each] for each in self.receipts(sent.life, sent.receipt)[:-1]]
        first = next((step.receipt[1] for step in steps if step.outcome is Outcome.UNKNOWN), None)
        if message.origin.number != first:
            raise InvariantError(
                "exactly-once", f"{life} got {sent!r} of {message.origin}, it was first sent as {first}"
            )

    def _explained(self, life: Life, sent: Sent, message: Message, *outcomes: Outcome) -> bool:
        """Whether the sender said that it resends the message of that number in that session, with one of these
        outcomes."""
        pair = session_of(message).pair
        assert pair is not None
        index = sent.life.halves.get((life.name, pair.yours.counter))
        if index is None:
            raise InvariantError("loud", f"{life} got {sent!r} in a session that its sender never told of")
        entry = self._into.get((sent.life, (Channel(life.name, index, sent.lane), message.number)))
        return entry is not None and entry.outcome in outcomes

    def check_told(self, sent: Sent, latest: Receipt, lives: list[Life]) -> None:
        """What was resent, and is neither lost nor dropped, came in the session that it was resent to, if the process
        at the other end lived on. For a message that came before, too: who resends must."""
        if latest == sent.receipt:
            return
        where = sent.life.pairs.get((sent.dest, latest[0].session))
        there = [life for life in lives if life.name == sent.dest and life.incarnation == where and not life.ended]
        for life in there:
            if not any(each is life and number == latest[1] for each, _, number in sent.handed):
                raise InvariantError("loud", f"{sent!r} was resent as {latest!r} to {life}, and did not come")


def session_of(message: Message) -> Session:
    """In which session a message came."""
    session: Session = message.source.session  # type: ignore[attr-defined]  # of a SessionSource
    return session
