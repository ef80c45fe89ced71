"""Those who share a peer get the same share of it.

Covers `outproc.wires.relay.rotation`.
"""

from __future__ import annotations

from collections import Counter

from outproc.wires.relay.messages import FRAME_COST
from outproc.wires.relay.rotation import Rotation


def test_small_and_large_frames_get_the_same_bytes() -> None:
    prices = {"small": 100, "large": FRAME_COST, "middle": 30_000}
    rotation: Rotation[str] = Rotation()
    for each in prices:
        rotation.add(each)
    got: Counter[str] = Counter()
    while sum(got.values()) < 40 * FRAME_COST:
        name = rotation.next(prices.__getitem__)
        if name is None:
            break
        assert rotation.next(prices.__getitem__) == name, "asking again changes nothing"
        rotation.spent(name, prices[name])
        got[name] += prices[name]
    assert max(got.values()) - min(got.values()) <= 2 * FRAME_COST, got
    assert got["middle"] >= 10 * FRAME_COST


def test_who_has_nothing_leaves_and_comes_back_at_the_end() -> None:
    prices: dict[str, int | None] = {"a": None, "b": 10}
    rotation: Rotation[str] = Rotation()
    rotation.add("a")
    rotation.add("b")
    assert rotation.next(prices.__getitem__) == "b"
    rotation.add("a")
    prices["a"] = 10
    assert rotation.next(prices.__getitem__) == "b"
    rotation.discard("b")
    rotation.discard("b")
    assert rotation.next(prices.__getitem__) == "a"
    rotation.discard("a")
    assert not rotation
    assert rotation.next(prices.__getitem__) is None
