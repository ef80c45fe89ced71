"""Whose turn it is: circuits that share a peer have the same share of it by bytes, however large their frames. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from outproc.wires.relay.messages import FRAME_COST

T = TypeVar("T", bound=Hashable)


class Rotation(Generic[T]):
    """Those with something to send, each with what is left of its turn. One turn is as much as one frame may cost."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[T, int] = {}

    def add(self, item: T) -> None:
        """It has something to send. Idempotent: who is in line keeps its place."""
        self._left.setdefault(item, FRAME_COST)

    def discard(self, item: T) -> None:
        """It has nothing to send any more."""
        self._left.pop(item, None)

    def next(self, cost: Callable[[T], int | None]) -> T | None:
        """Whoever may send now. `cost` tells what its next message costs, at most `FRAME_COST`; None: nothing can be
        sent now, and it leaves the line. Asking again without `spent` changes nothing."""
        while self._left:
            item, left = next(iter(self._left.items()))
            price = cost(item)
            if price is None:
                del self._left[item]
            elif price <= left:
                return item
            else:
                del self._left[item]
                self._left[item] = FRAME_COST
        return None

    def spent(self, item: T, price: int) -> None:
        """It sent a message that cost so much."""
        self._left[item] -= price

    def __bool__(self) -> bool:
        return bool(self._left)
