"""`outproc.streams.rests`: what streams that are over left unread is charged until it is read or let go of."""

from __future__ import annotations

import threading

from litz.stream_port import UNCHARGED
from outproc.session.stream_window import StreamBudget
from outproc.streams.rests import Rests


def test_a_rest_is_charged_to_its_dest_to_all_and_to_the_budget_until_it_is_read() -> None:
    budget = StreamBudget(1_000)
    rests = Rests(budget, limit=1_000, each=300)
    one, other = rests.keep("alice", 100), rests.keep("bob", 250)
    assert (rests.size("alice"), rests.size("bob"), rests.size("carol"), rests.size()) == (100, 250, 0, 350)
    assert (budget.used, budget.left) == (350, 650), "windows grow that much less"
    one.took(60)
    assert (rests.size("alice"), budget.used) == (40, 290)
    one.took(40)
    other.took(250)
    del one, other
    assert (rests.size("alice"), rests.size("bob"), rests.size(), budget.left) == (0, 0, 0, 1_000)
    assert rests.keep("alice", 0) is UNCHARGED


def test_a_rest_that_is_let_go_of_is_given_back_once_by_any_thread() -> None:
    budget = StreamBudget(1_000)
    rests = Rests(budget, limit=1_000, each=300)
    held = [rests.keep("alice", 10) for _ in range(100)]
    for rest in held[:50]:
        rest.took(4)
    rest = held.pop()
    rest.took(10)
    rest.took(10)
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    del rest
    assert budget.left == 1_000, "who asks what is left knows at once"
    assert (rests.size("alice"), rests.size(), budget.used) == (0, 0, 0)


def test_who_has_too_much_of_one_dest_or_of_all_gets_no_further_stream() -> None:
    rests = Rests(StreamBudget(1_000), limit=500, each=300)
    one = rests.keep("alice", 299)
    assert not rests.overrun("alice")
    more = rests.keep("alice", 1)
    assert "300 bytes of streams with alice" in rests.overrun("alice")
    assert not rests.overrun("bob"), "that is no business of others"
    others = [rests.keep(dest, 100) for dest in ("bob", "carol")]
    assert "500 bytes of streams" in rests.overrun("carol"), "until all together are too much"
    assert not rests.overrun("dora"), "who has left nothing unread does not pay for others"
    others.pop()
    assert not rests.overrun("bob")
    more.took(1)
    assert not rests.overrun("alice")
    del one, others
