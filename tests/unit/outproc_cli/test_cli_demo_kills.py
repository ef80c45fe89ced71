"""Whom `litz demo` kills next."""

from __future__ import annotations

from collections import Counter

from outproc.cli.demo_kills import KINDS, STEPS, KillPlan

PAIRS = [("alice", "bob"), ("alice", "carol"), ("bob", "carol")]
ALL_UP = dict.fromkeys(PAIRS, KINDS)


def test_each_kind_each_pair_and_all_three_have_their_turn_soon() -> None:
    plan = KillPlan(PAIRS)
    kills = [kill for _ in range(2 * len(STEPS)) if (kill := plan.next(ALL_UP)) is not None]
    assert len(kills) == 2 * len(STEPS)
    assert [kill.kinds for kill in kills[:4]] == [("websocket",), ("webrtc",), ("relay",), KINDS]
    assert [kill.every for kill in kills[:4]] == [False, False, False, True]
    counts = Counter(kind for kill in kills for kind in kill.kinds)
    assert min(counts[kind] for kind in KINDS) >= 8
    assert {kill.pair for kill in kills[:3]} == set(PAIRS)
    assert any(len(kill.kinds) == 2 for kill in kills)
    assert str(kills[3]) == "WebSocket and WebRTC and relay of alice and bob"


def test_what_is_being_healed_is_not_killed_again() -> None:
    plan = KillPlan(PAIRS)
    up = {PAIRS[0]: ("relay",), PAIRS[1]: ("relay",), PAIRS[2]: ("websocket", "relay")}
    kill = plan.next(up)
    assert kill is not None
    assert (kill.pair, kill.kinds, kill.every) == (PAIRS[2], ("websocket",), False)
    only_here = {**ALL_UP, PAIRS[0]: ("websocket",), PAIRS[1]: ("websocket",)}
    second = plan.next(only_here)
    assert second is not None
    assert (second.pair, second.kinds) == (PAIRS[2], ("webrtc",))
    assert plan.next(dict.fromkeys(PAIRS[:2], ("websocket",)) | {PAIRS[2]: ()}) is not None
    assert plan.next(dict.fromkeys(PAIRS, ())) is None


def test_it_waits_for_a_pair_that_has_all() -> None:
    plan = KillPlan(PAIRS)
    for _ in range(3):
        plan.next(ALL_UP)
    assert plan.next({PAIRS[0]: KINDS[:2], PAIRS[1]: KINDS[1:]}) is None
    kill = plan.next(ALL_UP)
    assert kill is not None
    assert kill.kinds == KINDS


def test_a_kind_that_nobody_has_is_left_out() -> None:
    plan = KillPlan(PAIRS)
    up = dict.fromkeys(PAIRS, ("websocket", "relay"))
    kills = [plan.next(up) for _ in range(len(STEPS))]
    assert all(kill is not None and "webrtc" not in kill.kinds for kill in kills)
    assert any(kill is not None and kill.every for kill in kills)
