"""A random life of one pair of `ResumablePipe`s: seeded users, a network that does what networks do, and a judge.

Invariants
  intact         each end received a prefix of what the other one wrote, and all of it at the end
  real-end       EOF comes behind the last byte that was written, never for a connection that closed
  one-dial       never two calls of `reconnect` at once
  bounded        what waits at either end stays within its sizes
  shared         whoever asked for a reconnect got an answer, and a cancelled one disturbed nobody
  strangers      no connection of somebody else, and no older one, ever carries the pipe
  alive          all is delivered once the network is well
  closed         aclose returns in time, and leaves nothing
  typed-errors   nothing is raised but what the documentation names
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from litz.backoff import Backoff
from litz.errors import HandshakeError, ProtocolError, ResumeImpossibleError
from litz.resumable_pipe import ResumablePipe
from litz.resume_options import ResumeOptions
from litz.testing import SimLoop, SimStream
from tests.simulation.resumable.network import Network, connection
from tests.simulation.seeds import InvariantError as BaseInvariantError
from tests.simulation.seeds import invariant_names

HITS = (
    "cut",
    "cut-in-handshake",
    "half-open",
    "stalled",
    "refused-dial",
    "late-connection",
    "stranger",
    "garbage",
    "asked-reconnect",
    "cancelled-ask",
    "resumed",
    "replayed",
    "writer-waited",
    "half-closed",
    "slow-reader",
    "rude",
)
"""What many seeds must reach."""

TROUBLE = 20.0
"""Seconds for which the network is bad."""


INVARIANTS = invariant_names(__doc__)


class InvariantError(BaseInvariantError):
    """One of the list above."""

    names = INVARIANTS


class User:
    """Writes a stream of its own at one end, and reads the other's."""

    def __init__(self, pipe: ResumablePipe, seed: str, hits: Counter[str]) -> None:
        self.pipe = pipe
        self._rng = random.Random(seed)
        self._hits = hits
        self.data = self._rng.randbytes(self._rng.choice([0, 10, 3_000, 60_000, 300_000, 300_000]))
        self.wrote = 0
        self.got = bytearray()
        self.size = self._rng.choice([1, 100, 65_536])
        self.slow = self._rng.random() < 0.4 and self.size > 1
        self.pause = self._rng.choice([0.0, 0.3, 0.7])
        self.parts = self._rng.choice([1, 30, 100])

    async def write(self) -> None:
        rng, writer = self._rng, self.pipe.writer
        while self.wrote < len(self.data):
            size = max(len(self.data) // self.parts, 1)
            part = self.data[self.wrote : self.wrote + rng.randint(1, size * 2)]
            self.wrote += len(part)
            writer.write(part)
            if rng.random() < 0.6:
                full = self.pipe.transport.get_write_buffer_size() > 0
                self._hits["writer-waited"] += full
                await writer.drain()
            if rng.random() < self.pause:
                await asyncio.sleep(rng.random() * 2)
        if rng.random() < 0.5:
            self._hits["half-closed"] += 1
            writer.write_eof()

    def _has_all(self, other: User) -> bool:
        return len(self.got) == len(other.data)

    async def read(self, other: User) -> None:
        rng = self._rng
        while not self._has_all(other) and (part := await self.pipe.reader.read(self.size)):
            self.got += part
            if self.got != other.data[: len(self.got)]:
                raise InvariantError("intact", f"{self.pipe.name} got other bytes than were written")
            if len(self.got) > other.wrote:
                raise InvariantError("intact", f"{self.pipe.name} got more than was written")
            if self.slow and rng.random() < 0.3:
                self._hits["slow-reader"] += 1
                await asyncio.sleep(rng.random())
        if len(self.got) < len(other.data):
            raise InvariantError("real-end", f"{self.pipe.name} read the end after {len(self.got)} bytes")


class World:
    """One seed."""

    def __init__(self, seed: int, loop: SimLoop) -> None:
        self.loop = loop
        self.hits: Counter[str] = Counter()
        self._rng = rng = random.Random(f"resumable {seed}")
        self._well = False
        self._hurt: list[SimStream] = []
        self.network = Network(
            loop,
            seed,
            made=self._made,
            fragment=rng.choice([1, 50, 16 * 1024]),
            system_buffer=rng.choice([500, 64 * 1024]),
            latency=rng.choice([0.001, 0.5]),
        )
        self.active = ResumablePipe(
            self.network.dial, options=self._options(), name="active", rng=random.Random(f"jitter {seed}")
        )
        self.passive = self.network.passive = ResumablePipe(options=self._options(), name="passive")
        self.users = [User(pipe, f"{seed} {pipe.name}", self.hits) for pipe in (self.active, self.passive)]
        smallest = min(min(pipe.options.replay_size, pipe.options.receive_size) for pipe in (self.active, self.passive))
        most = 300 if smallest == 1 else 10_000 if smallest == 500 or self.network.fragment == 1 else 300_000
        for user in self.users:  # what goes byte by byte, or one round trip each, takes its time
            user.data = user.data[:most]

    def _options(self) -> ResumeOptions:
        rng = self._rng
        return ResumeOptions(
            replay_size=rng.choice([1, 500, 30_000, 30_000, 4 * 1024 * 1024]),
            receive_size=rng.choice([1, 500, 500, 30_000, 1024 * 1024]),
            limit=rng.choice([20, 1000, 64 * 1024]),
            kept=1000.0,
            ping_after=1.0,
            dead_after=1.0,
            handshake_timeout=3.0,
            backoff=Backoff(base=0.05, cap=2.0),
        )

    async def run(self) -> None:
        trouble = self.loop.create_task(self._trouble(), name="trouble")
        watch = self.loop.create_task(self._watch(), name="watch")
        try:
            async with asyncio.timeout(2_000):
                self.active.start()
                self.passive.start()
                one, other = self.users
                await asyncio.gather(one.write(), other.write(), one.read(other), other.read(one))
                if self._rng.random() < 0.5:
                    await trouble  # while nothing is under way
        except TimeoutError:
            got = [
                f"{len(user.got)} of {len(other.data)}"
                for user, other in zip(self.users, self.users[::-1], strict=True)
            ]
            raise InvariantError("alive", f"not all was delivered: {got}, {self.active!r}, {self.passive!r}") from None
        finally:
            self._well = True
            for task in (trouble, watch):
                task.cancel()
            await asyncio.wait([trouble, watch])
        for task in (trouble, watch):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        await self._close()

    async def _close(self) -> None:
        for stream in self.network.streams[-1:]:
            stream.resume()
        polite = self._rng.random() < 0.7
        if polite:
            for user in self.users:
                user.pipe.writer.write_eof()
            rests = await asyncio.gather(*(user.pipe.reader.read() for user in self.users))
            if any(rests):
                raise InvariantError("intact", "something came behind the last byte")
        else:
            self.hits["rude"] += 1  # one end may go without knowing what the other one has
        began = self.loop.time()
        await asyncio.gather(self.active.aclose(), self.passive.aclose())
        if self.loop.time() - began > 5.5:
            raise InvariantError("closed", f"aclose took {self.loop.time() - began:.1f} s")
        for user in self.users:
            if user.pipe.error is not None and (polite or not isinstance(user.pipe.error, ResumeImpossibleError)):
                raise InvariantError("typed-errors", f"{user.pipe!r} was lost: {user.pipe.error!r}")
            if polite and self.network.streams[-1] not in self._hurt and not user.pipe._session.complete:
                raise InvariantError(
                    "closed", f"{user.pipe!r} does not know that all has arrived, on a good connection"
                )
        await self.network.aclose()
        self.hits["resumed"] += self.active.connections > 1
        self.hits["refused-dial"] += self.network.refused
        for error in self.network.errors:
            if not isinstance(error, OSError | EOFError | HandshakeError | ProtocolError):
                raise InvariantError("typed-errors", f"attach raised {error!r}")
        if self.network.most_dialling > 1:
            raise InvariantError("one-dial", f"{self.network.most_dialling} calls of reconnect at once")

    # -- trouble -------------------------------------------------------------------------------------

    def _made(self, stream: SimStream) -> None:
        if not self._well and self._rng.random() < 0.4:
            self._hurt.append(stream)
            self.hits["cut-in-handshake"] += 1
            stream.cut_after(self._rng.choice(["client", "server"]), self._rng.randrange(150))

    async def _trouble(self) -> None:
        rng, until = self._rng, self.loop.time() + TROUBLE
        deeds = (self._cut, self._half_open, self._stall, self._refuse, self._late, self._stranger, self._garbage)
        while self.loop.time() < until:
            await asyncio.sleep(rng.random() * 3)
            if rng.random() < 0.25:
                await self._ask()
            else:
                await rng.choice(deeds)()
        self._well = True
        self.network.refusing = False
        self.network.late = 0.0
        for stream in self.network.streams:
            stream.resume()

    async def _cut(self) -> None:
        if self.network.streams:
            self.hits["cut"] += 1
            self._hurt.append(self.network.streams[-1])
            self.network.streams[-1].cut()

    async def _half_open(self) -> None:
        if self.network.streams:
            self.hits["half-open"] += 1
            self._hurt.append(self.network.streams[-1])
            self.network.streams[-1].cut(learn=self._rng.choice(["client", "server"]))

    async def _stall(self) -> None:
        if self.network.streams:
            self.hits["stalled"] += 1
            stream = self.network.streams[-1]
            stream.stall(self._rng.choice(["client", "server", None]))
            await asyncio.sleep(self._rng.random() * 4)
            stream.resume()

    async def _refuse(self) -> None:
        self.network.refusing = True
        await asyncio.sleep(self._rng.random() * 3)
        self.network.refusing = False

    async def _late(self) -> None:
        """The next connection is heard of at the passive end when newer ones are there already."""
        self.hits["late-connection"] += 1
        self.network.late = self._rng.random() * 2.5
        await self._ask()
        self.network.late = 0.0

    async def _stranger(self) -> None:
        """A pipe of somebody else comes to the passive end."""
        if not self.passive.connected:
            return  # who comes first to a fresh pipe is its peer
        self.hits["stranger"] += 1
        before = self.passive.connections

        async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return self.network.connect()

        other = ResumablePipe(dial, options=self._options(), name="stranger")
        other.writer.write(b"evil")
        try:
            await other.wait_connected(3.0)
        except (ResumeImpossibleError, TimeoutError):
            pass
        else:
            raise InvariantError("strangers", f"a stranger was let in after {before} connections")
        finally:
            await other.aclose()

    async def _garbage(self) -> None:
        """Somebody connects and says something else, or nothing."""
        self.hits["garbage"] += 1
        stream, client, server = connection(self.loop, seed=f"{self._rng.random()}")
        client[1].write(self._rng.choice([b"", b"GET / HTTP/1.1\r\n\r\n", bytes(100), self._rng.randbytes(1000)]))
        try:
            await self.passive.attach(*server)
        except (OSError, EOFError, HandshakeError, ProtocolError):
            pass
        else:
            raise InvariantError("strangers", "garbage carried the pipe")
        finally:
            stream.cut()
            client[1].close()

    async def _ask(self) -> None:
        """Some ask for a reconnect at once, and one of them goes away."""
        asking = [self.loop.create_task(self.active.reconnect(), name=f"ask {number}") for number in range(3)]
        self.hits["asked-reconnect"] += 1
        try:
            await asyncio.sleep(self._rng.random() * 0.3)
            self.hits["cancelled-ask"] += not asking[0].done()
            asking[0].cancel()
            _, left = await asyncio.wait(asking, timeout=25.0)
        except asyncio.CancelledError:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            raise
        if left:
            raise InvariantError("shared", "a reconnect got no answer")
        answers = [type(task.exception()).__name__ for task in asking[1:] if not task.cancelled()]
        if len(answers) != 2 or answers[0] != answers[1]:
            raise InvariantError("shared", f"those who asked together got {answers}")
        error = asking[1].exception()
        if error is not None and not isinstance(error, OSError | EOFError | HandshakeError | ProtocolError):
            raise InvariantError("typed-errors", f"reconnect raised {error!r}")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            for user in self.users:
                session, options = user.pipe._session, user.pipe.options
                held, unread = len(session.out), session.received - session.consumed
                if held > max(options.replay_size, 64 * 1024) or unread > options.receive_size:
                    raise InvariantError("bounded", f"{user.pipe!r} holds {held} written and {unread} received bytes")
                self.hits["replayed"] += session.sent > session.out.start and user.pipe.connections > 1
