"""Whose turn it is: pairs that share a peer have the same share of it by bytes, however large their frames and however
many circuits each has. Pure."""

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


class PairRotation(Generic[T]):
    """Pairs take turns, and within one its circuits. A pair is named by its end that is not the peer they share."""

    __slots__ = ("_items", "_pairs")

    def __init__(self) -> None:
        self._pairs: Rotation[str] = Rotation()
        self._items: dict[str, Rotation[T]] = {}

    def add(self, pair: str, item: T) -> None:
        """It has something to send. Idempotent."""
        self._items.setdefault(pair, Rotation()).add(item)
        self._pairs.add(pair)

    def discard(self, pair: str, item: T) -> None:
        """It has nothing to send any more."""
        items = self._items.get(pair)
        if items is not None:
            items.discard(item)
            if not items:
                del self._items[pair]
                self._pairs.discard(pair)

    def next(self, cost: Callable[[T], int | None]) -> T | None:
        """As of `Rotation`."""
        pair = self._pairs.next(lambda pair: self._cost(pair, cost))
        return self._items[pair].next(cost) if pair is not None else None

    def _cost(self, pair: str, cost: Callable[[T], int | None]) -> int | None:
        item = self._items[pair].next(cost)
        if item is None:
            del self._items[pair]
            return None
        return cost(item)

    def spent(self, pair: str, item: T, price: int) -> None:
        """It sent a message that cost so much."""
        self._pairs.spent(pair, price)
        self._items[pair].spent(item, price)
