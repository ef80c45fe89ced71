"""Streams that peers open to services of b, which has few places for them, while it changes who may.

Seeds from `WITH_STREAMS` on have them, with chance of their own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any, Final

from litz.errors import LitzError, StreamRefusedError
from litz.stream_port import Abort, Later, Offer, Refusal, Refused, StreamSide
from outproc import OutprocTransportManager
from tests.simulation.rights.invariants import RightsError

WITH_STREAMS: Final = 100_000
PLACES: Final = 3
SERVICES: Final = ("shop", "cellar", "unheard-of")
"""To the last one nobody listens."""


class Visit:
    """One end of a stream, at b or at who opened it: it is there, and does nothing."""

    def __init__(self, shop: Shop, peer: str, service: str, name: bytes, side: StreamSide, *, inside: bool) -> None:
        self.shop = shop
        self.peer = peer
        self.service = service
        self.name = name
        self.side = side
        self.inside = inside
        self.over = self.waits = self.crowded = False
        side.use(self)

    def leave(self) -> None:
        """Its user goes."""
        if not self.over:
            self.over = True
            if self.waits:
                self.shop.said_no.add(self.name)
            self.side.release()

    def received(self, entries: Sequence[Any], size: int) -> None: ...

    def finished(self) -> None: ...

    def aborted(self, code: int, reason: str) -> None:
        if self.inside and not self.over:
            self.shop.aborted(self, code)
        self.waits = False  # whoever refuses it is not its user
        self.leave()

    def lost(self, error: BaseException) -> None:
        self.leave()

    def writable(self) -> None: ...

    def confirmed(self) -> None: ...

    def link(self, up: bool) -> None: ...


class Shop:
    """Of one world."""

    def __init__(self, seed: int, hits: Counter[str]) -> None:
        self.active = seed >= WITH_STREAMS
        self.hits = hits
        self.rng = Random(f"streams and rights {seed}")
        self.barred: set[tuple[str, str]] = set()
        self.visits: list[Visit] = []
        self.said_no: set[bytes] = set()
        self._opened = 0
        self._opening: list[asyncio.Task[None]] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._failed: RightsError | None = None

    def begin(self, b: OutprocTransportManager) -> None:
        """b listens."""
        if self.active:
            asyncio.get_running_loop().set_exception_handler(self._told)
            for service in SERVICES[:2]:
                b._running().streams.listen(service, self._offered)

    def forbids(self, peer: str, service: str) -> bool:
        """Whether it may not open streams to it."""
        return (peer, service) in self.barred

    def _told(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What the loop is told: that `authorize` raised, and nothing else."""
        self.hits["the loop was told"] += 1
        if not isinstance(context.get("exception"), OSError):
            self._fail(f"the loop was told {context}")

    # -- what happens -------------------------------------------------------------------------------

    def step(self, nodes: dict[str, OutprocTransportManager], peers: Sequence[str]) -> None:
        """Somebody comes, somebody goes, or rights change."""
        if not self.active:
            return
        rng, peer = self.rng, self.rng.choice(peers)
        chance = rng.random()
        if chance < 0.7:
            for _ in range(rng.choice((1, 2, 6))):
                self._opened += 1
                work = self._open(nodes[peer], peer, rng.choice(SERVICES), b"%d" % self._opened)
                self._opening.append(asyncio.get_running_loop().create_task(work))
        elif chance < 0.85:
            self.barred ^= {(peer, rng.choice(SERVICES[:2]))}
        elif self.visits:
            rng.choice(self.visits).leave()

    async def _open(self, manager: OutprocTransportManager, peer: str, service: str, name: bytes) -> None:
        try:
            side = await manager._running().streams.open("b", service, name, pipe=False, timeout=3.0)
        except StreamRefusedError as error:
            self.hits[f"stream refused: {Refusal(error.why).name}"] += 1
            if error.why == Refusal.REJECTED and name not in self.said_no:
                self._fail(f"{peer} was rejected at {service}, and nobody rejected it: {error}")
        except (LitzError, TimeoutError):
            self.hits["stream failed"] += 1
        else:
            self.hits["stream opened"] += 1
            self.visits.append(Visit(self, peer, service, name, side, inside=False))

    def _offered(self, offer: Offer, side: StreamSide) -> Refused | Later | None:
        rng = self.rng
        if rng.random() < 0.15:
            self.said_no.add(offer.metadata)
            return Refused(Refusal.REJECTED, "chance")
        visit = Visit(self, offer.sender, offer.service, offer.metadata, side, inside=True)
        self.visits.append(visit)
        inside = [each for each in self.visits if each.inside and each.peer == visit.peer and not each.over]
        for each in inside:
            each.crowded |= len(inside) > PLACES
        if rng.random() < 0.6:
            side.attach(False)
        if rng.random() < 0.3:
            visit.waits = True
            self._timers.append(asyncio.get_running_loop().call_later(rng.random(), self._answer, visit))
            return Later.LATER
        return None

    def _answer(self, visit: Visit) -> None:
        if not visit.over:
            visit.waits = False
            visit.side.answer(None)

    def aborted(self, visit: Visit, code: int) -> None:
        """One that is inside was told that it is over."""
        what = "an offer" if visit.waits else "a stream"
        self.hits[f"{what} was told {Abort(code).name}"] += 1
        if code == Abort.IDLE and not visit.crowded:
            self._fail(f"one of {visit.peer} had to go, and nobody came for its place")

    # -- what must be so ----------------------------------------------------------------------------

    def looked_again(self) -> None:
        """b has asked about everybody's rights."""
        self.check()
        for visit in self.visits:
            if visit.inside and not visit.over and self.forbids(visit.peer, visit.service):
                raise RightsError("service", f"{visit.peer} may not be in the {visit.service}, and is: {visit.side!r}")

    def check(self) -> None:
        """Raises what went wrong meanwhile."""
        if self._failed is not None:
            raise self._failed

    def _fail(self, text: str) -> None:
        self._failed = self._failed or RightsError("places", text)

    async def close(self) -> None:
        """All who come or are inside go."""
        for timer in self._timers:
            timer.cancel()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for visit in self.visits:
            visit.leave()
