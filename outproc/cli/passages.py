"""What a node of the command line exposes and forwards, from the first to the end of all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, Self

from litz.stream_port import StreamCarrier
from outproc.cli.connections import Connections
from outproc.cli.exposing import Exposing
from outproc.cli.forward_words import Exposed, Forwarded
from outproc.cli.forwarding import Forwarding
from outproc.cli.running import Stop

MAX_CONNECTIONS: Final = 256
"""Open at once through one forward, and by one peer to one exposed service."""

MAX_EXPOSED: Final = 1024
"""Open at once to one exposed service, by all peers together."""

Passage = Exposing | Forwarding


class Passages:
    """Those of one node. `carrier` gives what carries its pipes, once it runs; `say` gets lines for people."""

    def __init__(self, carrier: Callable[[], StreamCarrier], say: Callable[[str], None]) -> None:
        self._carrier = carrier
        self._say = say
        self._passages: dict[Passage, None] = {}
        self._ending: dict[asyncio.Task[None], None] = {}
        self.until_end: dict[Callable[[], None], None] = {}
        """Called when all of it ends."""

    def __len__(self) -> int:
        return len(self._passages)

    async def expose(self, exposed: Exposed, say: Callable[[str], None] | None = None) -> Exposing:
        """Expose a service from now on. Raises `ConsumerConflictError`."""
        say = say or self._say
        connections = Connections(exposed.service, MAX_EXPOSED, say, MAX_CONNECTIONS)
        passage = Exposing(self._carrier(), exposed, connections)
        say(await passage.start())
        self._passages[passage] = None
        return passage

    async def forward(self, forwarded: Forwarded, say: Callable[[str], None] | None = None) -> Forwarding:
        """Forward from now on. Raises `CommandError` if it cannot listen there."""
        say = say or self._say
        connections = Connections(str(forwarded.at), MAX_CONNECTIONS, say)
        passage = Forwarding(self._carrier(), forwarded, connections)
        said = await passage.start()
        self._passages[passage] = None
        if not forwarded.at.loopback:
            say(
                f"{forwarded.at} is open to other machines: whoever reaches it uses {forwarded.service} as this node, "
                "and is asked for nothing; listen at 127.0.0.1 unless that is what you want"
            )
        say(said)
        return passage

    def tables(self) -> dict[str, Any]:
        """For `litz status`."""
        rows = list(self._passages)
        return {
            "exposed": [each.row() for each in rows if isinstance(each, Exposing)],
            "forwards": [each.row() for each in rows if isinstance(each, Forwarding)],
        }

    def end_soon(self, passages: Sequence[Passage], within: float) -> None:
        """`end` of these, in a task of this object."""
        task = asyncio.get_running_loop().create_task(self._end(passages, within), name="litz passages: end of some")
        self._ending[task] = None
        task.add_done_callback(lambda done: self._ending.pop(done, None))

    async def end(self, stop: Stop, within: float) -> None:
        """Take nothing new; connections that stand have `within` seconds to come to their end, or until a further
        signal comes; then they are reset."""
        for told in list(self.until_end):
            told()
        left = sum(len(each.connections) for each in self._passages)
        if left:
            self._say(
                f"{left} connections are open: waiting up to {within:g} s for their end (a further signal: no more)"
            )
        loop = asyncio.get_running_loop()
        ending = loop.create_task(self._end(list(self._passages), within), name="litz passages: end")
        again = loop.create_task(stop.wait_again(), name="litz second signal")
        try:
            await asyncio.wait([ending, again], return_when=asyncio.FIRST_COMPLETED)
            self.reset()
            await ending
            if self._ending:
                await asyncio.wait(list(self._ending))
        finally:
            again.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End what `end` did not, at once."""
        self.reset()
        await self._end(list(self._passages), 0)
        if self._ending:
            await asyncio.wait(list(self._ending))

    def reset(self) -> None:
        """Reset every connection of every passage."""
        for each in self._passages:
            each.connections.reset(ConnectionAbortedError("this node ends"))

    async def _end(self, passages: Sequence[Passage], within: float) -> None:
        for each in passages:
            each.stop()
        try:
            async with asyncio.timeout(within):
                for each in passages:
                    await each.connections.ended()
        except TimeoutError:
            for each in passages:
                each.connections.reset(ConnectionAbortedError("this passage ends"))
        for each in passages:
            await each.stopped()
            self._passages.pop(each, None)
