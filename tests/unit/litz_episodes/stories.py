"""Stories of one buffer on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from litz.episode_buffer import EpisodeBuffer
from litz.episode_parts import EpisodeParts
from litz.episodes import EpisodeKey, EpisodeOptions, Why
from litz.testing import SimLoop, run_simulation

KEY = EpisodeKey("answer")


def simulate(story: Callable[[SimLoop], Awaitable[None]]) -> None:
    async def main(loop: SimLoop) -> None:
        await story(loop)

    run_simulation(main, seed=7)


async def rest(parts: EpisodeParts) -> list[Any]:
    return [item async for item in parts]


def why(parts: EpisodeParts) -> Why | None:
    return parts.end.why if parts.end is not None else None


async def numbers(parts: EpisodeParts) -> list[int]:
    return [item[0] async for item in parts]


def filled(count: int, **options: Any) -> EpisodeBuffer:
    """With `KEY`, of `count` parts of one byte."""
    buffer = EpisodeBuffer(EpisodeOptions(**options))
    buffer.create(KEY)
    for _ in range(count):
        buffer.append(KEY, b"x")
    return buffer
