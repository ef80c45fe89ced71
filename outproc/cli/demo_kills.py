"""Which wires `litz demo` kills next. Pure: what is up goes in, a kill comes out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

KINDS: Final = ("websocket", "webrtc", "relay")
"""The kinds of wire that each pair has, as shown."""

NAMES: Final[Mapping[str, str]] = {"websocket": "WebSocket", "webrtc": "WebRTC", "relay": "relay"}
"""What people call them."""

Pair = tuple[str, str]

STEPS: Final[Sequence[tuple[str, ...]]] = (
    ("websocket",),
    ("webrtc",),
    ("relay",),
    KINDS,
    ("webrtc",),
    ("relay",),
    ("websocket", "webrtc"),
    ("websocket",),
    ("relay", "webrtc"),
    ("websocket", "relay"),
)
"""One at a time, sometimes two of a pair, and early enough for every run all three."""


@dataclass(frozen=True, slots=True)
class Kill:
    """These wires of this pair, in the same moment."""

    pair: Pair
    kinds: tuple[str, ...]
    every: bool
    """Whether no wire of the pair is left."""

    def __str__(self) -> str:
        return f"{' and '.join(NAMES[kind] for kind in self.kinds)} of {self.pair[0]} and {self.pair[1]}"


class KillPlan:
    """Goes through `STEPS` again and again, and through the pairs in turn. Kinds that nobody has are left out."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = list(pairs)
        self._steps = cycle(STEPS)
        self._step: tuple[str, ...] | None = None

    def next(self, up: Mapping[Pair, Collection[str]]) -> Kill | None:
        """The next kill, given the kinds that are up by pair; None: not now, a wire that it needs is being healed.

        A pair has its turn when all that is to be killed is up, so that nothing dead is killed again.
        """
        known = [kind for kind in KINDS if any(kind in kinds for kinds in up.values())]
        for _ in range(len(STEPS) + 1):
            if self._step is None:
                self._step = next(self._steps)
            wanted = tuple(kind for kind in self._step if kind in known)
            if wanted:
                break
            self._step = None
        else:
            return None
        for pair in self._pairs:
            kinds = up.get(pair, ())
            if all(kind in kinds for kind in wanted):
                self._pairs.remove(pair)
                self._pairs.append(pair)
                self._step = None
                return Kill(pair, wanted, every=set(wanted) >= set(kinds))
        return None
