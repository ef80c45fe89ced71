"""Permits of an admission policy for coroutines, and what its signal is connected to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from litz.admission import Admission, Amount, Grant, GrantState, Policy
from litz.errors import AdmissionRefusedError
from litz.stream_port import StreamSide

log = logging.getLogger("litz.limiter")

Signal = Callable[[bool], None]
"""Called with True at *high* and with False at *low*."""


class Permit:
    """What was admitted. It counts until `release`, exactly once; used as a context manager it releases at the end."""

    __slots__ = ("_grant", "_limiter")

    def __init__(self, limiter: Limiter, grant: Grant) -> None:
        self._limiter = limiter
        self._grant = grant

    @property
    def weight(self) -> Amount:
        """How much it is."""
        return self._grant.weight

    def release(self) -> None:
        """The work is over. RuntimeError the second time: somebody else's permit would be given away."""
        self._limiter.give_back(self._grant)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<permit of {self.weight}: {self._grant.state.name.lower()}>"


class PermitRequest:
    """What `Limiter.permit` returns: `async with` it. Each entry asks for a permit of its own."""

    __slots__ = ("_limiter", "_permits", "_weight")

    def __init__(self, limiter: Limiter, weight: Amount) -> None:
        self._limiter = limiter
        self._weight = weight
        self._permits: list[Permit] = []

    async def __aenter__(self) -> Permit:
        permit = await self._limiter.acquire(bytes=self._weight.size, count=self._weight.count)
        self._permits.append(permit)
        return permit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._permits.pop().release()


class Limiter:
    """Admits work under one of the four policies of `litz.admission`.

    policy  what happens over the limit
    name    for errors and `repr`: which limit this is

    All methods belong to one loop's thread; any number of its tasks may call them. Make one for each direction.
    Order: first come, first served, and `try_acquire` overtakes nobody.
    Cancellation: `acquire` cancelled at any step leaves nothing behind; if it was admitted already, it is released.
    """

    def __init__(self, policy: Policy, *, name: str = "limiter") -> None:
        self._admission = Admission(policy, name=name)
        self._waiters: dict[Grant, asyncio.Future[None]] = {}
        self._watchers: dict[Signal, bool] = {}  # what each was told last
        self._telling = False
        self._closed: BaseException | None = None

    # -- permits ------------------------------------------------------------------------------------------

    def permit(self, *, bytes: int = 0, count: int = 1) -> PermitRequest:  # noqa: A002 - the word users look for
        """`async with limiter.permit(bytes=n):` the work inside is admitted. As `acquire`."""
        return PermitRequest(self, Amount(count, bytes))

    async def acquire(self, *, bytes: int = 0, count: int = 1) -> Permit:  # noqa: A002 - the word users look for
        """A permit for so much; waits for it under `Queue`. Never suspends if it is admitted at once.

        Raises `AdmissionRefusedError`; ValueError for a weight of nothing; after `close` what `close` was given."""
        grant = self._ask(Amount(count, bytes), may_wait=True)
        if grant.state is GrantState.WAITING:
            waiter = self._waiters[grant] = asyncio.get_running_loop().create_future()
            try:
                await waiter
            except BaseException:
                # Cancelled while it waited, or after it was admitted and before this task ran, or closed.
                self._let_go(grant)
                raise
        return Permit(self, grant)

    def try_acquire(self, *, bytes: int = 0, count: int = 1) -> Permit | None:  # noqa: A002 - the word users look for
        """A permit if it is admitted now, otherwise None: it waits for nothing and overtakes nobody. ValueError for a
        weight of nothing; after `close` what `close` was given."""
        try:
            return Permit(self, self._ask(Amount(count, bytes), may_wait=False))
        except AdmissionRefusedError:
            if self._closed is not None:
                raise
            return None

    def close(self, error: BaseException | None = None) -> None:
        """Nothing more is admitted: who waits, and who asks from now on, gets `error` (default: an
        `AdmissionRefusedError`). What is admitted is released as always. Idempotent; the first error stays."""
        if self._closed is not None:
            return
        name, policy = self._admission.name, type(self._admission.policy).__name__
        self._closed = error or AdmissionRefusedError(f"{name} was closed", limiter=name, policy=policy)
        for waiter in tuple(self._waiters.values()):
            if not waiter.done():
                waiter.set_exception(self._closed)

    def give_back(self, grant: Grant) -> None:
        """For `Permit.release`."""
        self._wake(self._admission.release(grant))

    # -- sight and signal ---------------------------------------------------------------------------------

    @property
    def used(self) -> Amount:
        """What is admitted and not released."""
        return self._admission.used

    @property
    def queued(self) -> Amount:
        """What waits."""
        return self._admission.queued

    @property
    def high(self) -> bool:
        """Whether it passed its limit and has not come down to its low mark since (`SoftAllowSignal`)."""
        return self._admission.high

    @property
    def counts(self) -> dict[str, int]:
        """So far: how many were admitted, how many of these over a soft limit, how many were refused."""
        core = self._admission
        return {"admitted": core.admitted, "over_limit": core.over_limit, "refused": core.refused}

    def watch(self, signal: Signal) -> Callable[[], None]:
        """Call `signal(True)` once on the way up and `signal(False)` once on the way down, from within the verb that
        passes the mark; at once if it is high now. It must be cheap and not raise. Returns how to stop: who was told
        *high* is then told *low*. A function is watched once: ValueError."""
        if signal in self._watchers:
            raise ValueError("this function is told already")
        self._watchers[signal] = False
        self._tell()

        def stop() -> None:
            if self._watchers.pop(signal, False):
                signal(False)

        return stop

    def narrow(self, side: StreamSide) -> Callable[[], None]:
        """While it is high, grant nothing more to the peer of `side`: `pause` at *high*, `resume` at *low*. Returns how
        to stop."""

        def signal(high: bool) -> None:
            if high:
                side.pause()
            else:
                side.resume()

        return self.watch(signal)

    def __repr__(self) -> str:
        core = self._admission
        kind = type(core.policy).__name__
        return f"<{core.name} ({kind}): {core.used} of {core.policy.limit}, {core.waiting} wait>"

    # -- inside -------------------------------------------------------------------------------------------

    def _ask(self, weight: Amount, *, may_wait: bool) -> Grant:
        if self._closed is not None:
            raise self._closed
        grant = self._admission.ask(weight, may_wait=may_wait)
        self._tell()
        return grant

    def _let_go(self, grant: Grant) -> None:
        """Who asked for it is gone."""
        self._waiters.pop(grant, None)
        if grant.state is GrantState.ADMITTED:
            self.give_back(grant)
        else:
            self._wake(self._admission.withdraw(grant))

    def _wake(self, admitted: list[Grant]) -> None:
        for grant in admitted:
            waiter = self._waiters.pop(grant)
            if not waiter.done():  # done: cancelled or closed, and its task gives the grant back when it runs
                waiter.set_result(None)
        self._tell()

    def _tell(self) -> None:
        """Tell each watcher what it does not know yet. A watcher may call any verb: then it is looked at again."""
        if self._telling or not self._watchers:
            return
        self._telling = True
        try:
            while signal := next((each for each, told in self._watchers.items() if told != self.high), None):
                self._watchers[signal] = high = self.high
                try:
                    signal(high)
                except Exception:
                    # Out of here it would take a permit with it that nobody could release.
                    log.exception("a function that was told of %r raised", self)
        finally:
            self._telling = False
