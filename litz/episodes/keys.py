"""The name of an episode. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_STREAM: Final = 255
"""Bytes of UTF-8 of the name of a stream."""

MAX_NUMBER: Final = (1 << 63) - 1
"""Highest version and attempt."""


@dataclass(frozen=True, slots=True, order=True)
class EpisodeKey:
    """Names one episode: the attempt `attempt` at version `version` of `stream`. Keys of one stream are ordered by
    version, then attempt; a later one supersedes the earlier ones.

    stream   1 to 255 bytes of UTF-8, without control characters
    version  what was asked, from 0: a new question, an edited document
    attempt  which try at it, from 0: a retry after a failure

    Raises TypeError and ValueError.
    """

    stream: str
    version: int = 0
    attempt: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.stream, str):
            raise TypeError(f"the stream of an episode is a str, not {type(self.stream).__name__}")
        for name in ("version", "attempt"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"the {name} of an episode is an int, not {type(value).__name__}")
            if not 0 <= value <= MAX_NUMBER:
                raise ValueError(f"the {name} of an episode is 0 to 2**63 - 1, not {value}")
        if not self.stream.isprintable() or not 1 <= len(self.stream.encode("utf-8", "surrogatepass")) <= MAX_STREAM:
            raise ValueError(
                f"the stream of an episode has 1 to {MAX_STREAM} bytes of UTF-8 and no control characters: "
                f"{self.stream[:80]!r}"
            )

    def __str__(self) -> str:
        return f"{self.stream}/{self.version}.{self.attempt}"
