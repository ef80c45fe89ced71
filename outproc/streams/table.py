"""All streams of one session, as far as words about them go: numbers, states, and the words that wait. Pure.

The driver calls a method for everything that happens and carries out the effects that come back, in their order, in the
same turn. `words` go to the peer in their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from litz.errors import ProtocolError
from litz.stream_port import Refusal, Refused
from outproc.streams.moves import Effect, Input, State, move
from outproc.streams.words import FIRST_STREAM, MAX_STREAM, Abort, Accept, Done, Open, Refuse, Word, encode

MAX_STREAMS: Final = 4_096
"""Streams of one session, both directions together, that a node may have in its table: part of the protocol."""

MAX_ENTRIES: Final = 2
"""So many times the limit may be in the table, with those that are aborted and wait for the peer's last word only."""

MAX_WAITING: Final = 4 * MAX_ENTRIES * MAX_STREAMS
"""Words that may wait. Of each stream in the peer's table there are at most three here (ACCEPT or REFUSE, DONE, ABORT)
and of each in ours one more, so only a peer that breaks the rules brings more."""

DYING: Final = frozenset({State.CANCELLED, State.ABORTING, State.GONE})
"""Nobody uses them any more, and they hold nothing but their place."""

INPUTS: Final[dict[type[Word], Input]] = {
    Accept: Input.ACCEPT,
    Refuse: Input.REFUSE,
    Abort: Input.ABORT,
    Done: Input.DONE,
}

NOTHING: Final[tuple[Effect, ...]] = ()
NO_REASON: Final = Refused(Refusal.REFUSED)


def opens_even(local_id: str, dest: str) -> bool:
    """Which of two nodes opens the streams with even numbers: the one whose id is smaller, as bytes of UTF-8."""
    return local_id.encode() < dest.encode()


class Entry:
    """One stream in the table."""

    __slots__ = ("mine", "number", "pipe", "placed", "service", "state")

    def __init__(self, number: int, service: str, *, pipe: bool, mine: bool) -> None:
        self.number = number
        self.service = service
        self.pipe = pipe
        self.mine = mine
        """Whether this side opened it."""
        self.placed = mine
        """Whether it has its place; what is offered gets it by `place`."""
        self.state = State.OPENING if mine else State.OFFERED

    @property
    def over(self) -> bool:
        """Whether its user has nothing more to say, nor to hear but that what it wrote has arrived."""
        return self.state is State.ENDING or self.state in DYING


class StreamTable:
    """See the module. `even`: whether this side opens the even numbers."""

    def __init__(self, *, even: bool, limit: int) -> None:
        self._limit = limit
        self._next = FIRST_STREAM + (not even)
        self._highest = FIRST_STREAM - 2 + even
        """Of those that the peer opened."""
        self.entries: dict[int, Entry] = {}
        self.live = 0
        """Those of them that are not dying. They count against the limit."""
        self.offers = 0
        """Those of them that have no place yet."""
        self.spare = 0
        """Streams that would make room for one that gets a place. Set by the driver."""
        self.lingering = 0
        """Streams that are gone, and hold something that nobody has read yet: they count too. Set by the driver."""
        self._words: deque[bytes] = deque()
        self.ignored = 0
        """Words about streams that were gone."""

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def lacks_place(self) -> bool:
        """Whether one of the spare streams must go before a further one gets a place."""
        return self.live - self.offers + self.lingering >= self._limit

    def _takes(self, *, offers: int) -> bool:
        """Whether there may be a further stream, if `offers` of those that have no place get one."""
        held = self.live - self.offers + offers + self.lingering
        return held < self._limit + self.spare and len(self.entries) < MAX_ENTRIES * self._limit

    @property
    def opens(self) -> bool:
        """Whether this side may open a further one, perhaps in the place of a spare one."""
        return self._takes(offers=0)

    # -- opening ------------------------------------------------------------------------------------

    def open(self, service: str, metadata: bytes, *, pipe: bool) -> Entry | None:
        """Ask the peer for a stream; None: there are as many as there may be. Both lanes must exist from now on. If
        the table `lacks_place`, make room first."""
        number = self._next
        if self.lacks_place or not self.opens or number > MAX_STREAM:
            return None
        self._next += 2
        entry = self.entries[number] = Entry(number, service, pipe=pipe, mine=True)
        self.live += 1
        self._words.append(encode(Open(number, service, metadata, pipe)))
        return entry

    def offered(self, word: Open) -> Entry | None:
        """The peer asks for one: `place` and TAKE it, or TURN_DOWN. None: there are as many as there may be, so
        `refuse` it. It comes in when there is a place for it, or a spare one to make room, should all that were offered
        before be taken; so nobody needs to go before it is clear that it is. Raises `ProtocolError` for a number that
        is not the peer's to use now, and at a peer that takes no answers."""
        self._check_number(word.number)
        if len(self._words) >= MAX_WAITING:
            raise ProtocolError("the peer asks for more streams than it takes answers")
        if not self._takes(offers=self.offers):
            return None
        entry = self.entries[word.number] = Entry(word.number, word.service, pipe=word.pipe, mine=False)
        self.live += 1
        self.offers += 1
        return entry

    def place(self, entry: Entry) -> None:
        """Give what was offered its place: the table does not lack one."""
        if not entry.placed:
            entry.placed = True
            self.offers -= 1

    def _check_number(self, number: int) -> None:
        if number <= self._highest or (number - self._highest) % 2:
            raise ProtocolError(f"the peer opened a stream {number} after {self._highest}")
        self._highest = number

    def refuse(self, number: int, why: Refusal, reason: str = "", retry_after: float | None = None) -> None:
        """Refuse what did not get into the table."""
        self._words.append(encode(Refuse(number, why, retry_after, reason)))

    # -- moving -------------------------------------------------------------------------------------

    def hear(self, word: Accept | Refuse | Abort | Done) -> tuple[Entry | None, tuple[Effect, ...]]:
        """The peer said a word about a stream that is there. Raises `ProtocolError` if it could not."""
        number = word.number
        entry = self.entries.get(number)
        by = INPUTS[type(word)]
        if entry is None:
            if by is not Input.ABORT or not self.was_there(number):
                raise ProtocolError(f"the peer said {by.name} about stream {number}, which is not there")
            self.ignored += 1  # it crossed our last word
            return None, NOTHING
        if by in (Input.ACCEPT, Input.REFUSE) and not entry.mine:
            raise ProtocolError(f"the peer said {by.name} about stream {number}, which it opened itself")
        return entry, self._move(entry, by)

    def act(
        self, entry: Entry, by: Input, code: int = 0, reason: str = "", *, refused: Refused | None = None
    ) -> tuple[Effect, ...]:
        """Its user, or the end of its incoming lane, moves it. The word that follows is queued here: an ABORT with
        `code` and `reason`, a REFUSE as `refused` says."""
        return self._move(entry, by, code, reason, refused or NO_REASON)

    def was_there(self, number: int) -> bool:
        """Whether a stream of that number is there, or was."""
        mine = not (number - self._next) % 2
        return FIRST_STREAM <= number < self._next if mine else FIRST_STREAM <= number <= self._highest

    def _move(
        self, entry: Entry, by: Input, code: int = 0, reason: str = "", refused: Refused = NO_REASON
    ) -> tuple[Effect, ...]:
        number, before = entry.number, entry.state
        entry.state, effects = move(before, by)
        if entry.state in DYING and before not in DYING:
            self.live -= 1
            self.offers -= not entry.placed
        for effect in effects:
            match effect:
                case Effect.SAY_ACCEPT:
                    self._words.append(encode(Accept(number)))
                case Effect.SAY_REFUSE:
                    self._words.append(encode(Refuse(number, refused.why, refused.retry_after, refused.reason)))
                case Effect.SAY_DONE:
                    self._words.append(encode(Done(number)))
                case Effect.SAY_ABORT:
                    self._words.append(encode(Abort(number, code, reason)))
                case _:
                    break  # words come first
        if entry.state is State.GONE:
            del self.entries[number]
        return effects

    # -- words --------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Words that were not handed out yet."""
        return len(self._words)

    def words(self) -> Sequence[bytes]:
        """Those that wait, oldest first."""
        return self._words

    def took(self, count: int) -> None:
        """So many of them, the oldest, are on their way."""
        for _ in range(count):
            self._words.popleft()
