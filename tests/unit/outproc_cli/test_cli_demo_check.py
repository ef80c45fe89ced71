"""The checker of `litz demo` finds every fault, and no fault where there is none."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from litz import PayloadType
from outproc.cli.demo_check import SABOTAGED, SABOTAGES, Checker, Faults, make_message

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
