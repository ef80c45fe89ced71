"""Whose turn it is: `litz.ordering`, and its policies in `litz.order`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from litz.errors import BackpressureError, OrderBrokenError
from litz.order import Fifo, Order, PerKey
from litz.ordering import OrderBook, Place, PlaceState

Book = OrderBook[int]


def accepted(book: Book, keys: str) -> list[Place[int]]:
    return [book.accept(key, number) for number, key in enumerate(keys)]


def begin(book: Book) -> list[int]:
    """Begin all that may: their numbers."""
    begun = []
    while (place := book.next()) is not None:
        begun.append(place.number)
    return begun


def test_one_after_the_other_or_per_key() -> None:
    for order, expected in ((Fifo(), [0]), (PerKey(), [0, 1, 3])):
        book = Book(order)
        for number, key in enumerate("abaca"):
            book.accept(order.key_of(number) if isinstance(order, Fifo) else key, number)
        assert begin(book) == expected
    assert (book.begun, book.messages, book.keys, book.ready) == (3, 5, 3, 0)


def test_the_key_is_the_messages_own_or_a_functions() -> None:
    class Keyed:
        key = "k"

    assert PerKey().key_of(Keyed()) == "k"
    assert PerKey(lambda message: message % 2).key_of(7) == 1
    assert Fifo().key_of(Keyed()) is None


def test_what_finishes_early_is_processed_only_with_all_before_it() -> None:
    book = Book(PerKey())
    places = accepted(book, "abcd")
    begin(book)
    for finished, processed in ((1, 0), (3, 0), (0, 2), (2, 4)):
        book.finish(places[finished])
        assert book.processed == processed


def test_a_place_is_finished_once_and_only_after_it_began() -> None:
    book = Book(PerKey())
    first, second = accepted(book, "aa")
    verbs: tuple[Callable[[Place[int]], Any], ...] = (book.finish, book.hold, book.put_back, book.again)
    for verb, place in product(verbs, (first, second)):
        with pytest.raises(RuntimeError, match="is not"):
            verb(place)
    begin(book)
    with pytest.raises(RuntimeError):
        book.withdraw(first)
    book.finish(first)
    with pytest.raises(RuntimeError):
        book.finish(first)
    assert begin(book) == [1]


def test_urgent_ones_go_before_those_that_have_not_begun() -> None:
    book = Book(PerKey(messages=2))
    accepted(book, "aa")
    assert not book.room("a")
    assert book.room("a", urgent=True)
    book.accept("a", 2, urgent=True)
    book.accept("b", 3, urgent=True)
    assert begin(book) == [2, 3], "the bulk of a was ready, and gave way"
    urgent = book.unfinished()[2]
    book.finish(urgent)
    assert begin(book) == [0]


def test_held_ones_keep_the_turn_of_their_key_and_hold_no_capacity() -> None:
    book = Book(PerKey())
    places = accepted(book, "aab")
    assert begin(book) == [0, 2]
    book.hold(places[0])
    assert (book.begun, begin(book)) == (1, [])
    book.accept("a", 9, urgent=True)
    assert begin(book) == [], "nothing of the key comes before one that is to run again"
    book.again(places[0])
    assert begin(book) == [3]
    book.finish(book.unfinished()[3])
    assert begin(book) == [0]


def test_a_parked_key_keeps_its_messages_and_others_go_on() -> None:
    book = Book(PerKey())
    places = accepted(book, "aabb")
    assert book.next() is places[0]
    book.park("a")
    book.park("a")
    book.put_back(places[0])
    assert (begin(book), book.parked) == ([2], ["a"])
    book.finish(places[2])
    assert begin(book) == [3]
    book.unpark("a")
    assert begin(book) == [0]
    book.finish(places[0])
    assert begin(book) == [1]


def test_what_is_ready_when_its_key_is_parked_waits() -> None:
    book = Book(PerKey())
    accepted(book, "aab")
    book.park("a")
    assert begin(book) == [2]
    book.unpark("a")
    book.unpark("nobody")
    assert begin(book) == [0]


def test_a_parked_key_is_given_up_by_name_and_counts_as_finished() -> None:
    book = Book(PerKey())
    places = accepted(book, "abaa")
    assert begin(book) == [0, 1]
    book.park("a")
    book.accept("a", 4, urgent=True)
    assert [place.number for place in book.discard("a")] == [2, 3, 4]
    assert book.discard("nobody") == []
    assert (book.processed, book.messages) == (0, 2)
    book.finish(places[0])
    book.finish(places[1])
    assert (book.processed, book.messages, book.parked) == (5, 0, ["a"])
    book.unpark("a")
    assert book.keys == 0


def test_a_held_one_is_discarded_too() -> None:
    book = Book(PerKey())
    place = book.accept("a", 0)
    begin(book)
    book.hold(place)
    assert book.discard("a") == [place]
    assert (book.keys, book.messages, book.processed, place.state) == (0, 0, 1, PlaceState.FINISHED)


@pytest.mark.parametrize("taken", [True, False])
def test_who_withdraws_is_not_waited_for(taken: bool) -> None:
    book = Book(PerKey())
    places = accepted(book, "aaab")
    if taken:
        begin(book)
        book.withdraw(places[1])
        book.finish(places[0])
        assert (begin(book), book.processed) == ([2], 2)
    else:
        book.withdraw(places[0])
        assert (begin(book), book.processed) == ([3, 1], 1)


LIMITS = [
    (PerKey(messages=3), "abc", 0),
    (PerKey(keys=3), "abc", 0),
    (PerKey(key_messages=3), "ddd", 0),
    (PerKey(size=3), "abc", 1),
    (PerKey(key_size=3), "ddd", 1),
    (Fifo(messages=3), "ddd", 0),
    (Fifo(size=3), "ddd", 1),
]


@pytest.mark.parametrize(("order", "keys", "size"), LIMITS)
def test_each_bound_is_exact_and_finishing_one_makes_room(order: Order, keys: str, size: int) -> None:
    book = Book(order)
    for key in keys:
        assert book.room(key, size)
        book.accept(key, 0, size)
    assert not book.room("d", size)
    with pytest.raises(BackpressureError):
        book.accept("d", 0, size)
    first = book.next()
    assert first is not None
    book.finish(first)
    assert book.room("d", size)


@pytest.mark.parametrize(("order", "keys", "size"), LIMITS)
def test_a_bound_under_a_policy_that_may_not_wait_breaks_the_order(order: Order, keys: str, size: int) -> None:
    values = {name: getattr(order, name) for name in order.__dataclass_fields__}
    book = Book(type(order)(**(values | {"full": "break"})))
    for key in keys:
        book.accept(key, 0, size)
    with pytest.raises(OrderBrokenError, match="may not wait") as first:
        book.accept("d", 0, size)
    for verb in (book.next, lambda: book.accept("a", 0)):
        with pytest.raises(OrderBrokenError) as again:
            verb()
        assert again.value is first.value, "the first reason stays"


def test_one_message_of_any_size_is_taken_where_nothing_is() -> None:
    book = Book(PerKey(size=10, key_size=5))
    assert book.room("a", 100)
    book.accept("a", 0, 100)
    assert not book.room("b", 1)


def test_a_parked_key_that_is_full_breaks_the_order() -> None:
    book = Book(PerKey(key_messages=2))
    accepted(book, "bab")
    book.park("b")
    assert book.room("b"), "nobody would make room"
    with pytest.raises(OrderBrokenError, match="key is parked") as broken:
        book.accept("b", 0)
    assert broken.value.key == "b"
    assert len(book.unfinished()) == 3


@pytest.mark.parametrize("order", [PerKey(messages=2), PerKey(keys=2)])
def test_where_all_are_parked_nobody_makes_room(order: Order) -> None:
    book = Book(order)
    places = accepted(book, "ab")
    begin(book)
    book.park("a")
    book.park("b")
    book.put_back(places[0])
    assert not book.room("c"), "b runs still"
    book.put_back(places[1])
    with pytest.raises(OrderBrokenError, match="are parked"):
        book.accept("c", 0)


def test_a_lost_place_breaks_the_order_with_its_cause() -> None:
    book = Book(PerKey())
    place = book.accept("a", 0)
    with pytest.raises(RuntimeError):
        book.lost(place, "it has not begun")
    begin(book)
    cause = ValueError("x")
    error = book.lost(place, "gone", cause=cause)
    assert book.broken is error
    assert (error.__cause__, error.key) == (cause, "a")
    assert book.break_order("later") is error
    assert book.unfinished() == [place]
    book.finish(place)  # what runs may come to its end


def test_orders_that_make_no_sense_are_refused() -> None:
    for wrong in ({"messages": 0}, {"size": 0}, {"full": "drop"}):
        for kind in (Fifo, PerKey):
            with pytest.raises(ValueError):
                kind(**wrong)
    with pytest.raises(TypeError):
        PerKey("key")  # type: ignore[arg-type]  # on purpose
