"""Dials one dest: asks where it is, races its endpoints, and dials again what broke.

All dials are tasks of the node. Who waits for a dial waits for a *round*, which nobody's cancel disturbs (P3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from litz.errors import Attempt, ConnectError, LitzError, WireClosedError
from litz.events import ConnectFailed
from litz.wire import Endpoint
from outproc.accept_grace import AcceptGrace
from outproc.addressing import Resolution
from outproc.connect_errors import closed_meanwhile, gave_up, nowhere, unreached
from outproc.dial_attempt import Dial, Resolver
from outproc.dial_gate import DialGate
from outproc.frames.records import LeaveReason
from outproc.link import Link, LinkOwner
from outproc.local_node import LocalNode
from outproc.look_ups import LookUps
from outproc.pool import Pool
from outproc.round_verdict import verdict
from outproc.rounds import Rounds
from outproc.supervisor import Supervisor, backoff_for, redial_of


class DialOwner(LinkOwner, Protocol):
    """The transport, as its dialler sees it."""

    def provided_kinds(self) -> frozenset[str]:
        """The kinds of wire that the peer has dialled and that are up: those are not dialled."""

    def is_full(self) -> bool:
        """Whether there are as many wires as there may be: then only who asks gets a dial, for it costs a wire (P4)."""

    def gave_up(self, why: str) -> None:
        """Nothing is dialled by itself any more: the budget of the dest is used up."""


class Dialler:
    """The dialling side of one transport. Does nothing until it is `wanted`."""

    def __init__(
        self,
        node: LocalNode,
        dest: str,
        *,
        resolver: Resolver,
        owner: DialOwner,
        gate: DialGate,
    ) -> None:
        options = node.options
        redial = redial_of(node, dest)
        backoff = backoff_for(node, redial)
        self._node = node
        self._dest = dest
        self._resolver = resolver
        self._owner = owner
        self._gate = gate
        self._provided = owner.provided_kinds
        self.pool: Pool[Link] = Pool(
            node.environment.rng,
            backoff=backoff,
            upgrade_cap=options.upgrade_cap,
            stagger=options.stagger,
            stable_after=options.stable_after,
            cold_probe=options.cold_probe,
            backoff_of=lambda endpoint: backoff_for(node, redial, resolver.pace(endpoint)),
        )
        self.supervisor = Supervisor(node, dest, self.pool, redial, self._next_attempt)
        self._release = node.timers.timer(self._released)
        self._grace = AcceptGrace(options.accept_grace)
        self._dials: dict[Endpoint, asyncio.Task[None]] = {}
        self._proved_early: dict[Link, bool] = {}
        self.look_ups = LookUps(node, dest, resolver, backoff, self._answered)
        self._rounds = Rounds(node.loop)
        self.rests_until = 0.0  # nothing is dialled by itself before: the peer said when it is back
        self.wanted = False
        self.asked_for = False  # whether anybody here ever asked for the dest, and not only the peer for us
        self.closed = False
        self.latest_failure: ConnectError | None = None

    # -- rounds -------------------------------------------------------------------------------------

    def start_round(self, kind: str | None = None) -> asyncio.Future[None]:
        """Dial all that is not up (of one kind, or of all), whatever the backoff says, and return the future of the
        outcome: set when a wire (of that kind) is up, ConnectError when every endpoint has failed, or at once when this
        was closed. Shared by those who ask for the same; wait for it behind `shield`."""
        if self.closed:
            return self._rounds.refused(closed_meanwhile(self._dest))
        self.wanted = self.asked_for = True
        outcome, begins = self._rounds.join(kind)
        if self._rounds.hurry(kind) or begins:
            self.supervisor.afresh("somebody here asked for it")
            self.pool.interrupt(self._node.now(), kind)
            self._let_go(self._node.now(), self._grace.over(float("inf")))
            self._gate.hurry(self._dest)
            self.look_up()
        return outcome

    def next_round(self) -> asyncio.Future[None]:
        """As `start_round`, but without hurry: each endpoint is dialled in its own time, and the outcome is set when a
        wire is up, or each of them has failed once more."""
        if self.closed:
            return self._rounds.refused(closed_meanwhile(self._dest))
        return self._rounds.join_calmly(self.pool.tally())

    def _failed(self, error: ConnectError, kind: str | None = None) -> None:
        """The round for `kind` is over, if there is one: say so to those who wait, and to those who watch."""
        self.latest_failure = error
        self._rounds.end(kind, error)
        self._node.emit(ConnectFailed(self._dest, error, self.supervisor.retry_in()))

    def _in_vain(self, error: Exception) -> bool:
        """A dial failed, or asking where the dest is. True: that was the last one of its budget."""
        if self.pool.ready or self._provided():
            return False
        self.supervisor.failed(error)
        tried = self.pool.all_failed()
        why = self.supervisor.spent() if tried or not self.pool.slots else ""
        if why:
            failure = gave_up(self._dest, why, [*tried, *self.look_ups.failures], error)
            self.supervisor.give_up(why, failure)
            self._halt(failure)
            self._owner.gave_up(why)
        return bool(why)

    def _settle_rounds(self) -> None:
        """End rounds in which nothing is left to try: all is up already, or what is not up has failed."""
        if self.look_ups.tasks:
            return
        for kind in self._rounds.open:
            over = verdict(self.pool.slots, self._provided(), kind)
            if over is True:
                self._rounds.end(kind, None)
            elif over is not False and (kind is not None or self._rounds.calm is None):
                sort = f" by a wire of kind {kind}" if kind is not None else ""
                attempts = [*over, *self.look_ups.failures]
                self._failed(unreached(f"cannot reach {self._dest}{sort}", self._dest, attempts), kind)

    def look_up(self) -> None:
        """Ask where the dest is, unless that is under way."""
        if not self.closed:
            self.look_ups.ask()

    def _answered(self, resolution: Resolution) -> None:
        """What is known of where the dest is."""
        endpoints, failures = resolution.endpoints, resolution.failures
        if endpoints:
            if not resolution.complete:
                # Who did not answer now may have named these before.
                endpoints = [*endpoints, *(slot.endpoint for slot in self.pool.slots if slot.listed)]
            if self.pool.set_endpoints(endpoints, self._node.now()) and self.supervisor.rests and self.wanted:
                self.supervisor.afresh("it has a new endpoint")
            self.look_ups.proved()
        elif not self.pool.slots:
            error = nowhere(self._dest, failures)
            if self.asked_for or failures:
                # Also of a peer that came by itself: a directory that failed does not say that it has no endpoints.
                self.look_ups.in_vain(self.pool.until_probe() if self.pool.cold else 0.0)
                if self._in_vain(error):
                    return
            for kind in self._rounds.open:
                self._failed(error, kind)
        self.pump()

    def _next_due(self) -> float | None:
        """When `check` has something to do: dial, or ask again where the dest is as long as nothing is known of it or
        nothing known leads there."""
        if self.pool.slots:
            due = self.pool.next_due()
            every = self._ask_every()
            if every is not None:
                again = self.look_ups.asked_at + every
                due = again if due is None else min(due, again)
            return due
        return None if self._provided() else self.look_ups.due

    def _next_attempt(self) -> float | None:
        """When something is tried next by itself; now, while it is."""
        if self._dials or self.look_ups.tasks:
            return self._node.now()
        due = self._next_due() if self.wanted and not self.supervisor.gave_up else None
        return None if due is None else max(due, self.rests_until)

    def _gives_no_answer(self) -> bool:
        """Whether all that is known was tried in vain. While that is asked, or within a round, nothing more is due."""
        return not self.look_ups.tasks and not self._rounds.asked and bool(self.pool.all_failed())

    def _ask_every(self) -> float | None:
        """It may have moved: seconds between two look-ups, however long what fails is left alone. None: no need."""
        if self._gives_no_answer():
            seldom = self._node.options.cold_probe if self.supervisor.rests else 0.0
            return max(self.look_ups.cap, seldom)
        return self._node.options.upgrade_cap if not self.look_ups.tasks and self.pool.keeps_failing() else None

    # -- dialling -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start what is due, and set the timer to what is due next."""
        if self.closed or not self.wanted:
            return
        now = self._node.now()
        resting = now < self.rests_until
        if (resting or self._owner.is_full()) and not self._rounds.open:
            self._node.health.schedule(self, self.rests_until if resting else None)  # or until a wire is lost
            return
        for endpoint in self.pool.begin(now):
            self._dials[endpoint] = self._node.spawn(self._dial(endpoint), f"litz dial {self._dest} {endpoint}")
        self._settle_rounds()
        self._node.health.schedule(self, self._next_due())

    def check(self, now: float, lag: float) -> float | None:
        """The health check says that a dial is due."""
        if self.closed or not self.wanted:
            return None
        if not self.pool.slots or self._gives_no_answer():
            self.look_up()  # the answer leads to the next dial
            return None
        every = self._ask_every()
        if every is not None and self.look_ups.asked_at + every <= now:
            self.look_up()
        self.pump()
        return None

    async def _dial(self, endpoint: Endpoint) -> None:
        if endpoint.kind in self.pool.held or (self._node.now() < self.rests_until and not self._rounds.open):
            # The peer's wire, or its goodbye until later, came in the turn in which this dial was decided.
            self._dials.pop(endpoint, None)
            self.pool.cancelled(endpoint, self._node.now())
            self.pump()
            return
        error: Exception | None = None
        dial = Dial(self._node, self._owner, self._resolver, self._dest, endpoint)
        try:
            await dial.run(self._gate.turn(self._dest, asked=self._rounds.asked))
        except asyncio.CancelledError:
            self._dials.pop(endpoint, None)
            self.pool.cancelled(endpoint, self._node.now())
            if dial.link is not None:
                self._proved_early.pop(dial.link, None)
                dial.link.abort()
            raise
        except Exception as cause:  # also what builders should not raise: retrying is the default (see `classify`)
            error = cause
        self._dials.pop(endpoint, None)
        self._dialled(endpoint, dial.link, error)

    def _dialled(self, endpoint: Endpoint, link: Link | None, error: Exception | None) -> None:
        now = self._node.now()
        if error is None and link is not None:
            early = self._proved_early.pop(link, False)
            if not self.pool.built(endpoint, link, now):
                link.close()
            else:
                if early:
                    self.pool.proved(link)
                if not link.in_session:
                    self.lost(link)
            self._rounds.up(endpoint.kind)
        else:
            if link is not None:
                self._proved_early.pop(link, None)
                link.abort()
            if isinstance(error, TimeoutError) and not str(error):
                error = TimeoutError(f"no answer within {self._node.options.dial_timeout:g} s")
            assert error is not None
            self.pool.failed(endpoint, error, now)
            if self._in_vain(error):
                return
            attempts = self.pool.all_failed()
            calm = self._rounds.calm
            if attempts and (calm is None or self.pool.failed_since(calm)):
                attempts += self.look_ups.failures
                failure = unreached(f"cannot reach {self._dest}", self._dest, attempts)
                failure.__cause__ = error
                self._failed(failure)
                self._rounds.fail(failure)
        self.pump()

    # -- news of wires ------------------------------------------------------------------------------

    def joined(self, link: Link) -> None:
        """A wire joined. One that the peer dialled makes ours of that kind superfluous."""
        if not link.dependable:
            self.pool.weak |= {link.wire.kind}
        if not link.dialled:
            self._grace.came(link.wire.kind)
            self._hold()
        elif link.outcome is not None and not link.outcome.done():
            link.outcome.set_result(None)
        if self.supervisor.gave_up:
            self.wanted = self.asked_for
        self.supervisor.up()
        self._rounds.up(link.wire.kind)
        self.pump()

    def proved(self, link: Link) -> None:
        """The peer has answered to something sent on it: when it breaks it is redialled at once."""
        if link.dialled and link.endpoint in self._dials:
            # The answer came with the OK, before the dial's task has seen that it is done.
            self._proved_early[link] = True
        else:
            self.pool.proved(link)

    def lost(self, link: Link) -> None:
        """A wire left the session, or a dialled one died before."""
        now = self._node.now()
        error = link.failure or WireClosedError(str(link.cause or "the wire left the session"))
        if link.outcome is not None and not link.outcome.done():
            link.outcome.set_exception(error)
        elif link.dismissed is LeaveReason.DUPLICATE and link.dialled:
            self.pool.yielded(link)
            if link.wire.kind not in self._provided():  # the better one has not joined here, and may never
                self._grace.lost(link.wire.kind, now)
                self._hold()
        elif link.dialled:
            displaced = link.dismissed is LeaveReason.DISPLACED
            (self.pool.displaced if displaced else self.pool.lost)(link, now, error)
        else:
            if link.dismissed is not LeaveReason.DUPLICATE and link.wire.kind not in self._provided():
                self._grace.lost(link.wire.kind, now)
            self._hold()
        if not (self.pool.ready or self._provided()):
            self.supervisor.down(error)
        self.pump()

    def _hold(self) -> None:
        """What the peer provides, or may in a moment, is not dialled."""
        self.pool.held = self._provided() | self._grace.kinds
        self._release.at(self._grace.due)

    def _let_go(self, now: float, kinds: Sequence[str]) -> None:
        """These kinds are not left to the peer any more."""
        self._hold()
        for kind in kinds:
            self.pool.winner_lost(now, kind)

    def _released(self, now: float) -> None:
        """The peer has not redialled for a while."""
        self._let_go(now, self._grace.over(now))
        self.pool.hurry(now)
        # Whoever dialled before does not, so this side does, where it knows how.
        self.wanted = True
        if not self.pool.slots:
            self.look_up()
        self.pump()

    def refresh(self, kind: str | None = None) -> None:
        """The endpoints may have changed: ask again, if this side dials. Those of `kind` have a new chance at once."""
        if not self.wanted or self.closed:
            return
        if kind is not None:
            self.pool.interrupt(self._node.now(), kind)
            if self.supervisor.gave_up:
                self.supervisor.afresh(f"its endpoints of kind {kind} have changed")
        self.look_ups.ask(anew=kind is not None)

    def woke(self) -> None:
        """The machine slept: no wait that began before is waited to its end. Dials under way go on."""
        if self.closed or not self.wanted:
            return
        self.rests_until = 0.0
        if not self.supervisor.gave_up:
            self.supervisor.afresh("the machine woke")
        self.look_ups.outdate()
        if self.pool.slots:
            self.pool.woke(self._node.now())
            self.pump()
        elif self._next_due() is not None:
            self.look_ups.proved()
            self.look_up()

    def stop(self, error: LitzError) -> None:
        """Do not dial by itself any more, until the next round: `error` says why. Wires that are up stay."""
        failure = ConnectError(f"cannot reach {self._dest}", dest=self._dest, attempts=[Attempt(self._dest, error)])
        failure.__cause__ = error
        self._halt(failure)

    def _halt(self, failure: ConnectError) -> None:
        self.wanted = False
        self._let_go(self._node.now(), self._grace.over(float("inf")))
        self._node.health.schedule(self, None)
        for task in self._dials.values():
            task.cancel()
        if self._rounds.open:
            self._failed(failure)
            self._rounds.fail(failure)

    def close(self) -> None:
        """Dial no more. Dials under way are cancelled."""
        self.closed = True
        self._node.health.schedule(self, None)
        self._release.at(None)
        for task in [*self._dials.values(), *self.look_ups.tasks]:
            task.cancel()
        self._rounds.fail(closed_meanwhile(self._dest))
