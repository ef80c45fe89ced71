"""Dials one dest: asks where it is, races its endpoints, and dials again what broke.

All dials are tasks of the node. Who waits for a dial waits for a *round*, which nobody's cancel disturbs (P3).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from litz.errors import Attempt, ConnectError, LitzError, WireClosedError
from litz.events import ConnectFailed, LookUpFailed
from litz.wire import Endpoint, Wire
from outproc.accept_grace import AcceptGrace
from outproc.addressing import Resolution
from outproc.connect_errors import nowhere, unreached
from outproc.frames.records import LeaveReason
from outproc.link import Link, LinkOwner
from outproc.local_node import LocalNode
from outproc.pool import Pool, Ready, Yielded
from outproc.retry.backoff import Backoff, RetryState
from outproc.rounds import Rounds


class Resolver(Protocol):
    """Where dests are, and how to dial."""

    async def resolve(self, dest: str, timeout: float) -> Resolution:
        """Every endpoint known of `dest` now, and what went wrong in asking, for at most `timeout` seconds. Must not
        raise."""

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        """Dial once."""


class Dialler:
    """The dialling side of one transport. Does nothing until it is `wanted`.

    `provided()` tells the kinds of wire that the peer has dialled and that are up: those are not dialled. `full()`
    tells whether there are as many wires as there may be: then only who asks gets a dial, for it costs a wire (P4).
    """

    def __init__(
        self,
        node: LocalNode,
        dest: str,
        *,
        resolver: Resolver,
        owner: LinkOwner,
        slots: asyncio.Semaphore,
        provided: Callable[[], frozenset[str]],
        full: Callable[[], bool],
    ) -> None:
        options = node.options
        backoff = Backoff(options.backoff_base, options.backoff_cap)
        self._node = node
        self._dest = dest
        self._resolver = resolver
        self._owner = owner
        self._slots = slots
        self._provided = provided
        self._full = full
        self.pool: Pool[Link] = Pool(
            node.environment.rng,
            backoff=backoff,
            upgrade_cap=options.upgrade_cap,
            stagger=options.stagger,
            stable_after=options.stable_after,
        )
        self._release = node.timers.timer(self._released)
        self._grace = AcceptGrace(options.accept_grace)
        self._dials: dict[Endpoint, asyncio.Task[None]] = {}
        self._proved_early: dict[Link, bool] = {}
        self._asking: asyncio.Task[None] | None = None
        self._ask_again = RetryState(backoff)
        self._ask_at: float | None = None
        self._asked_at = 0.0
        self._failures: tuple[Attempt, ...] = ()
        """Of the latest look-up."""
        self._rounds = Rounds(node.loop)
        self.rests_until = 0.0  # nothing is dialled by itself before: the peer said when it is back
        self.wanted = False
        self.asked_for = False  # whether anybody here ever asked for the dest, and not only the peer for us
        self.closed = False

    # -- rounds -------------------------------------------------------------------------------------

    def start_round(self, kind: str | None = None) -> asyncio.Future[None]:
        """Dial all that is not up (of one kind, or of all), whatever the backoff says, and return the future of the
        outcome: set when a wire (of that kind) is up, ConnectError when every endpoint has failed, or at once when this
        was closed. Shared by those who ask for the same; wait for it behind `shield`."""
        if self.closed:
            return self._rounds.refused(self._closed_error())
        self.wanted = self.asked_for = True
        outcome, begins = self._rounds.join(kind)
        if begins:
            self.pool.interrupt(self._node.now(), kind)
            self._let_go(self._node.now(), self._grace.over(float("inf")))
            self._ask()
        return outcome

    def _failed(self, error: ConnectError, kind: str | None = None) -> None:
        """The round for `kind` is over, if there is one: say so to those who wait, and to those who watch."""
        self._rounds.end(kind, error)
        due = self._next_due()
        self._node.emit(ConnectFailed(self._dest, error, None if due is None else max(0.0, due - self._node.now())))

    def _settle_rounds(self) -> None:
        """End rounds in which nothing is left to try: all is up already, or what is not up has failed."""
        if self._asking is not None:
            return
        for kind in self._rounds.open:
            self._settle_round(kind)

    def _settle_round(self, kind: str | None) -> None:
        slots = [slot for slot in self.pool.slots if slot.listed and kind in (None, slot.endpoint.kind)]
        provided = self._provided()
        up = bool(provided if kind is None else kind in provided)
        attempts = []
        for slot in slots:
            if isinstance(slot.state, Ready):
                up = True
            elif slot.last_error is not None:
                attempts.append(Attempt(str(slot.endpoint), slot.last_error))
            elif slot.endpoint.kind not in provided and not isinstance(slot.state, Yielded):
                return
        if up:
            self._rounds.end(kind, None)
        else:
            sort = f" by a wire of kind {kind}" if kind is not None else ""
            attempts += self._failures
            self._failed(unreached(f"cannot reach {self._dest}{sort}", self._dest, attempts), kind)

    def _ask(self) -> None:
        if self._asking is None and not self.closed:
            self._ask_at = None
            self._asking = self._node.spawn(self._resolve(), f"litz look up {self._dest}")

    async def _resolve(self) -> None:
        try:
            resolution = await self._resolver.resolve(self._dest, self._node.options.dial_timeout)
        finally:
            self._asking = None
            self._asked_at = self._node.now()
        self._tell_failures(resolution.failures)
        endpoints, failures = resolution.endpoints, resolution.failures
        if endpoints:
            if not resolution.complete:
                # Who did not answer now may have named these before.
                endpoints = [*endpoints, *(slot.endpoint for slot in self.pool.slots if slot.listed)]
            self.pool.set_endpoints(endpoints, self._node.now())
            self._ask_again.proved()
        elif not self.pool.slots:
            if self.asked_for or failures:
                # Also of a peer that came by itself: a directory that failed does not say that it has no endpoints.
                self._ask_at = self._node.now() + self._ask_again.failed(self._node.environment.rng)
            for kind in self._rounds.open:
                self._failed(nowhere(self._dest, failures), kind)
        self.pump()

    def _tell_failures(self, failures: tuple[Attempt, ...]) -> None:
        """Once, however often it is asked again."""
        told = {str(failure) for failure in self._failures}
        self._failures = failures
        if any(str(failure) not in told for failure in failures):
            self._node.emit(LookUpFailed(self._dest, failures))

    def _next_due(self) -> float | None:
        """When `check` has something to do: dial, or ask again where the dest is as long as nothing is known of it or
        nothing known leads there."""
        if self.pool.slots:
            due = self.pool.next_due()
            every = self._ask_every()
            if every is not None:
                again = self._asked_at + every
                due = again if due is None else min(due, again)
            return due
        return None if self._provided() else self._ask_at

    def _gives_no_answer(self) -> bool:
        """Whether all that is known was tried in vain. While that is asked, or within a round, nothing more is due."""
        return self._asking is None and not self._rounds.open and bool(self.pool.all_failed())

    def _ask_every(self) -> float | None:
        """It may have moved: seconds between two look-ups, however long what fails is left alone. None: no need."""
        if self._gives_no_answer():
            return self._node.options.backoff_cap
        return self._node.options.upgrade_cap if self._asking is None and self.pool.keeps_failing() else None

    # -- dialling -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start what is due, and set the timer to what is due next."""
        if self.closed or not self.wanted:
            return
        now = self._node.now()
        resting = now < self.rests_until
        if (resting or self._full()) and not self._rounds.open:
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
            self._ask()  # the answer leads to the next dial
            return None
        every = self._ask_every()
        if every is not None and self._asked_at + every <= now:
            self._ask()
        self.pump()
        return None

    async def _dial(self, endpoint: Endpoint) -> None:
        if endpoint.kind in self.pool.held:
            # The peer's wire came in the turn in which this dial was decided.
            self._dials.pop(endpoint, None)
            self.pool.cancelled(endpoint, self._node.now())
            return
        error: Exception | None = None
        link: Link | None = None
        try:
            async with self._slots, asyncio.timeout(self._node.options.dial_timeout):
                wire = await self._resolver.build(self._dest, endpoint)
                if _is_cancelled():
                    # Builders are not ours: this one did not heed it, and there is nobody who waits for its wire.
                    wire.abort()
                    raise asyncio.CancelledError
                link, outcome = self._adopt(wire, endpoint)
                await outcome
        except asyncio.CancelledError:
            self._dials.pop(endpoint, None)
            self.pool.cancelled(endpoint, self._node.now())
            if link is not None:
                self._proved_early.pop(link, None)
                link.abort()
            raise
        except Exception as cause:  # also what builders should not raise: retrying is the default (see `classify`)
            error = cause
        self._dials.pop(endpoint, None)
        self._dialled(endpoint, link, error)

    def _adopt(self, wire: Wire, endpoint: Endpoint) -> tuple[Link, asyncio.Future[None]]:
        try:
            link = Link(self._node, wire, self._owner, dest=self._dest, endpoint=endpoint)
        except BaseException:
            wire.abort()
            raise
        outcome: asyncio.Future[None] = self._node.loop.create_future()
        link.outcome = outcome
        link.start()
        return link, outcome

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
            attempts = self.pool.all_failed()
            if attempts:
                attempts += self._failures
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
            self._ask()
        self.pump()

    def refresh(self, kind: str | None = None) -> None:
        """The endpoints may have changed: ask again, if this side dials. Those of `kind` have a new chance at once."""
        if self.wanted:
            if kind is not None:
                self.pool.interrupt(self._node.now(), kind)
            self._ask()

    def woke(self) -> None:
        """The machine slept: no wait that began before is waited to its end. Dials under way go on."""
        if self.closed or not self.wanted:
            return
        self.rests_until = 0.0
        if self.pool.slots:
            self.pool.woke(self._node.now())
            self.pump()
        elif self._next_due() is not None:
            self._ask_again.proved()
            self._ask()

    def stop(self, error: LitzError) -> None:
        """Do not dial by itself any more, until the next round: `error` says why. Wires that are up stay."""
        self.wanted = False
        self._let_go(self._node.now(), self._grace.over(float("inf")))
        self._node.health.schedule(self, None)
        for task in self._dials.values():
            task.cancel()
        if self._rounds.open:
            failure = ConnectError(f"cannot reach {self._dest}", dest=self._dest, attempts=[Attempt(self._dest, error)])
            failure.__cause__ = error
            self._failed(failure)
            self._rounds.fail(failure)

    def close(self) -> None:
        """Dial no more. Dials under way are cancelled."""
        self.closed = True
        self._node.health.schedule(self, None)
        self._release.at(None)
        for task in [*self._dials.values(), *([self._asking] if self._asking is not None else [])]:
            task.cancel()
        self._rounds.fail(self._closed_error())

    def _closed_error(self) -> ConnectError:
        return ConnectError(f"the transport of {self._dest} was closed while it was dialled", dest=self._dest)


def _is_cancelled() -> bool:
    """Whether this task was cancelled, or its deadline is over, and what it awaited has passed over that."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
