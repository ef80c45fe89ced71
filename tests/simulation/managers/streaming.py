"""Seeds whose nodes have streams: who opens which, who takes them, and what must be true of all in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any, Final

from litz.errors import LitzError, StreamRefusedError
from litz.stream_port import Abort, Later, Offer, Refusal, Refused, StreamSide
from outproc.options import TransportOptions
from outproc.session.limits import StreamLimits
from outproc.streams.side import OutprocSide
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.stream_ends import End, Stream

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World

STREAMING: Final = 8
"""The hundred thousands of the seeds that have streams: 800,000 to 899,999, and so in each million."""
SERVICE: Final = "sim"
FEW, SMALL = 6, 1_000
"""Entries that are written once all has healed, and their size: windows may be tiny, and wires slow."""
HITS: Final = (
    "stream opened",
    "stream complete",
    "stream refused: REFUSED",
    "stream refused: BUSY",
    "stream refused: REJECTED",
    "stream open cancelled",
    "stream open lost",
    "stream answered later",
    "stream aborted: CANCELLED",
    "stream aborted: HANDLER_FAILED",
    "stream aborted: IDLE",
    "stream lost",
    "stream is over and its rest is kept",
    "stream entry larger than always allowed",
    "stream without room",
    "stream confirmed",
    "stream heard of its link",
    "streams beside a reader that does not read",
)
"""What a run over them must have hit at least once."""


def has_streams(seed: int) -> bool:
    """Whether it is one of the seeds that have them."""
    return seed // 100_000 % 10 == STREAMING


def draw_streams(
    seed: int, options: dict[str, TransportOptions]
) -> tuple[dict[str, TransportOptions], StreamLimits | None]:
    """The options of a seed, and the limits of its streams, which are part of the protocol: all nodes have the same.
    Chance of its own."""
    if not has_streams(seed):
        return options, None
    rng = Random(f"managers plan, streams {seed}")
    tiny = rng.random() < 0.7
    entry = rng.choice((16, 100, 1_500)) if tiny else 64 << 10
    first = entry * rng.choice((1, 1, 4)) if tiny else 64 << 10
    limits = StreamLimits(
        first_size=first,
        first_entries=rng.choice((1, 2, 10)) if tiny else 256,
        max_entry=entry,
        most_size=first * rng.choice((1, 2, 64)),
        budget=rng.choice((1, first * 3, 64 << 20)),
        log_size=entry * rng.choice((1, 4)),
        log_entries=rng.choice((1, 5, 1_024)),
    )
    if tiny:
        large = Random(f"managers plan, large entries {seed}").choice((1, 1, 3, 20, 1_000))
        limits = replace(limits, large_entry=entry * large)
    drawn = {}
    for name, each in options.items():
        update = {
            "max_streams": rng.choice((2, 6, 15, 4_096)),
            "max_offers": rng.choice((1, 3, 1_024)),
            "process_stream_size": rng.choice((entry, 20 * entry, 256 << 20)),
        }
        drawn[name] = each.model_copy(update=update)
    return drawn, limits


class Streaming:
    """Of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.active = has_streams(world.seed)
        self.rng = Random(f"streaming {world.seed}")
        self.limits = world.plan.streams or StreamLimits()
        self._little_room = self.rng.random() < 0.3
        self.streams: list[Stream] = []
        self.winding_up = self.everybody_reads = False
        self._timers: list[asyncio.TimerHandle] = []

    # -- lives --------------------------------------------------------------------------------------

    def begin(self, life: Life) -> None:
        """It has been entered: it takes streams, and opens some."""
        if not self.active:
            return
        life.node.stream_limits = self.limits
        if self._little_room:
            life.node.internal.budget.limit = 1  # one word at a time
        self._carrier(life).listen(SERVICE, lambda offer, side: self._offered(life, offer, side))
        life.spawn(self._opens(life), "opens streams")

    def _carrier(self, life: Life) -> Any:
        return life.manager._running().streams

    async def _opens(self, life: Life) -> None:
        rng = Random(f"streaming {self.world.seed} {life.number}")
        others = [name for name in self.world.plan.names if name != life.name]
        for _ in range(rng.randint(3, 12)):
            await asyncio.sleep(rng.random() ** 2)
            for _ in range(rng.choice((1, 1, 2, 8))):
                if self.world.healed or not life.alive:
                    return
                stream = Stream(len(self.streams), life, rng.choice(others))
                self.streams.append(stream)
                task = life.spawn(self._open(stream, rng.choice((None, 0.05, 1.0))), "opens a stream")
                if rng.random() < 0.15:
                    self._later(rng.choice((0.0, 0.0, rng.random() * 0.3)), task.cancel)

    def _later(self, seconds: float, call: Callable[[], object]) -> None:
        self._timers.append(self.world.loop.call_later(seconds, call))

    async def _open(self, stream: Stream, timeout: float | None) -> None:
        life, hits = stream.opener, self.world.hits
        service = SERVICE if self.rng.random() < 0.95 else "unheard-of"
        metadata = stream.uid.to_bytes(4, "big")
        try:
            side = await self._carrier(life).open(stream.dest, service, metadata, pipe=False, timeout=timeout)
        except StreamRefusedError as error:
            stream.answer = "refused"
            hits[f"stream refused: {Refusal(error.why).name}"] += 1
            hits["stream refused for what was not read"] += "read" in str(error) and error.why == Refusal.BUSY
            if service != SERVICE and error.why == Refusal.REJECTED:
                raise InvariantError("streams-end", f"{stream}: nobody listens, and somebody rejected it") from error
        except (LitzError, TimeoutError) as error:
            stream.answer = "failed"
            self.world.log(stream, type(error).__name__, error)
            hits["stream open lost"] += 1
            hits[f"stream open lost: {type(error).__name__}"] += 1
        except asyncio.CancelledError:
            stream.answer = "cancelled"
            hits["stream open cancelled"] += 1
            raise
        else:
            stream.answer = "opened"
            hits["stream opened"] += 1
            if stream.taken != "accepted":
                raise InvariantError("streams-end", f"{stream} was opened, and nobody took it: {stream.taken!r}")
            self._begin(stream, 0, life, side)

    def _offered(self, life: Life, offer: Offer, side: StreamSide) -> Refused | Later | None:
        stream = self.streams[int.from_bytes(offer.metadata, "big")]
        if stream.dest != life.name or stream.opener.name != offer.sender or stream.taken:
            self.world.failed(InvariantError("streams-exact", f"{stream} was offered to {life} by {offer.sender}"))
        ends = self._ends_of(life)
        theirs = sum(end.rest_left for end in ends if offer.sender in (end.stream.opener.name, end.stream.dest))
        rests = sum(end.rest_left for end in ends)
        if theirs and rests >= life.options.process_stream_size:
            text = f"{stream} was offered to {life}, where {rests} bytes of streams that are over wait unread"
            self.world.failed(InvariantError("bounded", text))
        what = self.rng.random()
        if what < 0.1:
            stream.taken = "refused"
            return Refused(Refusal.REJECTED, "chance", 0.5)
        if what < 0.3:
            stream.taken = "later"
            self._later(self.rng.random() * 0.5, lambda: self._answer(stream, life, side))
            return Later.LATER
        self._take(stream, life, side)
        return None

    def _answer(self, stream: Stream, life: Life, side: StreamSide) -> None:
        self.world.hits["stream answered later"] += 1
        if self.rng.random() < 0.2:
            stream.taken = "refused"
            side.answer(Refused(Refusal.REJECTED, "after some thought"))
            return
        stream.taken = "accepted"
        side.answer(None)
        self._take(stream, life, side)

    def _take(self, stream: Stream, life: Life, side: StreamSide) -> None:
        stream.taken = "accepted"
        self._begin(stream, 1, life, side)

    def _begin(self, stream: Stream, half: int, life: Life, side: StreamSide) -> None:
        end = stream.ends[half] = End(self, stream, half, life, side)
        if self.world.healed:
            _writes_little(end)  # nobody has reckoned with it in the time that there is for the end
        if end.rng.random() < 0.2:
            end.side.attach(False)

    # -- the end ------------------------------------------------------------------------------------

    def ends(self) -> list[End]:
        """Those of lives that live."""
        found = [end for stream in self.streams for end in stream.ends if end is not None]
        return [end for end in found if end.life.alive]

    def _ends_of(self, life: Life) -> list[End]:
        return [end for stream in self.streams for end in stream.ends if end is not None and end.life is life]

    def open_ends(self) -> list[End]:
        """Those that are neither over nor complete."""
        return [end for end in self.ends() if not (end.over or (end.closed and end.got_all))]

    def to_come(self) -> int:
        """Bytes that are on their way or are still written, at the most. Messages share their wires with them."""
        return sum(end.left_to_write * end.largest + end.side.buffered for end in self.open_ends())

    def wind_up(self) -> None:
        """All has healed: whoever writes ends, and all but a few read."""
        self.winding_up = True
        for end in self.ends():
            end.read_rest()
            _writes_little(end)
            end.later()

    def read_all(self) -> None:
        """They too."""
        self.everybody_reads = True
        for end in self.ends():
            if end.reads == "never":
                end.take()
                end.later()
                end._perhaps_release()

    def blocked(self) -> list[End]:
        """Those that are not at their end, although neither they nor their peers refuse to read."""

        def slow(end: End) -> bool:
            return any(each is not None and each.reads == "never" for each in end.stream.ends)

        return [end for end in self.open_ends() if not slow(end)]

    def note_slow(self) -> None:
        """All but those who do not read have come to their end."""
        self.world.hits["streams beside a reader that does not read"] += len(self.open_ends()) > 0

    def left(self) -> list[str]:
        """What of streams that are over is still there."""
        found = []
        for life in self.world.lives:
            if not life.alive or not self.active:
                continue
            running = life.manager._running()
            for streams in running.streams.all():
                lanes = streams.session.streams
                parts = (streams.table.entries, streams.sides, lanes.sending, lanes.receiving, streams._answers)
                if any(parts) or lanes.budget.used or streams.table.live or streams.table.lingering:
                    found.append(f"{life} with {streams.dest}: {parts} {lanes.budget.used} {streams.table.live}")
            running.node.stream_budget.settle()
            if running.streams.room.used or running.node.stream_budget.used:
                found.append(f"{life}: {running.streams.room.used} logged, {running.node.stream_budget.used} granted")
        return found

    def check_bounds(self, life: Life) -> None:
        """While it lives."""
        if not self.active or life.manager._entered is None:
            return
        here = self._ends_of(life)
        # With its session the charge is gone at once, and who reads hears so in the next turn of the loop. From then on
        # what they keep of it is charged.
        standing = [end for end in here if isinstance(end.side, OutprocSide) and not end.side._streams.over]
        unread = sum(sum(end.unread) for end in standing if not end.over)
        rests = sum(end.rest_left for end in here)
        life.node.stream_budget.settle()
        if unread + rests > life.node.stream_budget.used or rests != life.node.stream_rests.size():
            text = f"{unread} bytes wait for their readers, {rests} of streams that are over"
            raise InvariantError("bounded", f"{life}: {text}, and {life.node.stream_budget.used} are charged")
        for streams in life.manager._entered.streams.all():
            most = life.options.max_streams
            if len(streams.sides) > most + 1 or len(streams.table) > 2 * most + 1:
                raise InvariantError("bounded", f"{life}: {len(streams.sides)} streams with {streams.dest}")

    def finish(self) -> None:
        """All is closed: judge what the users were told."""
        for timer in self._timers:
            timer.cancel()
        for stream in self.streams:
            for end in stream.ends:
                for pending in (end.timer, end.rest_timer) if end is not None else ():
                    if pending is not None:
                        pending.cancel()
            opener, taker = stream.ends
            if opener is not None and taker is not None:
                self._judge(opener, taker)
                self._judge(taker, opener)

    def _judge(self, end: End, other: End) -> None:
        """Both users know the same end."""
        crashed = end.life.crashed or other.life.crashed
        complete = end.closed and end.got_all and end.end is None
        aborted = other.end is not None and other.end[0] == "aborted" and other.end[1] != Abort.IDLE
        if complete and not crashed and aborted and not end.said:
            raise InvariantError("streams-end", f"{end} is complete, and {other} was told {other.end}")
        if end.end is None and not complete and not end.said and not end.life.crashed:
            raise InvariantError("streams-end", f"{end} was never told how it ended; its peer: {other.end}")


def _writes_little(end: End) -> None:
    end.left_to_write, end.largest = min(end.left_to_write, FEW), min(end.largest, SMALL)
