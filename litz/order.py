"""The policies of order: what users say about the order in which messages run. `litz.ordering` keeps them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

WhenFull = Literal["wait", "break"]
"""What a bound that is reached does to the source of messages.

wait   it is not read any further until there is room; so one key that is full stops the others in time
break  the order is broken: for sources that cannot wait
"""

ONE_LINE: Final = None
"""The key of everything under `Fifo`, and of messages without a key: a key like any other."""


KEYS_AT_ONCE: Final = 16
"""Keys of one sender that `serve(order=PerKey())` runs at once, unless `concurrency` says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fifo:
    """One after the other, in the order of acceptance.

    messages, size   at most so many messages, and bytes, are accepted and not finished. One is taken in any case
    full             see `WhenFull`
    """

    messages: int = 4096
    size: int = 16 << 20
    full: WhenFull = "wait"

    def __post_init__(self) -> None:
        _check(self.full, messages=self.messages, size=self.size)

    def key_of(self, message: Any) -> Hashable:
        """The key under which `message` stands in line."""
        return ONE_LINE


@dataclass(frozen=True, slots=True)
class PerKey:
    """One after the other per key, keys in parallel.

    by                      the key of a message: any hashable value. Default: `message.key`. It must not block, and its
                            exception breaks the order. None is a key like any other
    keys                    at most so many keys have messages that are not finished; parked ones count
    messages, size          messages, and bytes, of all keys that are accepted and not finished
    key_messages, key_size  the same of one key
    full                    see `WhenFull`. A *parked* key that is full breaks the order either way: nobody makes room

    Where nothing is there yet, one message of any size is taken.
    """

    by: Callable[[Any], Hashable] | None = None
    keys: int = 1024
    messages: int = 4096
    size: int = 16 << 20
    key_messages: int = 1024
    key_size: int = 16 << 20
    full: WhenFull = "wait"

    def __post_init__(self) -> None:
        if self.by is not None and not callable(self.by):
            raise TypeError(f"by is a function of one message, not a {type(self.by).__name__}")
        _check(
            self.full,
            keys=self.keys,
            messages=self.messages,
            size=self.size,
            key_messages=self.key_messages,
            key_size=self.key_size,
        )

    def key_of(self, message: Any) -> Hashable:
        """The key under which `message` stands in line."""
        return message.key if self.by is None else self.by(message)


Order = Fifo | PerKey
"""In which order messages run."""


def at_once(concurrency: int | None, order: Order | None, admission: object = None) -> int:
    """How many messages of one sender `serve` runs at once. Raises ValueError for what contradicts itself."""
    if order is None:
        if admission is not None:
            raise ValueError("admission needs an order: order=Fifo() or order=PerKey()")
        return concurrency or 1
    if isinstance(order, Fifo):
        if concurrency not in (None, 1):
            raise ValueError(f"Fifo runs one message at a time: leave out concurrency={concurrency}, or use PerKey")
        return 1
    if not isinstance(order, PerKey):
        raise TypeError(f"an order is a Fifo or a PerKey, not a {type(order).__name__}")
    return concurrency or KEYS_AT_ONCE


def _check(full: str, **limits: int) -> None:
    if full not in ("wait", "break"):
        raise ValueError(f"full is 'wait' or 'break', not {full!r}")
    for name, value in limits.items():
        if value < 1:
            raise ValueError(f"{name} is at least 1, not {value!r}")


def keys_of(order: Order | None, seen: Callable[[Any], Any]) -> Order | None:
    """`order` for messages that its key function is to see as `seen` shows them."""
    if not isinstance(order, PerKey) or order.by is None:
        return order
    by = order.by
    return replace(order, by=lambda message: by(seen(message)))
