"""Who waits is served in turns by address, is turned away in time, and never more than there is room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outproc.waiting_room import WaitingRoom


def anyone(group: str) -> bool:
    return True


def test_addresses_take_turns_and_within_one_the_first_comes_first() -> None:
    room: WaitingRoom[str] = WaitingRoom(100)
    for who in ("a1", "a2", "a3", "b1", "c1", "b2"):
        room.enter(who, who[0], 10.0)
    assert [room.next(anyone) for _ in range(7)] == ["a1", "b1", "c1", "a2", "b2", "a3", None]


def test_an_address_without_a_place_lets_others_pass() -> None:
    room: WaitingRoom[str] = WaitingRoom(100)
    for who in ("a1", "b1"):
        room.enter(who, who[0], 10.0)
    assert room.next(lambda group: group == "b") == "b1"
    assert room.next(lambda group: group == "b") is None
    assert (room.waits("a"), room.waits("b"), len(room)) == (True, False, 1)


def test_in_a_full_room_the_newest_of_the_largest_crowd_makes_room() -> None:
    room: WaitingRoom[str] = WaitingRoom(4)
    for who in ("a1", "a2", "a3", "b1"):
        assert room.enter(who, who[0], 10.0) is None
    assert room.enter("a4", "a", 10.0) == "a4", "its own crowd is the largest"
    assert room.enter("c1", "c", 10.0) == "a3"
    assert room.enter("b2", "b", 10.0) == "b2", "two of two crowds: nobody has more"
    assert [room.next(anyone) for _ in range(5)] == ["a1", "b1", "c1", "a2", None]


def test_each_is_turned_away_at_its_own_time() -> None:
    room: WaitingRoom[str] = WaitingRoom(10)
    room.enter("patient", "a", 18.0)
    room.enter("hasty", "a", 13.0)
    assert room.due == 13.0
    assert room.impatient(12.9) == []
    assert room.impatient(13.0) == ["hasty"]
    assert room.due == 18.0
    assert room.next(anyone) == "patient"
    assert room.impatient(99.0) == []
    assert not room.due, "nobody waits"


def test_everybody_can_be_sent_home() -> None:
    room: WaitingRoom[str] = WaitingRoom(10)
    for who in ("a1", "b1"):
        room.enter(who, who[0], 10.0)
    assert room.empty() == ["a1", "b1"]
    assert (len(room), room.due, room.next(anyone)) == (0, None, None)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.floats(0, 3))), st.integers(1, 6))
def test_nobody_is_lost_or_served_twice(moves: list[tuple[int, int, float]], limit: int) -> None:
    room: WaitingRoom[int] = WaitingRoom(limit)
    inside: set[int] = set()
    now = 0.0
    for number, (what, group, wait) in enumerate(moves):
        now += wait
        if what == 0:
            served = room.next(lambda each: each != "1")
            if served is not None:
                inside.remove(served)
        elif what == 1:
            for each in room.impatient(now):
                inside.remove(each)
        else:
            turned_away = room.enter(number, str(group), now + 2.0)
            inside.add(number)
            if turned_away is not None:
                inside.remove(turned_away)
        assert len(room) == len(inside) <= limit
    assert set(room.empty()) == inside
    assert not room._groups
