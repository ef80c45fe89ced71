"""Nodes that leave on purpose: what must hold of it in all seeds, and seeds in which they do so often.

The checker knows who meant to leave, from what the verbs were called with, and judges what the others make of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

from litz.errors import ManagerStateError
from litz.events import EndReason, Event, LostReceipt, PeerDraining, SessionEnded, SessionStarted, Woke
from litz.manager import Transport
from litz.message import Receipt
from litz.payload import REPLY_LANE
from litz.wire import Endpoint
from tests.simulation.managers.kinds import HUB
from tests.simulation.managers.record import InvariantError, Sent
from tests.simulation.managers.streaming import has_streams

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

ENDING: Final = 7
"""The hundred thousands of the seeds that have more of it: 700,000 to 799,999, and so in each million."""
FAULTS: Final = {"final drain": 5.0, "close manager": 3.0, "close transport": 3.0}
HITS: Final = (
    "final drain",
    "final drain to the end",
    "final drain with losses",
    "final drain ended by a crash",
    "final drain ended by closing",
    "event PeerDraining",
    "error PeerDrainingError",
    "error DrainingError",
    "left for good",
    "left for a while",
    "reopened",
    "came back",
)
"""What a run over them must have hit at least once."""

Marks = dict[tuple[str, int, int], int]
"""(dest, session, lane) -> the number of the next message when somebody began to leave."""


def has_ends(seed: int) -> bool:
    """Whether it is one of the seeds in which nodes leave often."""
    return seed // 100_000 % 10 == ENDING


@dataclass(slots=True)
class Drain:
    """The final drain of one life: where its lanes were, and what its sessions lost since."""

    marks: Marks | None = None
    lost: list[LostReceipt] = field(default_factory=list)
    over: bool = False


@dataclass(slots=True)
class Known:
    """What one life has been told, as its events say: who left (since when), and who is back not before when."""

    gone: dict[str, float] = field(default_factory=dict)
    resting: dict[str, float] = field(default_factory=dict)
    leaving: dict[str, Marks] = field(default_factory=dict)


class Ends:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.active = has_ends(world.seed) or (has_streams(world.seed) and world.seed % 3 == 0)
        self.rng = Random(f"ends {world.seed}")
        self._said: dict[tuple[str, str], float] = {}
        """(who, to whom or "*") -> the least number of seconds in which it meant to be back, 0 if it did not."""
        self._known: dict[Life, Known] = {}
        self._drains: dict[Life, Drain] = {}
        if self.active:
            world.plan.faults.update(FAULTS)
            world.nemesis.add("final drain", self._final_drain)

    def watch(self, life: Life) -> None:
        """Know what its users call. Call it once for each life."""
        manager: Any = life.manager
        self._known[life] = Known()
        manager.close_transport = partial(self._closes, life, manager.close_transport)
        manager.aclose = partial(self._leaves, life, manager.aclose)
        for verb in ("reconnect", "get_or_create_transport"):
            setattr(manager, verb, partial(self._asks, life, getattr(manager, verb), verb))

    # -- what users do --------------------------------------------------------------------------------

    async def _closes(
        self, life: Life, close: Callable[..., Awaitable[tuple[LostReceipt, ...]]], dest: str, **options: Any
    ) -> tuple[LostReceipt, ...]:
        self._said.setdefault((life.name, dest), 0.0)
        return await close(dest, **options)

    async def _leaves(self, life: Life, aclose: Callable[..., Awaitable[None]]) -> None:
        returning_in = self.rng.choice((None, 0.5)) if self.active and not self.world.healed else None
        self._said[life.name, "*"] = 0.0
        self.world.hits["final drain ended by closing"] += life in self._drains and not self._drains[life].over
        await aclose(returning_in=returning_in)

    async def _asks(
        self, life: Life, ask: Callable[..., Awaitable[Transport]], verb: str, dest: str, *rest: Any, **options: Any
    ) -> Transport:
        if verb == "reconnect" or options.get("reopen"):
            self._reopened(life, dest)
        return await ask(dest, *rest, **options)

    def options(self, life: Life, dest: str, options: dict[str, Any]) -> dict[str, Any]:
        """Those of one `send`: it may reopen."""
        if options.get("reopen"):
            self._reopened(life, dest)
        if not self.active or self.rng.random() < 0.6:
            return options
        self._reopened(life, dest)
        return {**options, "reopen": True}

    def _reopened(self, life: Life, dest: str) -> None:
        known = self._known[life]
        self.world.hits["reopened"] += known.gone.pop(dest, None) is not None
        known.resting.pop(dest, None)

    # -- what nodes are told --------------------------------------------------------------------------

    def heard(self, life: Life, event: Event) -> None:
        """In the moment it is told."""
        known, now = self._known[life], self.world.loop.time()
        if isinstance(event, SessionStarted):
            self.world.hits["came back"] += known.gone.pop(event.dest, None) is not None
            known.resting.pop(event.dest, None)
        elif isinstance(event, Woke):
            known.resting.clear()
        elif isinstance(event, PeerDraining):
            self._check_meant(life, event.dest)
            known.leaving[event.dest] = self._marks(life, event.dest)
        elif isinstance(event, SessionEnded) and event.dest != HUB:
            known.leaving.pop(event.dest, None)
            self._ended(life, event)
            if event.reason is EndReason.CLOSED_BY_PEER:
                self._check_meant(life, event.dest)
                returns = "back in about" in event.detail
                self.world.hits["left for a while" if returns else "left for good"] += 1
                if returns:
                    known.resting[event.dest] = now + 0.5
                else:
                    known.gone[event.dest] = now

    def _check_meant(self, life: Life, dest: str) -> None:
        if (dest, life.name) not in self._said and (dest, "*") not in self._said:
            raise InvariantError("ends", f"{life} was told that {dest} left, which never said so to anybody")

    def _ended(self, life: Life, event: SessionEnded) -> None:
        drain = self._drains.get(life)
        if drain is None:
            return
        drain.lost += event.lost
        late = [entry for entry in event.lost if entry.receipt[0].lane != REPLY_LANE] if drain.over else []
        if late:
            raise InvariantError("ends", f"{life} lost {late} after its final drain, whose list has it not")

    def dialling(self, life: Life, dest: str, endpoint: Endpoint) -> None:
        """It dials."""
        known, now, options = self._known[life], self.world.loop.time(), life.options
        left = known.gone.get(dest)
        # Who was forgotten is a dest like any other; with so few tombstones it may have been.
        if left is not None and now - left < options.tombstones_kept and options.max_tombstones > 1:
            raise InvariantError("ends", f"{life} dials {endpoint} by itself, whose node has said goodbye")
        # Somebody here may wait for a dial that was asked for before the goodbye.
        asked = any(each.dest == dest and each.dialler._rounds.open for each in life.transports())
        if now < known.resting.get(dest, 0.0) and not asked:
            raise InvariantError("ends", f"{life} dials {endpoint}, whose node is back later")

    def accepted(self, sent: Sent, receipt: Receipt) -> None:
        """A `send` returned."""
        life, (channel, number) = sent.life, receipt
        where = (channel.dest, channel.session, channel.lane)
        drain, leaving = self._drains.get(life), self._known[life].leaving.get(channel.dest)
        if drain is not None and drain.marks is not None and number >= drain.marks.get(where, 0):
            raise InvariantError("ends", f"{life} accepted {sent!r} after its final drain began")
        if leaving is not None and number >= leaving.get(where, 1 << 62):
            raise InvariantError("ends", f"{life} accepted {sent!r} for a peer that had said that it leaves")

    # -- the fault ------------------------------------------------------------------------------------

    def _marks(self, life: Life, dest: str | None = None) -> Marks:
        marks: Marks = {}
        for transport in life.transports():
            if dest in (None, transport.dest):
                transport.outbound.take_stock()
                session = transport.session
                for number, lane in session.send_lanes.items():
                    marks[transport.dest, session.index, number] = lane.log.next_number
                lossy = int(session.lossy_out.lane)
                marks[transport.dest, session.index, lossy] = session.lossy_out.next_number
        return marks

    def _final_drain(self) -> bool:
        lives = [life for life in self.world.lives if life.alive and life not in self._drains]
        if not lives:
            return False
        life = self.rng.choice(lives)
        self.world.starting += 1
        self.world.later(self._drain(life)).add_done_callback(self._started)
        return True

    def _started(self, _task: object) -> None:
        self.world.starting -= 1

    async def _drain(self, life: Life) -> None:
        """Leave by a final drain, asked for once or more, and come again."""
        world, rng = self.world, self.rng
        timeout, returning_in = rng.choice((0.0, 0.2, 1.0, 3.0)), rng.choice((None, 0.5))
        self._said[life.name, "*"] = 0.0
        began = world.loop.time()
        drain = self._drains[life] = Drain()

        async def work() -> tuple[LostReceipt, ...]:
            if drain.marks is None:
                drain.marks = self._marks(life)  # not before: what is sent in the same turn may still be accepted
            return await life.manager.drain(final=True, timeout=timeout, reason="ends", returning_in=returning_in)

        callers = [world.loop.create_task(work()) for _ in range(rng.randint(1, 3))]
        await asyncio.sleep(0)
        if rng.random() < 0.3:
            callers.append(world.loop.create_task(work()))
            callers[0].cancel()
        if rng.random() < 0.2:
            await asyncio.sleep(rng.random() * timeout)
            if life.alive:
                world.hits["final drain ended by a crash"] += 1
                life.crash(tell_peers=rng.choice((True, False, None)))
        await asyncio.wait(callers)
        took = world.loop.time() - began
        self._judge(life, drain, callers, took, timeout)
        drain.over = True
        if life.alive:
            life.ended = True
            await life.close()
        if not life.crashed or not any(each.alive for each in world.lives if each.name == life.name):
            world.start_later(life.name, life.host.name, life.host.clock_offset, after=rng.random() * 0.5)

    def _judge(
        self,
        life: Life,
        drain: Drain,
        callers: list[asyncio.Task[tuple[LostReceipt, ...]]],
        took: float,
        timeout: float,
    ) -> None:
        world = self.world
        for caller in callers:
            if caller.cancelled():
                continue
            error = caller.exception()
            if error is not None:
                if life.alive or not isinstance(error, ManagerStateError):
                    raise InvariantError("ends", f"{life}: a final drain raised {error!r}") from error
                continue
            if not life.crashed and list(caller.result()) != drain.lost:
                raise InvariantError("ends", f"{life}: a final drain lists {caller.result()}, and lost {drain.lost}")
            world.hits["final drain with losses" if caller.result() else "final drain to the end"] += 1
        if took > timeout + 0.1 and life.alive and not world.stalled_since(world.loop.time() - took):
            raise InvariantError("ends", f"{life}: a final drain of {timeout} s took {took:.3f} s")
