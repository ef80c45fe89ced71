"""All streams of one session: carries out what the table says, with the lanes and the users of its sides.

Made when the first stream is opened, by either side; over with the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from litz.errors import StreamRefusedError
from litz.stream_counts import StreamCounts
from litz.stream_port import Abort, Kept, Refusal, Refused, StreamUser
from outproc.session.receive_lane import Delivery
from outproc.streams.log_room import LogRoom
from outproc.streams.moves import Effect, Input, State
from outproc.streams.side import OutprocSide
from outproc.streams.side_lanes import SideLanes
from outproc.streams.table import DYING, Entry, StreamTable, opens_even
from outproc.streams.words import TOPIC, Accept, Done, Open, Refuse, messages
from outproc.streams.words import Abort as AbortWord

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport

RETRY_AFTER: Final = 1.0
"""Seconds that who is refused for want of places is asked to wait."""

TOO_MANY: Final = "as many streams as there may be"

FULL: Final = Refused(Refusal.BUSY, TOO_MANY, RETRY_AFTER)


class SessionStreams:
    """See the module. Belongs to the loop."""

    def __init__(self, transport: DestTransport, room: LogRoom, counts: StreamCounts, limit: int) -> None:
        self._transport = transport
        self._node = transport.node
        self.session = transport.session
        self.lanes = SideLanes(transport, room)
        self.counts = counts
        self.dest = transport.dest
        self.table = StreamTable(even=opens_even(self._node.local_id, self.dest), limit=limit)
        self.sides: dict[int, OutprocSide] = {}
        self._idle: dict[int, OutprocSide] = {}
        """Those that nobody uses, the longest unused first."""
        self._answers: dict[int, asyncio.Future[None]] = {}
        """Of those who wait for their open to be answered."""
        self._posting: asyncio.Handle | None = None
        self._offers = 0
        self.over = False

    @property
    def verified(self) -> bool:
        """Whether the peer has proved its id."""
        return self._transport.verified

    @property
    def link_up(self) -> bool:
        """Whether the dest has a wire."""
        return bool(self._transport.links)

    # -- opening ------------------------------------------------------------------------------------

    def open(self, service: str, metadata: bytes, *, pipe: bool) -> tuple[OutprocSide, asyncio.Future[None]]:
        """Ask for a stream. The future is for the answer. Raises `StreamRefusedError` if there are too many."""
        if self.table.opens:
            self._make_room()
        entry = self.table.open(service, metadata, pipe=pipe)
        if entry is None:
            raise StreamRefusedError(
                f"there are {TOO_MANY} with {self.dest}; close some, or raise max_streams",
                why=Refusal.BUSY,
                retry_after=RETRY_AFTER,
            )
        side = self._made(entry)
        self.lanes.open(side)
        self.post_soon()
        future = self._answers[entry.number] = self._node.loop.create_future()
        return side, future

    def _made(self, entry: Entry) -> OutprocSide:
        side = self.sides[entry.number] = OutprocSide(self, entry, link_up=self.link_up)
        return side

    def offered(self, word: Open, *, waiting: int) -> OutprocSide | None:
        """The peer asks for a stream: `take` it, `turn_down`, or let it wait, with so many others at most. None: it was
        refused, since there are too many. Raises `ProtocolError`."""
        entry = self.table.offered(word)
        if entry is None or self._offers >= waiting:
            if entry is not None:
                self.table.act(entry, Input.TURN_DOWN, refused=FULL)
            else:
                self.table.refuse(word.number, Refusal.BUSY, TOO_MANY, RETRY_AFTER)
            self.counts.refused_here += 1
            self.post_soon()
            return None
        self._offers += 1
        return self._made(entry)

    @property
    def has_place(self) -> bool:
        """Whether one more that was offered could be taken now."""
        return not self.table.lacks_place or bool(self._idle)

    def place(self, side: OutprocSide) -> bool:
        """Give what was offered its place: it may come in, and is wanted. For want of it the one that nobody uses for
        the longest time goes. False: there is none, it was turned down, and its user was told."""
        if not side.entry.placed and not self._make_room():
            self.abort_here(side, Abort.REJECTED, TOO_MANY, FULL)
            return False
        self.table.place(side.entry)
        return True

    def take(self, side: OutprocSide) -> None:
        """Open what was offered."""
        if self._node.leaving is not None:
            refused = Refused(Refusal.BUSY, f"{self._node.local_id} leaves")
            self.abort_here(side, Abort.LEAVING, "this node leaves", refused)
            return
        if not self.place(side):
            return
        self.lanes.open(side)
        self._offers -= 1
        self.counts.accepted += 1
        self.move(side, Input.TAKE)

    def turn_down(self, side: OutprocSide, refused: Refused) -> None:
        """Refuse what was offered."""
        self._carry_out(side, self.table.act(side.entry, Input.TURN_DOWN, refused=refused))

    def _make_room(self) -> bool:
        """Whether there is a place for one more now. The one that nobody uses for the longest time goes for it."""
        while self.table.lacks_place:
            side = next((each for each in self._idle.values() if each.entry.placed), None)
            if side is None:
                return False
            self.counts.evicted += 1
            self.abort_here(side, Abort.IDLE, "unused for the longest time, and there are too many", FULL)
        return True

    def _set_idle(self, side: OutprocSide, *, idle: bool) -> None:
        if idle:
            self._idle.setdefault(side.number, side)
        else:
            self._idle.pop(side.number, None)
        self.table.spare = len(self._idle)

    # -- moving -------------------------------------------------------------------------------------

    def hear(self, word: Accept | Refuse | AbortWord | Done) -> None:
        """The peer said a word about a stream. Raises `ProtocolError` if it may not."""
        entry, effects = self.table.hear(word)
        if entry is None:
            return
        side = self.sides.get(entry.number)
        if side is not None:
            self._carry_out(side, effects, word)

    def move(self, side: OutprocSide, by: Input, code: int = 0, reason: str = "") -> None:
        """The side's user moves it."""
        self._carry_out(side, self.table.act(side.entry, by, code, reason))

    def abort_here(self, side: OutprocSide, code: int, reason: str, refused: Refused) -> None:
        """This node aborts it, not its user: who is told, like the peer, which is `refused` what was not taken yet."""
        if side.entry.state in DYING:
            return
        if side.entry.state is State.OFFERED:
            self.turn_down(side, refused)
        else:
            side.give_up(code, reason)
        self._tell_aborted(side, code, reason)

    @staticmethod
    def _tell_aborted(side: OutprocSide, code: int, reason: str) -> None:
        side.ends(lambda user: user.aborted(code, reason))

    def _carry_out(
        self, side: OutprocSide, effects: Sequence[Effect], word: Accept | Refuse | AbortWord | Done | None = None
    ) -> None:
        for effect in effects:
            match effect:
                case Effect.CLOSE_LANE:
                    self.lanes.finish(side)
                case Effect.DROP_OUT:
                    self.lanes.drop_out(side, confirmed=Effect.TELL_CONFIRMED in effects)
                case Effect.DROP_IN:
                    self.lanes.drop_in(side)
                case Effect.KEEP_IN:
                    self.lanes.keep_in(side)
                case Effect.SAY_REFUSE:
                    self._offers -= 1
                    self.counts.refused_here += 1
                case Effect.SAY_ABORT:
                    self.counts.aborted += 1
                case _:
                    self._tell(side, effect, word)
        if self.table.waiting:
            self.post_soon()
        self._settle(side)

    def _tell(self, side: OutprocSide, effect: Effect, word: Accept | Refuse | AbortWord | Done | None) -> None:
        match effect, word:
            case Effect.TELL_OPEN, _:
                self.counts.opened += 1
                self._answer(side, None)
            case Effect.TELL_REFUSED, Refuse():
                self.counts.refused_there += 1
                self._answer(side, self._refused(side, word))
            case Effect.TELL_CONFIRMED, _:
                side.confirmed()
            case Effect.TELL_FINISHED, _:
                side.complete()
            case Effect.TELL_ABORTED, AbortWord():
                self.counts.aborted += 1
                self._tell_aborted(side, word.code, word.reason)

    def _refused(self, side: OutprocSide, word: Refuse) -> StreamRefusedError:
        why = word.reason or {
            Refusal.REFUSED: "there is no such service for this node",
            Refusal.BUSY: "it is busy",
        }.get(word.why, "it did not say why")
        later = f"; try again in {word.retry_after:g} s" if word.retry_after is not None else ""
        text = f"{self.dest} refused a stream to {side.entry.service!r}: {why}{later}"
        return StreamRefusedError(text, why=word.why, retry_after=word.retry_after)

    def _answer(self, side: OutprocSide, error: Exception | None) -> None:
        future = self._answers.pop(side.number, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def _settle(self, side: OutprocSide) -> None:
        """Forget the side when there is nothing left to do about it; else it lingers for its reader."""
        number, dying = side.number, side.entry.state in DYING
        if number not in self.sides:
            return
        if dying:
            self._set_idle(side, idle=False)
            if not side.receives:
                del self.sides[number]
                self._answers.pop(number, None)
        self.table.lingering = len(self.sides) - self.table.live

    # -- traffic ------------------------------------------------------------------------------------

    def received(self, delivery: Delivery) -> None:
        """Entries came. What comes for a side that has ended is nobody's."""
        side = self.sides.get(delivery.lane)
        if side is None:
            return
        if side.entry.state in DYING:
            self.lanes.ignore(delivery)
            return
        side.received(delivery.bodies, delivery.size)

    def ended(self, number: int) -> None:
        """An incoming lane is complete."""
        side = self.sides.get(number)
        if side is not None and side.entry.state not in DYING:
            self.move(side, Input.END)

    def acked(self, number: int) -> None:
        """An ack brought news."""
        side = self.sides.get(number)
        if side is not None:
            self.lanes.acked(side)

    def wrote(self) -> None:
        """There may be room."""
        for number in self.lanes.take_roomy():
            side = self.sides.get(number)
            if side is not None:
                side.writable()

    def consumed(self, side: OutprocSide, entries: int, size: int) -> None:
        """The user took so much. What was complete, or aborted, is forgotten once it is read."""
        self.lanes.consumed(side, entries, size)
        if not side.receives:
            self._settle(side)

    def opened_there(self) -> list[OutprocSide]:
        """Those that stand and that the peer opened."""
        return [side for side in self.sides.values() if not side.entry.mine and side.entry.state not in DYING]

    def attach(self, side: OutprocSide, attached: bool) -> None:
        """Whether somebody uses it."""
        self._set_idle(side, idle=not attached and side.entry.state not in DYING)

    def is_attached(self, side: OutprocSide) -> bool:
        """Whether somebody uses it."""
        return side.number not in self._idle

    def keep(self, size: int) -> Kept:
        """The user of one that is over goes on holding so much of it."""
        return self._node.stream_rests.keep(self.dest, size)

    def released(self, side: OutprocSide) -> None:
        """Its user has gone."""
        self.lanes.drop_in(side)
        self._settle(side)

    # -- telling ------------------------------------------------------------------------------------

    def soon(self, callback: Callable[[], None]) -> None:
        """Call it from the loop."""
        self._node.loop.call_soon(callback)

    def guarded(self, side: OutprocSide, tell: Callable[..., None], *arguments: Any) -> None:
        """Tell a user something. An error of it costs it its stream, and nobody else anything."""
        try:
            tell(*arguments)
        except Exception as error:
            self._node.loop.call_exception_handler({"message": f"litz: an error in {side!r}", "exception": error})
            side.abort(Abort.HANDLER_FAILED, type(error).__name__)
            side.release()

    def link(self) -> None:
        """Wires came or went."""
        up = self.link_up
        for side in list(self.sides.values()):
            side.link(up)

    # -- words --------------------------------------------------------------------------------------

    def post_soon(self) -> None:
        """Hand out the words of this turn of the loop at its end, together."""
        if self._posting is None:
            self._posting = self._node.loop.call_soon(self.post)

    def post(self) -> None:
        """Hand out the words that wait, as far as there is room; `InternalTraffic` says when there is more."""
        if self._posting is not None:
            self._posting.cancel()
            self._posting = None
        if self.over or not self.table.waiting:
            return
        for count, message in messages(list(self.table.words())):
            if not self._node.internal.post(self._transport, TOPIC, [message], bulk=False):
                return
            self.table.took(count)

    # -- the end ------------------------------------------------------------------------------------

    def end(self, error: Exception) -> None:
        """The session is over. Users are told from the loop, when all has been settled."""
        self.over = True
        if self._posting is not None:
            self._posting.cancel()
            self._posting = None
        self.lanes.end(error)
        sides = list(self.sides.values())
        for side in sides:
            self.counts.lost += side.entry.state not in DYING
            self.lanes.drop_out(side)
            side.sends = side.receives = False
            side.entry.state = State.GONE
            self._answer(side, error)
        self.sides.clear()
        self._idle.clear()
        self.soon(partial(self._tell_lost, sides, error))

    @staticmethod
    def _tell_lost(sides: Sequence[OutprocSide], error: BaseException) -> None:
        def lost(user: StreamUser) -> None:
            user.lost(error)

        for side in sides:
            side.ends(lost)
