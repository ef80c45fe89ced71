"""Two or three nodes that signal over sessions which restart, and an eavesdropper who plays offers again.

The real machine (`outproc.signaling.attempts`) runs at each node; everything around it (posting, answering, deadlines,
connections that open or fail) is played here, step by step, from one seed.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from outproc.signaling.attempts import Attempts, Refuse, Take
from outproc.signaling.messages import Answer, Message, Offer, Refusal, Withdrawal

PRINT = ":".join(["AB"] * 32)


class InvariantError(AssertionError):
    """`invariant` names what was broken."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


@dataclass
class Node:
    """One node: its machine, and what its driver knows."""

    name: str
    life: int
    attempts: Attempts
    building: dict[str, str] = field(default_factory=dict)
    """Peer -> our attempt, from `begin` to the end of the build."""
    waiting: dict[str, str] = field(default_factory=dict)
    """Peer -> the peer's attempt, whose end a build of ours waits for."""
    answering: dict[str, str] = field(default_factory=dict)
    """Attempt -> peer: taken, and not over."""
    posted: set[str] = field(default_factory=set)
    """Attempts of peers whose answer was posted."""
    answered: set[str] = field(default_factory=set)
    """Our attempts whose answer came."""
    taken: set[str] = field(default_factory=set)


class World:
    """All nodes, links and what happened. `now` is wall time."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 1_000_000.0
        self.hits: Counter[str] = Counter()
        self.names = ("a", "b", "c")[: self.rng.choice((2, 2, 3))]
        self.lives = 0
        self.limit = self.rng.choice((1, 2))
        self.nodes = {name: self._new(name) for name in self.names}
        self.links: dict[tuple[str, str], deque[Message]] = {
            (one, other): deque() for one in self.names for other in self.names if one != other
        }
        self.heard: list[Message] = []
        self.connections: list[tuple[str, str, str]] = []
        """(offerer, answerer, attempt) of each that opened."""
        self.serial = 0

    def _new(self, name: str) -> Node:
        self.lives += 1
        return Node(name, self.lives, Attempts(name, self.limit))

    # -- what drivers do ------------------------------------------------------------------------------

    def want(self, name: str, peer: str) -> None:
        node = self.nodes[name]
        if peer in node.building or peer in node.waiting:
            return
        self.serial += 1
        attempt = f"{self.serial:032x}"
        decision = node.attempts.begin(peer, attempt)
        if isinstance(decision, Take):
            self.hits["begin waits"] += 1
            node.waiting[peer] = decision.attempt
        elif isinstance(decision, Refuse):
            self.hits["begin refused"] += 1
        else:
            node.building[peer] = attempt
            offer = Offer(**self._fields(name, peer, attempt), expires=int(self.now) + 30, fingerprint=PRINT, sdp="v=0")
            self.post(offer)
        self.check(node)

    def _fields(self, name: str, peer: str, attempt: str) -> dict[str, Any]:
        return {"version": 1, "sender": name, "dest": peer, "session": "", "attempt": attempt}

    def end_build(self, name: str, peer: str, *, withdraw: bool = False) -> None:
        """A build of ours ended, by its deadline, by cancel, by refusal or because it made a connection."""
        node = self.nodes[name]
        attempt = node.building.pop(peer)
        node.attempts.over(peer, attempt)
        if withdraw:
            self.post(Withdrawal(**self._fields(name, peer, attempt)))
        self.check(node)

    def end_answer(self, name: str, attempt: str) -> None:
        node = self.nodes[name]
        peer = node.answering.pop(attempt)
        node.attempts.over(peer, attempt)
        for waiter in [each for each, waited in node.waiting.items() if waited == attempt]:
            del node.waiting[waiter]
        self.check(node)

    def post_answer(self, name: str, attempt: str) -> None:
        node = self.nodes[name]
        if attempt in node.posted:
            return
        node.posted.add(attempt)
        peer = node.answering[attempt]
        self.post(Answer(**self._fields(name, peer, attempt), expires=int(self.now) + 30, fingerprint=PRINT, sdp="v=0"))

    def open(self, name: str, peer: str) -> bool:
        """The connection of our attempt opens at both sides, if both have described it and neither gave up."""
        node, other = self.nodes[name], self.nodes[peer]
        attempt = node.building.get(peer)
        if attempt is None or attempt not in node.answered or attempt not in other.posted & set(other.answering):
            return False
        self.connections.append((name, peer, attempt))
        self.end_build(name, peer)
        self.end_answer(peer, attempt)
        return True

    # -- messages -------------------------------------------------------------------------------------

    def post(self, message: Message) -> None:
        self.heard.append(message)
        self.links[message.sender, message.dest].append(message)

    def deliver(self, sender: str, receiver: str) -> None:
        link = self.links[sender, receiver]
        if link:
            self.take(receiver, link.popleft())

    def take(self, name: str, message: Message) -> None:
        node, peer, attempt = self.nodes[name], message.sender, message.attempt
        if isinstance(message, Offer):
            self._take_offer(node, message)
        elif isinstance(message, Answer):
            if node.attempts.answered(message):
                if attempt in node.answered:
                    raise InvariantError("answered-once", f"{name} took two answers to {attempt}")
                node.answered.add(attempt)
        elif isinstance(message, Refusal):
            if node.attempts.refused(peer, attempt):
                if node.building.get(peer) != attempt:
                    raise InvariantError("right-attempt", f"a refusal of {attempt} ended {node.building.get(peer)}")
                self.end_build(name, peer)
        elif node.attempts.withdrawn(peer, attempt):
            self.hits["withdrawn"] += 1
            self.end_answer(name, attempt)
        self.check(node)

    def _take_offer(self, node: Node, offer: Offer) -> None:
        peer, attempt = offer.sender, offer.attempt
        decision = node.attempts.offered(offer, self.now)
        self.hits[type(decision).__name__ + getattr(decision, "why", "") + getattr(decision, "reason", "")] += 1
        if isinstance(decision, Refuse):
            self.post(Refusal(**self._fields(node.name, peer, attempt), reason=decision.reason, retry_after_ms=0))
        elif isinstance(decision, Take):
            if attempt in node.taken:
                raise InvariantError("no-replay", f"{node.name} took {attempt} twice")
            node.taken.add(attempt)
            node.answering[attempt] = peer
            if decision.replaces is not None:
                self.hits["replaced"] += 1
                self.end_answer(node.name, decision.replaces)
            if decision.yields is not None:
                self.hits["yielded"] += 1
                del node.building[peer]
                node.waiting[peer] = attempt

    # -- faults ---------------------------------------------------------------------------------------

    def restart_session(self, one: str, other: str) -> None:
        """The session ends at both sides, and what was under way in it is lost."""
        self.hits["session restarted"] += 1
        for name, peer in ((one, other), (other, one)):
            self.links[name, peer].clear()
        for name, peer in ((one, other), (other, one)):
            node = self.nodes[name]
            attempt = node.attempts.session_ended(peer)
            if attempt is not None:
                self.hits["offer lost with its session"] += 1
                self.end_build(name, peer)

    def restart_node(self, name: str) -> None:
        """It forgets everything, and all its sessions restart."""
        self.hits["node restarted"] += 1
        self.nodes[name] = self._new(name)
        for peer in self.names:
            if peer != name:
                self.restart_session(name, peer)

    def replay(self) -> None:
        if self.heard:
            message = self.rng.choice(self.heard[-30:])
            if self.nodes[message.dest].life == 1 + self.names.index(message.dest):
                # Into a new life it does not come: it would be in another session.
                self.hits["played again"] += 1
                self.take(message.dest, message)

    # -- what must hold -------------------------------------------------------------------------------

    def check(self, node: Node) -> None:
        if len(node.attempts) > self.limit:
            raise InvariantError("bounded", f"{node.name} has {len(node.attempts)} attempts")
        for peer in self.names:
            mine, theirs = node.attempts.mine(peer), node.attempts.theirs(peer)
            if mine is not None and theirs is not None:
                raise InvariantError("one-attempt", f"{node.name} offers to {peer} and answers it")
            if mine != node.building.get(peer):
                raise InvariantError("no-orphan", f"{node.name} builds {node.building.get(peer)}, machine says {mine}")
            if theirs is not None and theirs not in node.answering:
                raise InvariantError("no-orphan", f"{node.name} answers {theirs}, and nobody does")
