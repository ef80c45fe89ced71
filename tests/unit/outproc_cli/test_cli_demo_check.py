"""The checker of `litz demo` finds every fault, and no fault where there is none.

Also of `outproc.cli.demo_table`, which concludes.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from litz import PayloadType
from outproc.cli.demo_check import SABOTAGED, SABOTAGES, Checker, Faults, make_message
from outproc.cli.demo_table import judge, line_of, table_of, totals_of

LANE = PayloadType.RPC_RELIABLE


def messages(count: int) -> list[bytes]:
    rng = Random(1)
    return [make_message(rng, "alice", "bob", LANE, number) for number in range(count)]


@pytest.mark.parametrize(
    ("order", "faults"),
    [
        ([0, 1, 2, 3, 4], Faults()),
        ([0, 1, 3, 4], Faults(lost=1)),
        ([0, 1, 2], Faults(lost=2)),
        ([], Faults(lost=5)),
        ([0, 1, 1, 2, 3, 4, 4], Faults(doubled=2)),
        ([0, 2, 1, 3, 4], Faults(reordered=1)),
        ([4, 0, 1, 2, 3], Faults(reordered=4)),
        ([0, 2, 1, 1, 4], Faults(lost=1, doubled=1, reordered=1)),
    ],
)
def test_faults_are_told_apart(order: list[int], faults: Faults) -> None:
    checker = Checker("bob")
    sent = messages(5)
    for number in order:
        checker.take("alice", LANE, sent[number])
    checker.lane("alice", LANE).end(5)
    assert checker.faults("alice") == faults
    assert checker.faults("alice").any == (faults != Faults())
    assert checker.received("alice") == len(order)


@pytest.mark.parametrize("spoil", [lambda m: m[:-1], lambda m: m + b"x", lambda m: b"", lambda m: m[:-1] + b"?"])
def test_damage_is_found(spoil: Any) -> None:
    checker = Checker("bob")
    checker.take("alice", LANE, spoil(messages(1)[0]))
    assert checker.faults("alice").damaged == 1


@pytest.mark.parametrize(
    ("sender", "local_id", "lane"), [("carol", "bob", 0), ("alice", "carol", 0), ("alice", "bob", 1)]
)
def test_a_message_that_went_astray_is_found(sender: str, local_id: str, lane: int) -> None:
    checker = Checker(local_id)
    checker.take(sender, PayloadType(lane), messages(1)[0])
    assert checker.faults(sender).damaged == 1


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_every_sabotage_is_one_fault(sabotage: str) -> None:
    checker = Checker("bob", sabotage)
    for message in messages(3 * SABOTAGED):
        checker.take("alice", LANE, message)
    checker.lane("alice", LANE).end(3 * SABOTAGED)
    faults = checker.faults("alice")
    if sabotage == "damage":
        assert faults.damaged == 1
    else:
        counted = {"drop": faults.lost, "double": faults.doubled, "swap": faults.reordered}
        assert {name: count for name, count in counted.items() if count} == {sabotage: 1}


def row(**changes: Any) -> dict[str, Any]:
    base = {"dest": "bob", "state": "connected", "wires": 1, "session": 0, "round_trip": 0.001, "heals": 3}
    return {**base, "received": 100, "lost": 0, "doubled": 0, "reordered": 0, "damaged": 0, **changes}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"lost": 1}, "1 messages were lost"),
        ({"doubled": 2}, "2 messages were doubled"),
        ({"reordered": 1}, "reordered"),
        ({"damaged": 1}, "damaged"),
        ({"session": 1}, "alice lost its session with bob"),
        ({"received": 99}, "99 messages arrived, and at least 100 had to"),
        ({"heals": 2}, "2 heals happened, and at least 3 had to"),
    ],
)
def test_the_verdict(changes: dict[str, Any], reason: str) -> None:
    rows = {"alice": [row(**changes)], "bob": []}
    verdict = judge(rows, [], seconds=1, cuts=5, min_messages=100, min_heals=3)
    assert verdict.good == (not reason)
    assert verdict.plain()["ok"] == verdict.good
    assert reason in str(verdict)
    assert str(verdict).startswith("OK" if verdict.good else "FAILED")


def test_a_complaint_of_a_node_makes_the_verdict_bad() -> None:
    verdict = judge({"alice": [row()]}, ["alice could not"], seconds=1, cuts=1, min_messages=0, min_heals=0)
    assert verdict.reasons == ("alice could not",)


def test_one_heal_seen_by_both_sides_counts_once() -> None:
    rows = {"alice": [row(heals=3)], "bob": [row(dest="alice", heals=4)]}
    assert totals_of(rows).heals == 4
    assert totals_of(rows).messages == 200


def test_what_is_shown_has_all_columns() -> None:
    rows = {"alice": [row(), row(dest="carol", wires=0)]}
    table = table_of(rows, {("alice", "bob"): 12.0}, "title")
    assert [str(column.header) for column in table.columns][1:] == [
        "dest",
        "wires",
        "round trip",
        "rate",
        "heals",
        "lost",
        "doubled",
        "reordered",
    ]
    assert table.row_count == 2
    assert "200 messages" in line_of(rows, seconds=1, cuts=2)
