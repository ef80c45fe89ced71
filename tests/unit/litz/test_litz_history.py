"""The history of dests: what is told, and that it stays small."""

from __future__ import annotations

from litz import ConnectError
from litz.event_log import EventLog
from litz.events import ConnectFailed, Connecting, DropReason, Event, LaneMoved, MessagesDropped, WireDown, Woke
from litz.history import MAX_OTHERS, History


class Clock:
    """A wall clock that tests set, in whole seconds."""

    def __init__(self) -> None:
        self.now = 1000

    def __call__(self) -> int:
        return self.now * 1_000_000_000


def failed(cause: str, dest: str = "bob", retry_in: float | None = 1.0) -> Event:
    return ConnectFailed(dest, ConnectError(cause, dest=dest), retry_in)


def told(history: History, dest: str = "bob") -> list[tuple[float, str, str, float, int]]:
    return [(each.at, each.what, each.cause, each.until, each.times) for each in history.of(dest)]


def test_it_tells_what_when_and_why() -> None:
    clock = Clock()
    log = EventLog(tuple, History(clock))
    log.emit(Connecting("bob"))
    clock.now += 5
    log.emit(failed("nobody listens"))
    assert told(log.history) == [
        (1000, "connecting", "", 1000, 1),
        (1005, "connecting failed", "nobody listens", 1005, 1),
    ]
    assert told(log.history, "carol") == []


def test_the_same_again_is_counted_also_when_two_causes_take_turns() -> None:
    clock = Clock()
    history = History(clock)
    for _ in range(500):
        clock.now += 1
        history.note(failed("nobody listens", retry_in=clock.now % 7))
        history.note(failed("no route"))
    assert told(history) == [
        (1001, "connecting failed", "nobody listens", 1500, 500),
        (1001, "connecting failed", "no route", 1500, 500),
    ]


def test_what_comes_by_the_thousand_is_not_in_it() -> None:
    history = History(Clock())
    history.note(MessagesDropped("bob", 0, 1, 1, DropReason.OLDEST))
    history.note(LaneMoved("bob", 0, "w"))
    assert told(history) == []


def test_it_is_bounded_for_each_dest_and_in_all() -> None:
    history = History(Clock(), per_dest=4, in_all=10)
    for number in range(100):
        history.note(failed(f"cause {number}"))
    assert [each.cause for each in history.of("bob")] == ["cause 96", "cause 97", "cause 98", "cause 99"]
    for number in range(100):
        history.note(failed("x", f"dest {number}"))
        history.note(failed("y", "bob") if number % 2 else failed("z", "bob"))
        assert len(history) <= 10
    assert len(history.of("bob")) == 4, "the one of which there is news loses nothing"
    assert [dest for dest in range(100) if history.of(f"dest {dest}")] == list(range(94, 100))


def test_what_concerns_no_dest_that_is_there_is_told_apart() -> None:
    clock = Clock()
    history = History(clock)
    for dest in ("gone", "here"):
        clock.now += 1
        history.note(WireDown(dest, "websocket", "w", "reset", 0))
    clock.now += 1
    history.note(Woke("", 60.0))
    assert [(each.dest, each.what) for each in history.others({"here"})] == [
        ("gone", "wire down"),
        ("", "the machine woke"),
    ]
    for number in range(MAX_OTHERS + 50):
        clock.now += 1
        history.note(failed("x", f"gone {number}"))
    others = history.others({"here"})
    assert (len(others), others[-1].dest) == (MAX_OTHERS, f"gone {MAX_OTHERS + 49}")
