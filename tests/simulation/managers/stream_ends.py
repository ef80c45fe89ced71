"""What the users of streams do in the simulation, and what they and the checker know: one `Stream` for each open, with
an `End` at each side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Final

from litz.errors import ManagerStateError, SessionEndedError
from litz.stream_port import Abort, Kept, StreamSide
from outproc.streams.side import OutprocSide
from tests.simulation.managers.record import BLOCK, InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.streaming import Streaming

HEAD: Final = 8
"""Bytes in front of each entry: which stream, whose, which entry."""


def entry_of(uid: int, half: int, number: int, size: int) -> bytes:
    """The bytes of an entry: they fit nowhere else."""
    start = (uid * 7919 + number * 131 + half) % (len(BLOCK) - (1 << 16))
    head = uid.to_bytes(4, "big") + bytes((half,)) + number.to_bytes(3, "big")
    return (head + BLOCK[start : start + max(0, size - HEAD)])[: max(size, HEAD)]


class Stream:
    """One open, and what became of it."""

    def __init__(self, uid: int, opener: Life, dest: str) -> None:
        self.uid = uid
        self.opener = opener
        self.dest = dest
        self.answer = ""
        """What the opener was told: "opened", "refused", "cancelled", "failed"."""
        self.taken = ""
        """What the other side said: "", "accepted", "refused", "later"."""
        self.ends: list[End | None] = [None, None]

    def __repr__(self) -> str:
        return f"stream {self.uid} {self.opener}>{self.dest}"


class End:
    """A `StreamUser` that writes, reads and ends as chance says; once all has healed, as it should."""

    def __init__(self, streaming: Streaming, stream: Stream, half: int, life: Life, side: StreamSide) -> None:
        self.streaming = streaming
        self.stream = stream
        self.half = half
        self.life = life
        self.side = side
        self.rng = rng = Random(f"stream {streaming.world.seed} {stream.uid} {half}")
        self.written: list[bytes] = []
        self.read = 0
        self.unread: list[int] = []
        self.got_all = self.closed = self.released = False
        """The peer's half is complete; this half is; nothing more is told."""
        self.end: tuple[str, object] | None = None
        self.said: list[int] = []
        """Codes with which this side's user aborted it."""
        self.reads = rng.choices(("at once", "late", "never"), (5, 3, 1))[0]
        self.left_to_write = rng.choice((0, 1, 3, 10, 40, 400))
        self.largest = min(rng.choice((8, 60, 1_000, 64 << 10)), streaming.limits.max_entry)
        self.large = Random(f"large entries {streaming.world.seed} {stream.uid} {half}")
        self.large_left = 4 if self.large.random() < 0.3 else 0
        """How many entries it still writes as large as they may be: many would take any time on a slow wire."""
        self.how = rng.choices(("finish", "abort", "release", "hang"), (8, 1, 1, 2))[0]
        self.rests = Random(f"rests {streaming.world.seed} {stream.uid} {half}")
        self.rest: Kept | None = None
        self.rest_left = 0
        """Of what came, this much is still unread although it is over."""
        self.rest_timer: asyncio.TimerHandle | None = None
        self.paused = self.waits_for_room = False
        self.wants_confirmed = False
        self.confirmed_at = 0
        self.timer: asyncio.TimerHandle | None = None
        side.use(self)
        self.later()

    # -- told ---------------------------------------------------------------------------------------

    def _told(self, what: str) -> None:
        streaming = self.streaming
        streaming.world.log(self, "told", what)
        if self.released:
            self._fail("streams-end", f"was told {what!r} after it was released")
        if self.end is not None:
            self._fail("streams-end", f"was told {what!r} after {self.end}")

    def _fail(self, name: str, text: str) -> None:
        self.streaming.world.failed(InvariantError(name, f"{self} {text}"))

    @property
    def other(self) -> End | None:
        return self.stream.ends[1 - self.half]

    @property
    def begun(self) -> bool:
        """Whether it has been told what came before it was there: that was acknowledged then."""
        return not isinstance(self.side, OutprocSide) or self.side._began

    def received(self, entries: Sequence[Any], size: int) -> None:
        self._told(f"{len(entries)} entries")
        if self.got_all:
            self._fail("streams-exact", "got entries behind the end")
        if sum(map(len, entries)) != size or not entries:
            self._fail("streams-exact", f"was told of {size} bytes in {list(map(len, entries))}")
        other = self.other
        for entry in entries:
            if other is None or self.read >= len(other.written) or bytes(entry) != other.written[self.read]:
                self._fail("streams-exact", f"got {bytes(entry[:HEAD]).hex()} as entry {self.read}")
                return
            self.read += 1
            self.unread.append(len(entry))
        if self.reads == "at once" or (self.streaming.winding_up and not self.stubborn):
            self.take()

    def finished(self) -> None:
        """The peer's half is complete."""
        self._told("finished")
        other = self.other
        if other is None or not other.closed or self.read != len(other.written):
            self._fail("streams-exact", f"was told that it is complete after {self.read} entries")
        if self.got_all:
            self._fail("streams-end", "was told twice that it is complete")
        self.got_all = True
        self._perhaps_release()

    def aborted(self, code: int, reason: str) -> None:
        self._told(f"aborted {code}")
        self.end = ("aborted", code)
        self.streaming.world.hits[f"stream aborted: {Abort(code).name}"] += 1
        if code in (Abort.CANCELLED, Abort.HANDLER_FAILED):
            other = self.other
            if other is not None and code not in other.said:
                self._fail("streams-end", f"was told of an abort {code} that its peer did not say: {other.said}")
        self._over()

    def lost(self, error: BaseException) -> None:
        self._told(f"lost {type(error).__name__}")
        self.end = ("lost", error)
        if not isinstance(error, SessionEndedError | ManagerStateError):
            self._fail("typed-errors", f"was lost with {error!r}")
        self.streaming.world.hits["stream lost"] += 1
        self._over()

    def writable(self) -> None:
        self._told("writable")
        if not self.waits_for_room:
            self._fail("streams-end", "was told of room that it did not wait for")
        self.waits_for_room = False
        self.step()

    def confirmed(self) -> None:
        self._told("confirmed")
        other = self.other
        if not self.wants_confirmed:
            self._fail("streams-exact", "was told that all is confirmed, and did not ask")
        self.wants_confirmed = False
        hears = other is not None and other.end is None and not other.released and other.begun
        if other is not None and hears and other.read < self.confirmed_at:
            self._fail("streams-exact", f"has {self.confirmed_at} confirmed, and its peer got {other.read}")
        self.streaming.world.hits["stream confirmed"] += 1

    def link(self, up: bool) -> None:
        self._told("up" if up else "down")
        self.streaming.world.hits["stream heard of its link"] += 1

    # -- doing --------------------------------------------------------------------------------------

    @property
    def stubborn(self) -> bool:
        """Whether it reads nothing, even now."""
        return self.reads == "never" and not self.streaming.everybody_reads

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do with it."""
        return self.released or self.end is not None

    def _over(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        takes, keeps = self.rng.random() < 0.7, self.rests.random() < 0.7
        if takes and not keeps:
            self.take()
        if self.unread and keeps and not self.released:
            self.rest_left = sum(self.unread)
            self.rest = self.side.keep(self.rest_left)
            self.streaming.world.hits["stream is over and its rest is kept"] += 1
            self._read_rest_later()
        self._release()

    def _read_rest_later(self) -> None:
        pause = 0.01 if self.streaming.winding_up else self.rests.random() ** 2 * 20
        self.rest_timer = self.streaming.world.loop.call_later(pause, self.read_rest)

    def read_rest(self) -> None:
        """Some of it, or all; or it is let go of."""
        if self.rest_timer is not None:
            self.rest_timer.cancel()
        if self.rest is None:
            return
        if self.rest_left and self.rests.random() < 0.7:
            size = self.rests.randint(1, self.rest_left)
            self.rest_left -= size
            self.rest.took(size)
            self._read_rest_later()
        else:
            self.rest, self.rest_left = None, 0

    def later(self) -> None:
        """Go on after a while."""
        if self.timer is not None:
            self.timer.cancel()
        pause = 0.01 if self.streaming.winding_up else self.rng.random() ** 2 * 0.3
        self.timer = self.streaming.world.loop.call_later(pause, self.step)

    def step(self) -> None:
        """Something of what it has to do."""
        if self.over:
            return
        winding_up, rng = self.streaming.winding_up, self.rng
        if not self.stubborn and (winding_up or (self.reads == "late" and rng.random() < 0.5)):
            self.take()
        if rng.random() < 0.1 or (winding_up and self.paused):
            self.paused = not self.paused and not winding_up
            (self.side.pause if self.paused else self.side.resume)()
        burst = self.left_to_write if winding_up else min(self.left_to_write, rng.randint(1, 60))
        while burst and not self.waits_for_room:
            burst -= 1
            self.waits_for_room = not self._write()
        if rng.random() < 0.2 and not self.wants_confirmed and not winding_up:
            self.wants_confirmed = True
            self.confirmed_at = len(self.written)
            self.side.want_confirmed()
        if not self.left_to_write and not self.closed:
            self._end()
        if not (self.closed and winding_up):
            self.later()

    def _write(self) -> bool:
        size = self.rng.randint(HEAD, max(HEAD, self.largest))
        most = self.side.max_entry
        if self.large_left and most > self.streaming.limits.max_entry and self.large.random() < 0.7:
            self.large_left -= 1
            size = max(size, self.large.choice((most, self.large.randint(HEAD, most))))
            self.streaming.world.hits["stream entry larger than always allowed"] += 1
        entry = entry_of(self.stream.uid, self.half, len(self.written), size)
        cut = self.rng.randint(0, len(entry))
        shape: Any = (entry[:cut], memoryview(entry)[cut:]) if self.rng.random() < 0.3 else entry
        if not self.side.write(shape, len(entry)):
            self.streaming.world.hits["stream without room"] += 1
            return False
        self.written.append(entry)
        self.left_to_write -= 1
        return True

    def _end(self) -> None:
        how = "finish" if self.streaming.winding_up and self.how == "hang" else self.how
        match how:
            case "finish":
                self.closed = True
                self.side.finish()
                self._perhaps_release()
            case "abort" | "release":
                if how == "abort":
                    self.said.append(Abort.HANDLER_FAILED)
                    self.side.abort(Abort.HANDLER_FAILED, "chance")
                self.said.append(Abort.CANCELLED)
                self._release()

    def take(self) -> None:
        """Read what came."""
        unread, self.unread = self.unread, []
        if unread and not self.released:
            self.side.consumed(len(unread), sum(unread))

    def _perhaps_release(self) -> None:
        """Complete both ways: whoever used it may go, read or not."""
        if self.closed and self.got_all:
            self.streaming.world.hits["stream complete"] += 1
            if not self.stubborn:
                self.take()
                self._release()

    def _release(self) -> None:
        if not self.released:
            self.side.release()
            self.released = True
            if self.timer is not None:
                self.timer.cancel()

    def __repr__(self) -> str:
        return f"{self.stream} {'opener' if self.half == 0 else 'taker'} ({self.side!r})"
