"""The checker: it stands outside of litz, at the stores, the users and the handlers, and compares what they saw."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from litz.message import Message
from outproc.outbox.producer import Producer
from outproc.outbox.store import Key
from tests.simulation.durable.record import InvariantError, Sent, payload, uid_of

if TYPE_CHECKING:
    from tests.simulation.durable.process import Process
    from tests.simulation.durable.world import World

FIRST_MINUTE: Final = 60.0
LONGEST_GRACE: Final = 3600.0


class Checker:
    """See the module; `record` has the invariants."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent: list[Sent] = []
        self.done: dict[str, dict[int, None]] = {}
        """Of each dest the messages whose position its inbox has committed."""
        self._numbers: dict[tuple[str, Key], dict[int, int]] = {}
        """Of each dest and producer: number -> uid of what was handed out."""
        self._firsts: dict[tuple[str, str], int] = {}
        """Of each pair the last message that was handed out for the first time."""
        self.buried: dict[int, None] = {}
        """Messages that became dead letters in some copy of their file."""
        self.handled = 0

    # -- the user ---------------------------------------------------------------------------------------

    def new(self, process: Process, dest: str, size: int, key: str) -> Sent:
        uid = len(self.sent)
        sent = Sent(uid, process, dest, payload(uid, size), key, self.world.loop.time())
        self.sent.append(sent)
        return sent

    def accepted(self, sent: Sent, *, confirmed: bool) -> None:
        """`send` returned."""
        if sent.uid not in sent.process.ledger.ever:
            raise InvariantError("committed", f"{sent}: send returned, and it is not in the file")
        if confirmed and sent.uid not in self.done.get(sent.dest, {}):
            raise InvariantError("committed", f"{sent} is confirmed, and {sent.dest} has not committed it")
        sent.state = "accepted"

    # -- the handler ------------------------------------------------------------------------------------

    def handed(self, process: Process, message: Message) -> Sent:
        """A handler begins."""
        uid = uid_of(message.data)
        if uid >= len(self.sent):
            raise InvariantError("intact", f"{process} got {message.data[:20]!r}")
        sent, marked, world = self.sent[uid], message.redelivered, self.world
        got = (message.data, message.key or "", message.sender, process.name)
        if got != (sent.data, sent.key, sent.process.name, sent.dest):
            raise InvariantError("intact", f"{process} got {got[1:]} {len(got[0])} bytes as {sent}")
        if sent.state == "refused":
            raise InvariantError("intact", f"{sent} was refused, and {process} got it")
        self._check_mark(sent, process, marked=marked)
        source = message.source
        assert isinstance(source, Producer)
        self._numbers.setdefault((process.name, source.key), {})[message.number] = uid
        pair = sent.process.name, sent.dest
        # What was a dead letter comes again only from an older copy of the file, late.
        late = sent.retried or uid in self.buried
        if not sent.handed and not late and sent.process.name not in world.two_heads:
            last = self._firsts.get(pair, -1)
            if uid < last:
                raise InvariantError("in-order", f"{process} got {sent} after message {last}")
            self._firsts[pair] = uid
        sent.handed.append((process, marked, world.loop.time()))
        world.hits["handed out again"] += len(sent.handed) > 1
        world.hits["marked"] += marked
        self.handled += 1
        return sent

    def _check_mark(self, sent: Sent, process: Process, *, marked: bool) -> None:
        # Of two processes of one id that live at once, the one that it was sent to first may hand it out last; also the
        # newer one, if the older was frozen and is heard again.
        first = all(before_marked and at >= process.began for _, before_marked, at in sent.handed)
        if not first and not marked and sent.process.name not in self.world.restored:
            raise InvariantError("marked", f"{process} got {sent} again, and it is not marked")
        # A sender whose file is an older copy cannot know what was transmitted since.
        may_repeat = sent.again or sent.retried
        if not may_repeat and any(before is process for before, _, _ in sent.handed):
            raise InvariantError("marked", f"{process} got {sent} twice")
        if marked and not may_repeat:
            # Of a restart the sender may hear late: until then it sends to a process that is over.
            lives = [each for each in self.world.processes if each.name in (sent.dest, sent.process.name)]
            if len(lives) == 2:
                raise InvariantError("explained", f"{sent} is marked at {process}, and nobody restarted")

    # -- the stores -------------------------------------------------------------------------------------

    def position(self, dest: str, key: Key, committed: int) -> None:
        """The inbox of `dest` has written a position."""
        done = self.done.setdefault(dest, {})
        for number, uid in self._numbers.get((dest, key), {}).items():
            if number <= committed:
                done[uid] = None

    def deleted(self, process: Process, uid: int, dest: str) -> None:
        """A row has left the outbox, and is no dead letter."""
        if self._buried_elsewhere(process.name, uid):
            return
        if uid not in self.done.get(dest, {}):
            raise InvariantError("deleted-late", f"{process} deleted {self.sent[uid]}, and {dest} has not committed it")

    def expired(self, process: Process, age: float, rest: float) -> None:
        """A row has become a dead letter because of its age."""
        run = self.world.loop.time() - process.began
        if age < self.world.plan.max_age:
            raise InvariantError("dead-letters", f"{process} let a message die of age at {age:.1f} s")
        if run < max(FIRST_MINUTE, min(rest, LONGEST_GRACE)):
            raise InvariantError("dead-letters", f"{process} let one die of age {run:.1f} s after a rest of {rest:.1f}")

    def attempts(self, process: Process, uid: int) -> None:
        """A row has become a dead letter because of its receiver's deaths."""
        sent, world = self.sent[uid], self.world
        deaths = max(
            sum(each.name == sent.dest and each.began > sent.sent_at for each in world.processes),
            # Who was not heard of yet may have died before it was sent: for all that the sender knows, at that message.
            process.ledger.deaths(sent.dest, sent.sent_at),
        )
        # Of two processes that live at once each takes over from the other.
        if deaths < world.plan.max_attempts and sent.dest not in world.two_heads:
            raise InvariantError("dead-letters", f"{process} gave {sent} up after {deaths} deaths of its receiver")

    def too_large(self, process: Process, uid: int) -> None:
        """A row has become a dead letter because of its size."""
        sent = self.sent[uid]
        if len(sent.data) <= min(each.max_message for each in self.world.processes if each.name == sent.dest):
            raise InvariantError("dead-letters", f"{process} gave {sent} up, which is not too large")

    # -- the end ----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Everything is delivered, and everybody closed."""
        dead: Counter[int] = Counter()
        for name in self.world.plan.names:
            for data, reason, _ in self.world.outboxes[name].dead():
                dead[uid_of(data)] += 1
                self.world.hits[f"dead: {reason}"] += 1
        effects: Counter[int] = Counter()
        for name in self.world.plan.names:
            effects.update(self.world.inboxes[name].effects())
        for sent in self.sent:
            elsewhere = self._buried_elsewhere(sent.process.name, sent.uid)
            self._judge(sent, dead[sent.uid] > 0 or elsewhere, effects[sent.uid])

    def _buried_elsewhere(self, name: str, uid: int) -> bool:
        """Whether it became a dead letter in another copy of the file, which then sent what is behind it."""
        return uid in self.buried and name in self.world.two_heads | self.world.restored

    def _judge(self, sent: Sent, dead: bool, effects: int) -> None:
        if sent.state == "accepted" and not (sent.handed or dead or sent.excused):
            raise InvariantError("none-lost", f"{sent} is lost")
        again = sent.again or sent.retried
        if effects > 1 and not again:
            raise InvariantError("effect-once", f"the effect of {sent} is there {effects} times")
        if sent.handed and not (effects or sent.plain or dead or sent.excused):
            raise InvariantError("effect-once", f"the effect of {sent} is missing")
