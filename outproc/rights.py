"""Who may do what, as far as the user's `authorize` decides: sessions, services inside them, and relaying."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, Literal

from litz.errors import ForbiddenError
from litz.seldom import Seldom
from litz.told_seldom import tell_seldom

Verb = Literal["open", "resume", "use", "relay", "stream"]

Authorize = Callable[[str, str, Verb], bool | Awaitable[bool]]
"""`authorize(peer, what, verb)`: whether `peer`, which has proved its id, may.

verb "open"    begin a session with this node, whoever dialled; `what` is the id of this node
     "resume"  bring one more wire to the session that stands; the same `what`
     "use"     speak to a service inside the session; `what` is its topic: "relay", "relayed", "webrtc", "outbox",
               "inbox", ... (docs/security.md). Asked after each "open" and "resume"
     "stream"  open a stream to the service `what`, which somebody may or may not listen to. Asked at each open, and
               again for those that stand when rights are looked at again (`reauthorize`)
     "relay"   be connected through this node, which is a hub, to the node `what`

Only `True` allows. It may be a function or a coroutine function; it has `handshake_timeout`, and one that is late or
raises refuses. Called in the loop's thread, for many peers at once; it must not block.
"""

MAX_DENIED: Final = 131_072
"""Peers with refused services that are remembered: twice as many as there may be dests by default."""

MAX_KNOWN: Final = 4_096
KNOWN_FOR: Final = 30.0
"""Verdicts of an asynchronous `authorize` about relaying that are kept, and the seconds for which they hold."""


class Rights:
    """Asks `authorize`, and remembers what follows while a session stands. None allows everything."""

    def __init__(self, authorize: Authorize | None, local_id: str, deadline: float) -> None:
        self._authorize = authorize
        self._local_id = local_id
        self._deadline = deadline
        self.standing: Callable[[str], bool] = lambda peer: False
        """Whether a session with a peer stands. Set by whoever knows."""
        self.services: Callable[[], Iterable[str]] = tuple
        """The services there are. Set by whoever knows."""
        self.denied: dict[str, frozenset[str]] = {}
        """For peers with a session, and some without: the services they may not use."""
        self._admitting: dict[str, list[int]] = {}
        """Peers being judged: how many of their wires are, how many were, and the latest whose verdict counts."""
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._seldom = Seldom()

    @property
    def asks(self) -> bool:
        """Whether there is anybody to ask."""
        return self._authorize is not None

    async def admit(self, peer: str) -> None:
        """Return if `peer`, which has just proved its id on a wire, may have it. Raises `ForbiddenError`, and whatever
        `authorize` raises; may be cancelled. The caller sets the deadline."""
        if self._authorize is None:
            return
        verb: Verb = "resume" if self.standing(peer) else "open"
        judged = self._admitting.setdefault(peer, [0, 0, 0])
        judged[0] += 1
        judged[1] = mine = judged[1] + 1
        try:
            if not await self._ask(peer, self._local_id, verb):
                asked = f"authorize({peer!r}, {self._local_id!r}, {verb!r})"
                raise ForbiddenError(f"{asked} refused it; change that if it may")
            refused = [service for service in self.services() if not await self._ask(peer, service, "use")]
            if mine > judged[2]:  # else it was late: a wire that was asked about after this one has its verdict already
                judged[2] = mine
                self._deny(peer, frozenset(refused))
        finally:
            judged[0] -= 1
            if not judged[0]:
                self._admitting.pop(peer, None)

    def _deny(self, peer: str, refused: frozenset[str]) -> None:
        # Not forgotten when a session ends: the wire that is judged here may be what ends it.
        self.denied.pop(peer, None)
        if refused:
            self._make_room()
            self.denied[peer] = refused

    def _make_room(self) -> None:
        if len(self.denied) >= MAX_DENIED:
            gone = [peer for peer in self.denied if not self.standing(peer)]
            for peer in gone or [next(iter(self.denied))]:
                del self.denied[peer]

    async def _ask(self, peer: str, what: str, verb: Verb) -> bool:
        assert self._authorize is not None
        verdict = self._authorize(peer, what, verb)
        if inspect.isawaitable(verdict):
            verdict = await verdict
        return verdict is True

    def may_stream(self, peer: str, service: str) -> bool | Awaitable[bool]:
        """Whether `peer` may open a stream to `service`: only True allows. Raises what `authorize` raises, as awaiting
        what it returns may; the caller sets the deadline."""
        return True if self._authorize is None else self._authorize(peer, service, "stream")

    def forget_verdicts(self) -> None:
        """They may have changed: those that are on their way too."""
        self._known = {}

    def may_relay(self, peer: str, dest: str) -> bool:
        """Whether `peer` may be connected to `dest` through this hub. While an asynchronous `authorize` thinks about it
        the answer is no, as for a dest that is not there: who is refused asks again after its backoff. Raises what
        `authorize` raises."""
        if self._authorize is None:
            return True
        pair, now = (peer, dest), asyncio.get_running_loop().time()
        known = self._known.get(pair)
        if known is not None and known[0] > now:
            return known[1]
        if pair in self._asking:
            return False
        verdict = self._authorize(peer, dest, "relay")
        if not inspect.isawaitable(verdict):
            return verdict is True
        if len(self._asking) >= MAX_KNOWN:
            _give_up(verdict)
            return False
        self._asking[pair] = asyncio.get_running_loop().create_task(
            self._find_out(pair, verdict), name=f"litz authorize {peer} to {dest}"
        )
        return False

    async def _find_out(self, pair: tuple[str, str], verdict: Awaitable[bool]) -> None:
        loop, known = asyncio.get_running_loop(), self._known
        allowed = False
        try:
            async with asyncio.timeout(self._deadline):
                allowed = await verdict is True
        except Exception as error:
            # Not of each dest: a peer asks for as many as it likes.
            tell_seldom(loop, self._seldom, pair[0], error, "no verdict of authorize on relaying")
        finally:
            self._asking.pop(pair, None)
        known.pop(pair, None)
        while len(known) >= MAX_KNOWN:
            known.pop(next(iter(known)))
        known[pair] = (loop.time() + KNOWN_FOR, allowed)

    async def close(self) -> None:
        """Ask nothing any more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._deadline)


def _give_up(verdict: Awaitable[bool]) -> None:
    if inspect.iscoroutine(verdict):
        verdict.close()
