"""Which session a wire joins, and who is who: the tables of R1, R2, R3, R12 and R13."""

from __future__ import annotations

import pytest

from outproc.session.duplicates import Strand, losers
from outproc.session.identity import Half, Incarnation, Pair
from outproc.session.pairing import (
    CLAIM_KEPT,
    MAX_CLAIMS,
    MAX_LIVES,
    Entry,
    Halves,
    IncarnationGate,
    JoinAction,
    decide_join,
    decide_ok,
    ends_current,
    joins_at_once,
    paired_with_another,
)

OLD, NOW, NEW = (Incarnation(n, 0) for n in (1, 2, 3))


def a(counter: int) -> Half:
    return Half(OLD, counter)


def b(counter: int, incarnation: Incarnation = NOW) -> Half:
    return Half(incarnation, counter)


@pytest.mark.parametrize(
    ("theirs", "remembered", "peer", "wanted", "action"),
    [
        # nothing is known of the peer
        (None, None, b(1), None, JoinAction.PAIR),
        (None, None, b(1), a(5), JoinAction.PAIR),
        (None, None, b(1), a(4), JoinAction.MISMATCH),
        # a session ended: the half of the peer is remembered
        (None, b(2), b(2), None, JoinAction.PAIR),
        (None, b(2), b(3), None, JoinAction.PAIR),
        (None, b(2), b(1), None, JoinAction.STALE),
        (None, b(2), b(9, OLD), a(5), JoinAction.STALE),
        (None, b(2), b(2), a(4), JoinAction.MISMATCH),
        # a pair is complete
        (b(2), b(2), b(2), None, JoinAction.RESUME),
        (b(2), b(2), b(2), a(5), JoinAction.RESUME),
        (b(2), b(2), b(2), a(4), JoinAction.MISMATCH),
        (b(2), b(2), b(1), None, JoinAction.STALE),
        (b(2), b(2), b(1), a(5), JoinAction.STALE),
        (b(2), b(2), b(3), None, JoinAction.RENEW_PAIR),
        (b(2), b(2), b(1, NEW), None, JoinAction.RENEW_PAIR),
        (b(2), b(2), b(3), a(5), JoinAction.RENEW_REFUSE),
        (b(2), b(2), b(3), a(4), JoinAction.RENEW_REFUSE),
    ],
)
def test_join(
    theirs: Half | None, remembered: Half | None, peer: Half, wanted: Half | None, action: JoinAction
) -> None:
    assert decide_join(a(5), theirs, peer, wanted, remembered=remembered) is action


@pytest.mark.parametrize(
    ("theirs", "remembered", "peer", "named", "action"),
    [
        (None, None, b(1), a(5), JoinAction.PAIR),
        (None, None, b(1), a(4), JoinAction.MISMATCH),
        (None, b(2), b(1), a(5), JoinAction.STALE),
        (None, b(2), b(2), a(5), JoinAction.PAIR),
        (b(2), b(2), b(2), a(5), JoinAction.RESUME),
        (b(2), b(2), b(2), a(4), JoinAction.MISMATCH),
        (b(2), b(2), b(1), a(5), JoinAction.STALE),
        (b(2), b(2), b(3), a(5), JoinAction.RENEW_REFUSE),
    ],
)
def test_ok(theirs: Half | None, remembered: Half | None, peer: Half, named: Half, action: JoinAction) -> None:
    assert decide_ok(a(5), theirs, peer, named, remembered=remembered) is action


def test_halves_are_never_the_same_and_rise() -> None:
    halves = Halves(NOW)
    taken = [halves.new() for _ in range(5)]
    assert taken == sorted(set(taken))
    assert taken[0] == b(1)
    assert Halves(NEW).new() > taken[-1]


def test_only_a_complete_pair_starts_at_once_and_only_the_named_one_ends() -> None:
    pair = Pair(a(1), b(1))
    assert joins_at_once(pair)
    assert not joins_at_once(None)
    assert ends_current(pair, pair)
    assert not ends_current(pair, Pair(a(1), b(2)))
    assert not ends_current(None, pair)


def test_words() -> None:
    assert str(b(7)) == "2.0000000000000000/7"
    assert Pair(a(1), b(2)).flipped() == Pair(b(2), a(1))


def strand(dialled: bool, *, carried: bool = True, kind: str = "ws", endpoint: str = "x") -> Strand:
    return Strand(kind, endpoint if dialled else "", dialled, carried)


@pytest.mark.parametrize(
    ("strands", "at_smaller", "at_larger"),
    [
        ([strand(True)], [], []),
        ([strand(True), strand(False)], [1], [0]),
        ([strand(True, carried=False), strand(False)], [], [0]),
        ([strand(True), strand(False, carried=False)], [1], []),
        ([strand(True), strand(False, kind="rtc")], [], []),
        ([strand(True), strand(True)], [0], [0]),
        ([strand(True), strand(True, carried=False)], [], []),
        ([strand(True), strand(True, endpoint="y")], [], []),
        ([strand(False), strand(False)], [], []),
        ([strand(True), strand(True), strand(False)], [0, 2], [0, 1]),
    ],
)
def test_of_two_wires_of_a_kind_one_goes(strands: list[Strand], at_smaller: list[int], at_larger: list[int]) -> None:
    assert losers("a", "b", strands) == at_smaller
    assert losers("b", "a", strands) == at_larger


# -- incarnations -----------------------------------------------------------------------------------


def gate() -> IncarnationGate:
    known = IncarnationGate()
    assert known.decide(NOW, wires=0, now=0.0) is Entry.ADMIT
    return known


def test_the_known_and_a_higher_one_are_admitted() -> None:
    known = gate()
    assert known.decide(NOW, wires=1, now=1.0) is Entry.ADMIT
    assert known.decide(NEW, wires=1, now=2.0) is Entry.ADMIT
    assert known.decide(NOW, wires=1, now=3.0) is Entry.BUSY


def test_a_lower_one_is_replaced_once_the_higher_answered_a_ping_sent_after_it_asked() -> None:
    known = gate()
    assert known.decide(OLD, wires=1, now=1.0) is Entry.BUSY
    known.answered(0.5, 1.1)
    known.answered(1.0, 1.2)  # of the same instant: it may have been sent before
    assert known.decide(OLD, wires=1, now=2.0) is Entry.BUSY
    known.answered(2.0, 2.1)
    assert known.decide(OLD, wires=1, now=3.0) is Entry.REPLACED


def test_a_clock_that_went_back_does_not_brick_a_restarted_node() -> None:
    known = gate()
    assert known.decide(OLD, wires=1, now=1.0) is Entry.BUSY
    assert known.decide(OLD, wires=1, now=2.0) is Entry.BUSY
    assert known.decide(OLD, wires=0, now=3.0) is Entry.ADMIT_AFTER_END
    assert known.decide(OLD, wires=1, now=4.0) is Entry.ADMIT


def test_it_must_ask_twice_even_if_no_wire_is_left() -> None:
    known = gate()
    assert known.decide(OLD, wires=0, now=1.0) is Entry.BUSY
    assert known.decide(OLD, wires=0, now=2.0) is Entry.ADMIT_AFTER_END


def test_each_lower_one_has_a_claim_of_its_own() -> None:
    """They once overwrote each other's, so that neither was ever told that it is replaced."""
    known = IncarnationGate()
    known.decide(NEW, wires=0, now=0.0)
    assert known.decide(OLD, wires=1, now=1.0) is Entry.BUSY
    known.answered(1.5, 1.6)
    assert known.decide(NOW, wires=1, now=2.0) is Entry.BUSY
    assert known.decide(OLD, wires=1, now=3.0) is Entry.REPLACED
    assert known.decide(NOW, wires=1, now=3.0) is Entry.BUSY
    known.answered(2.5, 3.1)
    assert known.decide(NOW, wires=1, now=4.0) is Entry.REPLACED


def test_of_two_lower_ones_the_higher_comes_to_stay_when_the_highest_is_gone() -> None:
    known = IncarnationGate()
    known.decide(NEW, wires=0, now=0.0)
    assert [known.decide(each, wires=0, now=1.0) for each in (OLD, NOW)] == [Entry.BUSY, Entry.BUSY]
    assert known.decide(OLD, wires=0, now=2.0) is Entry.ADMIT_AFTER_END
    assert known.decide(NOW, wires=1, now=2.0) is Entry.ADMIT
    assert known.decide(OLD, wires=1, now=3.0) is Entry.BUSY


def test_claims_are_bounded_and_who_keeps_asking_is_answered() -> None:
    known = IncarnationGate()
    known.decide(Incarnation(1_000, 0), wires=1, now=0.0)
    crowd = [Incarnation(number, 0) for number in range(50)]
    replaced = set()
    for second in range(1, 40):
        for each in crowd:
            if each not in replaced and known.decide(each, wires=1, now=second) is Entry.REPLACED:
                replaced.add(each)
            assert len(known.claims) <= MAX_CLAIMS
        known.answered(second + 0.5, second + 0.6)
    assert len(replaced) == 50


def test_who_does_not_come_back_makes_room() -> None:
    known = IncarnationGate()
    known.decide(Incarnation(1_000, 0), wires=1, now=0.0)
    for number in range(MAX_CLAIMS):
        known.decide(Incarnation(number, 0), wires=1, now=1.0)
    late = Incarnation(500, 0)
    assert known.decide(late, wires=1, now=2.0) is Entry.BUSY
    assert late not in known.claims
    assert known.decide(late, wires=1, now=1.0 + CLAIM_KEPT) is Entry.BUSY
    assert late in known.claims
    assert len(known.claims) == MAX_CLAIMS


def test_a_pong_without_a_claim_is_nothing() -> None:
    known = gate()
    known.answered(1.0, 1.0)
    assert known.decide(OLD, wires=1, now=2.0) is Entry.BUSY
    assert known.decide(OLD, wires=1, now=3.0) is Entry.BUSY


def remembered_by(gate: IncarnationGate) -> Half | None:
    return gate.remembered


@pytest.mark.parametrize(
    ("current", "named", "proved"),
    [
        # our current half, paired with another than the one that asks
        (Pair(a(5), b(2)), Pair(a(5), b(3)), True),
        # it is the session itself; there is none; the half was given up long ago; it is another life's
        (Pair(a(5), b(2)), Pair(a(5), b(2)), False),
        (None, Pair(a(5), b(3)), False),
        (Pair(a(5), b(2)), Pair(a(4), b(3)), False),
        (Pair(a(5), b(2)), Pair(Half(NEW, 5), b(3)), False),
    ],
)
def test_that_nothing_was_taken_is_said_of_a_current_half_only(current: Pair | None, named: Pair, proved: bool) -> None:
    assert paired_with_another(current, named) is proved


def test_what_a_life_gave_up_stays_given_up_while_another_comes_and_goes() -> None:
    """Found by core seed 1040496: a late JOIN of a dead life paired with a half that it had discarded."""
    first, second = Incarnation(1_000, 1), Incarnation(1_010, 1)
    gate = IncarnationGate()
    gate.decide(first, wires=0, now=0.0)
    gate.note(Half(first, 3))
    gate.decide(second, wires=0, now=1.0)
    gate.note(Half(second, 1))
    gate.decide(first, wires=0, now=2.0)
    assert gate.decide(first, wires=0, now=3.0) is Entry.ADMIT_AFTER_END
    assert remembered_by(gate) == Half(first, 3)
    for life in range(2_000, 2_100):
        gate.decide(Incarnation(life, 1), wires=0, now=4.0)
        gate.note(Half(Incarnation(life, 1), 1))
    assert len(gate._highest) == MAX_LIVES


def test_what_another_life_used_makes_no_half_of_this_one_stale() -> None:
    dead, alive = Incarnation(1_000, 1), Incarnation(999, 1)
    gate = IncarnationGate()
    assert gate.decide(dead, wires=0, now=0.0) is Entry.ADMIT
    gate.note(Half(dead, 2))
    assert remembered_by(gate) == Half(dead, 2)
    assert gate.decide(alive, wires=0, now=1.0) is Entry.BUSY
    assert gate.decide(alive, wires=0, now=2.0) is Entry.ADMIT_AFTER_END
    assert remembered_by(gate) is None
    gate.note(Half(alive, 3))
    gate.note(Half(alive, 2))
    gate.note(Half(dead, 9))
    assert remembered_by(gate) == Half(alive, 3)
