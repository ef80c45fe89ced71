"""What becomes of a stream that a peer asks for: rights, then whoever listens.

Default-deny: what nobody listens to is refused, with the words and after the questions with which a forbidden one is.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from litz.errors import ConsumerConflictError
from litz.seldom import Seldom
from litz.stream_port import Accept, Later, Offer, Refusal, Refused
from litz.told_seldom import tell_seldom
from outproc.local_node import LocalNode
from outproc.streams.moves import State
from outproc.streams.session_streams import FULL, RETRY_AFTER, SessionStreams
from outproc.streams.side import OutprocSide
from outproc.streams.words import Open

NO_SUCH: Final = Refused(Refusal.REFUSED)
"""Nobody listens, or the peer may not: it cannot tell which."""

UNREAD: Final = Refused(Refusal.BUSY, "too much of streams that are over is not read there", RETRY_AFTER)


class Offers:
    """Who listens to which service of one node, and who may open a stream to it."""

    def __init__(self, node: LocalNode) -> None:
        self._node = node
        self._listeners: dict[str, Accept] = {}
        self._judged: Counter[str] = Counter()
        """For each peer, how often `authorize` thinks about it now: also about opens that were given up since."""
        self._seldom = Seldom()

    def listen(self, service: str, accept: Accept) -> Callable[[], None]:
        """`StreamCarrier.listen`."""
        if service in self._listeners:
            raise ConsumerConflictError(f"somebody listens to {service!r} already; stop that first")
        self._listeners[service] = accept

        def stop() -> None:
            if self._listeners.get(service) is accept:
                del self._listeners[service]

        return stop

    def decide(self, streams: SessionStreams, side: OutprocSide, word: Open) -> None:
        """Take it, turn it down, or leave it to somebody who answers later."""
        if self._node.leaving is not None:
            streams.turn_down(side, Refused(Refusal.BUSY, f"{self._node.local_id} leaves"))
            return
        if self._judged[streams.dest] >= self._node.options.max_offers:
            streams.turn_down(side, FULL)
            return
        if self._node.stream_rests.overrun(streams.dest):
            streams.turn_down(side, UNREAD)
            return
        verdict: bool | Awaitable[bool]
        try:
            verdict = self._node.rights.may_stream(streams.dest, word.service)
        except Exception as error:
            self._report(error, streams.dest)
            verdict = False
        if inspect.isawaitable(verdict):
            self._judged[streams.dest] += 1
            self._node.spawn(self._wait(streams, side, word, verdict), f"litz authorize a stream of {streams.dest}")
        elif verdict is True:
            self._ask(streams, side, word)
        else:
            streams.turn_down(side, NO_SUCH)

    async def _wait(self, streams: SessionStreams, side: OutprocSide, word: Open, verdict: Awaitable[bool]) -> None:
        """It has the time of a handshake; of one peer there are never more of them than offers may wait."""
        allowed = False
        try:
            async with asyncio.timeout(self._node.options.handshake_timeout):
                allowed = await verdict is True
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self._report(error, streams.dest)  # its own: no verdict
        except Exception as error:
            self._report(error, streams.dest)
        finally:
            self._judged[streams.dest] -= 1
            if not self._judged[streams.dest]:
                del self._judged[streams.dest]
        if side.entry.state is not State.OFFERED:
            return
        if allowed:
            self._ask(streams, side, word)
        else:
            streams.turn_down(side, NO_SUCH)

    def _ask(self, streams: SessionStreams, side: OutprocSide, word: Open) -> None:
        """It may: who listens decides. Only what is wanted gets a place, for which one that nobody uses may go."""
        accept = self._listeners.get(word.service)
        answer: Refused | Later | None = NO_SUCH
        if accept is not None and not streams.has_place:
            answer = FULL
        elif accept is not None:
            offer = Offer(streams.dest, word.service, word.metadata, streams.verified, word.pipe)
            try:
                answer = accept(offer, side)
            except Exception as error:
                self._report(error, streams.dest)
                answer = Refused(Refusal.REJECTED, "it failed to decide")
        if not isinstance(answer, Later):
            side.answer(answer)
        elif side.entry.state is State.OFFERED:
            streams.place(side)

    def _report(self, error: BaseException, dest: str) -> None:
        """Not each of them: a peer opens as many streams as it likes."""
        tell_seldom(self._node.loop, self._seldom, dest, error, f"an error about a stream that {dest} wants")
