"""What is produced: some versions of one stream, each in some attempts, of which only the last one is complete."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from litz.episodes import EpisodeKey, Part, Why

STREAM = "talk"


@dataclass(frozen=True, slots=True)
class Take:
    """One episode. `why` None: it is left open, and superseded by the next."""

    key: EpisodeKey
    parts: int
    why: Why | None


def write_script(rng: Random) -> list[Take]:
    """In the order of production."""
    takes = []
    for version in range(rng.randint(2, 4)):
        attempts = rng.choice((1, 1, 2, 3))
        for attempt in range(attempts):
            why = Why.COMPLETE if attempt == attempts - 1 else rng.choice((None, Why.FAILED, Why.CANCELLED))
            takes.append(Take(EpisodeKey(STREAM, version, attempt), rng.randint(0, 120), why))
    return takes


def part_of(key: EpisodeKey, number: int, *, fat: bool) -> Part:
    """What the part is, in every life of its publisher. `fat`: an episode does not fit into the window of a stream."""
    role = ("assistant", "assistant", "tool", "")[(number + key.attempt) % 4]
    size = 20_000 if fat or number % 37 == 0 else number % 50
    return Part(number, f"{key} {number} ".encode() + bytes(size), role)
