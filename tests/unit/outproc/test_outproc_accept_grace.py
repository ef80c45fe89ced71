"""What is left to the peer to dial, and for how long."""

from __future__ import annotations

from outproc.accept_grace import AcceptGrace


def test_each_kind_has_its_own_time() -> None:
    grace = AcceptGrace(1.0)
    assert grace.due is None
    grace.lost("websocket", 10.0)
    grace.lost("webrtc", 10.4)
    assert grace.kinds == {"websocket", "webrtc"}
    assert grace.due == 11.0
    assert grace.over(10.9) == ()
    assert grace.over(11.0) == ("websocket",)
    assert grace.kinds == {"webrtc"}
    assert grace.due == 11.4


def test_that_one_kind_is_back_says_nothing_of_the_others() -> None:
    grace = AcceptGrace(1.0)
    grace.lost("websocket", 10.0)
    grace.lost("webrtc", 10.0)
    grace.came("websocket")
    grace.came("relay")
    assert grace.kinds == {"webrtc"}
    assert grace.over(11.0) == ("webrtc",)
    assert grace.due is None


def test_a_kind_that_is_lost_again_has_all_its_time() -> None:
    grace = AcceptGrace(1.0)
    grace.lost("websocket", 10.0)
    grace.came("websocket")
    grace.lost("websocket", 10.5)
    assert grace.over(11.0) == ()
    assert grace.due == 11.5
