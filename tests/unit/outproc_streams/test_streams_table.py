"""Tests of `outproc.streams.table`."""

from __future__ import annotations

from collections import Counter, deque
from random import Random

import pytest

from litz.errors import ProtocolError
from litz.stream_port import Refusal, Refused
from outproc.streams.moves import MOVES, Effect, Input, State
from outproc.streams.table import MAX_WAITING, Entry, StreamTable, opens_even
from outproc.streams.words import MAX_STREAM, Abort, Accept, Done, Open, Refuse, Word, decode


def said(table: StreamTable) -> list[Word]:
    """Hand out all that waits."""
    words = [decode(memoryview(each))[0] for each in table.words()]
    table.took(len(words))
    return words


def opened(table: StreamTable) -> Entry:
    entry = table.open("files", b"", pipe=False)
    assert entry is not None
    return entry


def offer(number: int) -> Open:
    return Open(number, "files", b"", pipe=False)


def test_the_node_with_the_smaller_id_opens_even_numbers() -> None:
    assert opens_even("alice", "bob")
    assert not opens_even("bob", "alice")
    assert not opens_even("ü", "z")  # as bytes of UTF-8, not as letters
    for even, numbers in ((True, [16, 18, 20]), (False, [17, 19, 21])):
        table = StreamTable(even=even, limit=10)
        assert [opened(table).number for _ in range(3)] == numbers


def test_numbers_ascend_and_are_the_openers_to_use() -> None:
    table = StreamTable(even=True, limit=10)
    assert table.offered(offer(17)) is not None
    assert table.offered(offer(25)) is not None  # those between were given up before they were said
    for number in (25, 23, 17, 15, 28, 30, 16):
        with pytest.raises(ProtocolError, match="opened a stream"):
            table.offered(offer(number))
    other = StreamTable(even=False, limit=10)
    assert other.offered(offer(16)) is not None
    assert [number for number in range(30) if table.was_there(number)] == [17, 19, 21, 23, 25]
    opened(table)
    assert table.was_there(16)
    assert not table.was_there(18)


def test_the_last_number_is_not_used_twice() -> None:
    table = StreamTable(even=True, limit=10)
    table._next = MAX_STREAM - 1
    assert opened(table).number == MAX_STREAM - 1
    assert table.open("files", b"", pipe=False) is None


def test_both_directions_count_against_one_limit_and_the_dying_do_not() -> None:
    table = StreamTable(even=True, limit=2)
    mine = opened(table)
    theirs = table.offered(offer(17))
    assert theirs is not None
    table.place(theirs)
    assert table.open("files", b"", pipe=False) is None
    assert table.offered(offer(19)) is None
    table.refuse(19, Refusal.BUSY, retry_after=0.5)
    assert said(table)[1:] == [Refuse(19, Refusal.BUSY, 0.5, "")]
    table.act(mine, Input.GIVE_UP, 1)
    assert opened(table).number == 18
    table.act(table.entries[18], Input.GIVE_UP, 1)
    table.lingering = 1  # gone, and unread
    assert table.open("files", b"", pipe=False) is None
    table.lingering = 0
    # But of a peer that never answers there are no more than twice as many.
    table.act(opened(table), Input.GIVE_UP, 1)
    assert len(table) == 4
    assert table.live == 1
    table.spare = 2
    assert table.open("files", b"", pipe=False) is None
    assert not table.opens


def test_what_is_offered_comes_in_when_a_spare_one_could_make_room_and_has_its_place_later() -> None:
    table = StreamTable(even=True, limit=2)
    mine = [opened(table), opened(table)]
    assert (table.live, table.lacks_place) == (2, True)
    assert table.offered(offer(17)) is None
    table.spare = 1
    first = table.offered(offer(19))
    assert first is not None
    assert table.offered(offer(21)) is None, "the spare one makes room once"
    assert table.opens, "what is offered holds no place against this side"
    assert table.open("files", b"", pipe=False) is None, "but room must be made first"
    table.act(first, Input.TURN_DOWN)
    assert (table.live, table.offers) == (2, 0)
    second = table.offered(offer(23))
    assert second is not None
    table.act(mine[0], Input.GIVE_UP)
    table.spare = 0
    assert not table.lacks_place
    table.place(second)
    table.place(second)  # idempotent
    table.act(second, Input.TAKE)
    assert (table.live, table.offers, table.lacks_place) == (2, 0, True)
    table.act(second, Input.GIVE_UP)
    assert (table.live, table.offers, table.lacks_place) == (1, 0, False)


def test_words_come_in_the_order_of_what_happened() -> None:
    table = StreamTable(even=True, limit=10)
    first, second = opened(table), opened(table)
    table.act(first, Input.GIVE_UP, 3, "enough")
    third = table.offered(offer(17))
    fourth = table.offered(offer(19))
    assert third is not None
    assert fourth is not None
    table.act(fourth, Input.TAKE)
    table.act(third, Input.TURN_DOWN, refused=Refused(Refusal.REJECTED, "no", 2.0))
    assert table.waiting == 5
    assert said(table) == [
        offer(16),
        offer(18),
        Abort(16, 3, "enough"),
        Accept(19),
        Refuse(17, Refusal.REJECTED, 2.0, "no"),
    ]
    assert table.waiting == 0
    assert list(table.entries.values()) == [first, second, fourth]


def test_words_about_what_is_not_there_are_violations_but_for_a_late_abort() -> None:
    table = StreamTable(even=True, limit=10)
    entry = opened(table)
    words: list[Accept | Refuse | Done] = [
        Accept(17),
        Refuse(17, Refusal.BUSY, None, ""),
        Done(17),
        Accept(18),
        Done(18),
    ]
    for word in words:
        with pytest.raises(ProtocolError, match="not there"):
            table.hear(word)
    for number in (17, 18):
        with pytest.raises(ProtocolError, match="not there"):
            table.hear(Abort(number, 1, ""))
    table.hear(Refuse(entry.number, Refusal.REFUSED, None, ""))
    assert table.hear(Abort(entry.number, 1, "")) == (None, ())
    assert table.ignored == 1
    with pytest.raises(ProtocolError, match="not there"):
        table.hear(Accept(entry.number))


def test_nobody_answers_what_it_asked_itself() -> None:
    table = StreamTable(even=True, limit=10)
    assert table.offered(offer(17)) is not None
    for word in (Accept(17), Refuse(17, Refusal.BUSY, None, "")):
        with pytest.raises(ProtocolError, match="opened itself"):
            table.hear(word)


@pytest.mark.parametrize("ends", ["there is no room", "nobody listens", "it gave up"])
def test_a_peer_that_takes_no_answers_breaks_the_rules(ends: str) -> None:
    table = StreamTable(even=True, limit=2)
    opened(table)
    if ends == "there is no room":
        opened(table)
    number = 17
    while table.waiting < MAX_WAITING:
        entry = table.offered(offer(number))
        if entry is None:
            table.refuse(number, Refusal.BUSY)
        elif ends == "nobody listens":
            table.act(entry, Input.TURN_DOWN, refused=Refused(Refusal.REFUSED))
        else:
            table.hear(Abort(number, 1, ""))
        number += 2
    with pytest.raises(ProtocolError, match="takes answers"):
        table.offered(offer(number))
    assert table.waiting == MAX_WAITING


class Walker:
    """One end of a random walk: a table, what it has said, and the lanes of its streams."""

    def __init__(self, rng: Random, *, even: bool, limit: int) -> None:
        self.rng = rng
        self.table = StreamTable(even=even, limit=limit)
        self.under_way: deque[Word] = deque()
        self.lanes: dict[int, str] = {}
        self.listening: dict[int, bool] = {}
        self.ends: Counter[Effect] = Counter()

    def carry_out(self, entry: Entry, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            self.ends[effect] += 1
            if effect is Effect.CLOSE_LANE:
                self.lanes[entry.number] = "end"
            elif effect is Effect.DROP_OUT and self.rng.random() < 0.5:
                self.lanes.pop(entry.number, None)  # else it is on the wire already
            elif effect in (Effect.DROP_IN, Effect.KEEP_IN):
                self.listening.pop(entry.number, None)

    def open(self) -> None:
        entry = self.table.open("files", b"", pipe=False)
        if entry is not None:
            self.listening[entry.number] = True

    def hear(self, word: Word) -> None:
        if not isinstance(word, Open):
            entry, effects = self.table.hear(word)
            if entry is not None:
                self.carry_out(entry, effects)
            return
        offered = self.table.offered(word)
        if offered is None:
            self.table.refuse(word.number, Refusal.BUSY)
        else:
            self.listening[word.number] = True

    def user(self, *, winding_up: bool) -> None:
        """Its users do something; winding up, they only end what there is."""
        if not self.table.entries or (not winding_up and self.rng.random() < 0.3):
            self.open()
            return
        entry = self.rng.choice(list(self.table.entries.values()))
        ways = [by for by in (Input.FINISH, Input.GIVE_UP, Input.TAKE, Input.TURN_DOWN) if by in MOVES[entry.state]]
        if entry.state is State.ENDING and winding_up:
            return
        if ways:
            by = self.rng.choice(ways)
            if by is Input.TAKE and self.table.lacks_place:
                by = Input.TURN_DOWN
            elif by is Input.TAKE:
                self.table.place(entry)
            self.carry_out(entry, self.table.act(entry, by, 1))

    def say(self) -> None:
        count = self.rng.randint(0, self.table.waiting)
        self.under_way.extend(decode(memoryview(each))[0] for each in list(self.table.words())[:count])
        self.table.took(count)

    def lane_arrives(self, other: Walker) -> None:
        ended = [number for number, where in self.lanes.items() if where == "end"]
        if ended:
            number = self.rng.choice(ended)
            del self.lanes[number]
            entry = other.table.entries.get(number)
            if entry is not None and other.listening.get(number):
                other.carry_out(entry, other.table.act(entry, Input.END))


@pytest.mark.parametrize("seed", range(60))
def test_random_walks_of_two_tables_end_empty(seed: int) -> None:
    rng = Random(f"two tables {seed}")
    limit = rng.choice((1, 2, 5, 50))
    ends = (Walker(rng, even=True, limit=limit), Walker(rng, even=False, limit=limit))
    for step in range(3_000):
        here, there = rng.sample(ends, 2)
        winding_up = step > 1_500
        match rng.randrange(4):
            case 0:
                here.user(winding_up=winding_up and bool(here.table.entries))
            case 1:
                here.say()
            case 2:
                if here.under_way:
                    there.hear(here.under_way.popleft())
            case _:
                here.lane_arrives(there)
        for end in ends:
            assert end.table.live - end.table.offers <= limit
            assert len(end.table) <= 2 * limit
            assert end.table.waiting <= 8 * limit * 2
    for _ in range(20_000):
        here, there = rng.sample(ends, 2)
        if here.table.entries:
            here.user(winding_up=True)
        here.say()
        while here.under_way:
            there.hear(here.under_way.popleft())
        here.lane_arrives(there)
        if not any(end.table.entries or end.table.waiting or end.under_way for end in ends):
            break
    assert sum(end.ends.total() for end in ends) > 100
    for end in ends:
        assert not end.table.entries
        assert end.table.live == end.table.offers == 0
