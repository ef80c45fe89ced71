"""A TCP proxy that harms connections on command: reset, blackhole, half-close, cut, delay, refuse.

    async with FaultProxy("127.0.0.1", 8400, seed=7) as proxy:
        connect to proxy.host, proxy.port
        proxy.reset(proxy.any_link())

Bytes are never changed, doubled or reordered: what a fault does to a connection is what a network does to TCP.
All randomness comes from the seed; `counts` says how often each fault was done. One loop, no thread; to give
it a process of its own see `tests/prove/proxy_worker.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from random import Random
from types import TracebackType
from typing import Self

from tests.prove.fault_link import End, Link, Way

BOTH = (Way.UP, Way.DOWN)
TURNS = 4
"""Of the loop, in which a connection that had been accepted when the proxy ended gets its transport, and is refused.
Without them that was nobody's, and warned of itself when the loop ended first."""


class FaultProxy:
    """Forwards each connection to the target; listens at port `listen` of the address `at`. Methods that harm take a
    link; see `links` and `any_link`."""

    def __init__(self, host: str, port: int, *, seed: int = 0, listen: int = 0, at: str = "127.0.0.1") -> None:
        self.target = (host, port)
        self.rng = Random(seed)
        self.counts: Counter[str] = Counter()
        self.links: dict[int, Link] = {}
        self.refusing = False
        """New connections get a RST at once."""
        self.stalling = False
        """New connections are accepted and then nothing passes, either way."""
        self.latency = 0.0
        """Seconds by which each way of a new connection is late, from its first byte on."""
        self.host = at
        self.port = listen
        self._server: asyncio.Server | None = None
        self._ends: dict[End, None] = {}
        self._dials: dict[asyncio.Task[None], None] = {}
        self._closing = False

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop listening, reset every link, and wait until all sockets are closed."""
        self._closing = True
        if self._server is not None:
            # A server that is closed loses what it accepted in the last turn (`Server._attach`): so that comes first.
            for listener in self._server.sockets:
                asyncio.get_running_loop().remove_reader(listener.fileno())
            for _ in range(TURNS):
                await asyncio.sleep(0)
            self._server.close()
        for link in list(self.links.values()):
            link.reset()
        for dial in list(self._dials):
            dial.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        for end in list(self._ends):
            await end.aclose()
        if self._server is not None:
            await self._server.wait_closed()

    def any_link(self) -> Link | None:
        """A living link, chosen by the seed; None when there is none."""
        return self.rng.choice(list(self.links.values())) if self.links else None

    def reset(self, link: Link) -> None:
        """RST to both ends."""
        self.counts["reset"] += 1
        link.reset()

    def blackhole(self, link: Link, ways: Iterable[Way] = BOTH) -> None:
        """Nothing passes any more in these directions, and nobody is told. `heal` lets it pass again."""
        ways = tuple(ways)
        self.counts["blackhole both ways" if len(ways) == len(Way) else "blackhole one way"] += 1
        for way in ways:
            link.flows[way].hold(True)

    def heal(self, link: Link) -> None:
        """What was held passes; delays end."""
        self.counts["heal"] += 1
        for flow in link.flows.values():
            flow.delay = lambda: 0.0
            flow.hold(False)

    def half_close(self, link: Link, way: Way) -> None:
        """FIN in one direction; the other goes on."""
        self.counts["half-close"] += 1
        link.half_close(way)

    def cut_after(self, link: Link, way: Way, size: int | None = None) -> None:
        """RST after `size` more bytes in this direction (default: by the seed, 1 to 65,536). Counted when done."""
        link.flows[way].cut_after = size if size is not None else self.rng.randint(1, 65536)

    def delay(self, link: Link, seconds: float, jitter: float = 0.0, ways: Iterable[Way] = BOTH) -> None:
        """From now on each chunk is late by `seconds` plus up to `jitter`, in order all the same."""
        self.counts["delay"] += 1
        for way in ways:
            link.flows[way].delay = lambda: seconds + jitter * self.rng.random()

    def _accept(self) -> End:
        self.counts["accepted"] += 1
        link = Link(self.counts["accepted"], self._closed, self._cut)
        if self.refusing or self._closing:
            self.counts["refused"] += 1
            link.closed = True  # `End.connection_made` then aborts
            return self._end(link, Way.UP)
        self.links[link.number] = link
        if self.latency:
            for way in Way:
                link.flows[way].delay = lambda: self.latency
        if self.stalling:
            self.counts["stalled"] += 1
            for way in Way:
                link.flows[way].held = True
        else:
            dial = asyncio.get_running_loop().create_task(self._dial(link))
            self._dials[dial] = None
            dial.add_done_callback(lambda done: self._dials.pop(done, None))
        return self._end(link, Way.UP)

    async def _dial(self, link: Link) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self._end(link, Way.DOWN), *self.target)
        except OSError:
            self.counts["target unreachable"] += 1
            link.reset()

    def _end(self, link: Link, way: Way) -> End:
        end = End(link, way)
        self._ends = {known: None for known in self._ends if not known.gone.is_set()} | {end: None}
        return end

    def _closed(self, link: Link) -> None:
        self.links.pop(link.number, None)
        for way, flow in link.flows.items():
            self.counts[f"bytes {way.value}"] += flow.passed

    def _cut(self) -> None:
        self.counts["cut"] += 1
