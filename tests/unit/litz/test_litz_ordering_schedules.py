"""Schedules, all short ones and long random ones, against the law kept by lists."""

from __future__ import annotations

import random
from collections.abc import Hashable
from itertools import product

import pytest

from litz.errors import OrderBrokenError
from litz.order import Fifo, Order, PerKey
from litz.ordering import OrderBook, Place

STEPS = (
    "a",
    "b",
    "A",
    "next",
    "finish",
    "finish last",
    "hold",
    "again",
    "back",
    "park",
    "unpark",
    "discard",
    "withdraw",
)


class Shadow:
    """The law, kept by lists: what is in line of each key, what runs, and what may come next."""

    def __init__(self, order: Order) -> None:
        self.book: OrderBook[int] = OrderBook(order)
        self.lines: dict[Hashable, list[Place[int]]] = {}
        self.running: list[Place[int]] = []
        self.held: list[Place[int]] = []
        self.parked: dict[Hashable, None] = {}
        self.finished: list[int] = []
        self.accepted = 0

    def follow(self, step: str, chance: random.Random) -> None:
        book = self.book
        if step in "abA":
            if book.room(step.lower(), 1, urgent=step.isupper()):
                self.accept(step.lower(), urgent=step.isupper())
        elif step == "next":
            self.begin()
        elif step in ("park", "unpark", "discard"):
            self.about_key(step, chance.choice("ab"))
        elif step == "again" and self.held:
            place = self.held.pop(0)
            book.again(place)
            self.put_first(place)
        elif step == "withdraw":
            waiting = [place for line in self.lines.values() for place in line]
            if waiting:
                place = chance.choice(waiting)
                book.withdraw(place)
                self.lines[place.key].remove(place)
                self.finished.append(place.number)
        elif step in ("finish", "finish last", "hold", "back") and self.running:
            place = self.running.pop(-1 if step == "finish last" else 0)
            if step == "hold":
                book.hold(place)
                self.held.append(place)
            elif step == "back":
                book.put_back(place)
                self.put_first(place)
            else:
                book.finish(place)
                self.finished.append(place.number)
        self.judge()

    def accept(self, key: str, *, urgent: bool) -> None:
        place = self.book.accept(key, self.accepted, 1, urgent=urgent)
        assert place.number == self.accepted
        self.accepted += 1
        line = self.lines.setdefault(key, [])
        at = next((i for i, other in enumerate(line) if not other.urgent), len(line)) if urgent else len(line)
        line.insert(at, place)

    def put_first(self, place: Place[int]) -> None:
        line = self.lines[place.key]
        at = 0 if place.urgent else next((i for i, other in enumerate(line) if not other.urgent), len(line))
        line.insert(at, place)

    def about_key(self, step: str, key: str) -> None:
        if step == "park":
            self.book.park(key)
            self.parked[key] = None
        elif step == "unpark":
            self.book.unpark(key)
            self.parked.pop(key, None)
        else:
            given_up = self.book.discard(key)
            held = [place for place in self.held if place.key == key]
            expected = sorted([*self.lines.pop(key, []), *held], key=lambda place: place.number)
            assert given_up == expected
            self.held = [place for place in self.held if place.key != key]
            self.lines[key] = []
            self.finished += [place.number for place in given_up]

    def begin(self) -> None:
        may = self.may_begin()
        place = self.book.next()
        assert (place is None) == (not may), (place, may)
        if place is not None:
            assert place in may, f"{place!r} was not first of its key"
            assert place.urgent or not any(other.urgent for other in may)
            self.lines[place.key].remove(place)
            self.running.append(place)

    def may_begin(self) -> list[Place[int]]:
        busy = [place.key for place in (*self.running, *self.held)]
        return [line[0] for key, line in self.lines.items() if line and key not in busy and key not in self.parked]

    def judge(self) -> None:
        book = self.book
        assert book.ready == len(self.may_begin())
        assert book.begun == len(self.running)
        assert book.messages == self.accepted - len(self.finished)
        assert book.processed == next((n for n in range(self.accepted) if n not in self.finished), self.accepted)
        busy = {place.key for place in (*self.running, *self.held)} | set(self.parked)
        assert book.keys == len(busy | {key for key, line in self.lines.items() if line})
        assert [place.number for place in book.unfinished()] == [
            number for number in range(self.accepted) if number not in self.finished
        ]


@pytest.mark.parametrize("start", ["ab", "aab", "aAb"])
def test_every_short_schedule_keeps_the_law(start: str) -> None:
    for steps in product(STEPS, repeat=3):
        shadow = Shadow(PerKey(key_messages=3))
        for step in (*start, "next", *steps):
            shadow.follow(step, random.Random(0))


@pytest.mark.parametrize("seed", range(40))
def test_long_random_schedules_keep_the_law(seed: int) -> None:
    chance = random.Random(seed)
    order = Fifo(messages=12) if seed % 8 == 7 else PerKey(messages=12, key_messages=7, size=9)
    shadow = Shadow(order)
    for _ in range(150):
        try:
            shadow.follow(chance.choice((*STEPS, "next", "finish", "finish", "unpark")), chance)
        except OrderBrokenError:
            assert shadow.parked, "only a parked key can be in the way for ever"
            return
