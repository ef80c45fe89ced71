"""Episodes: append-only runs of parts that late subscribers replay and then follow live.

This package is the pure core; `litz.episode_buffer.EpisodeBuffer` is its face in an event loop. What may be asked for
and raised is exported here.
"""

from litz.episodes.core import EpisodeCore, EpisodeSnapshot
from litz.episodes.ends import End, Why
from litz.episodes.errors import (
    BufferClosedError,
    EpisodeEndedError,
    EpisodeGoneError,
    EpisodeLimitError,
    EpisodeOverError,
    EpisodeStateError,
    EpisodeSupersededError,
    EpisodeTrimmedError,
    EpisodeUnreachableError,
    PartTooLargeError,
    PublisherBusyError,
    PublisherUnfitError,
    SlowSubscriberError,
    error_of,
)
from litz.episodes.keys import EpisodeKey
from litz.episodes.options import Behind, EpisodeOptions, Limit
from litz.episodes.parts import Gap, Item, Part
from litz.episodes.reader import Reader

__all__ = [
    "Behind",
    "BufferClosedError",
    "End",
    "EpisodeCore",
    "EpisodeEndedError",
    "EpisodeGoneError",
    "EpisodeKey",
    "EpisodeLimitError",
    "EpisodeOptions",
    "EpisodeOverError",
    "EpisodeSnapshot",
    "EpisodeStateError",
    "EpisodeSupersededError",
    "EpisodeTrimmedError",
    "EpisodeUnreachableError",
    "Gap",
    "Item",
    "Limit",
    "Part",
    "PartTooLargeError",
    "PublisherBusyError",
    "PublisherUnfitError",
    "Reader",
    "SlowSubscriberError",
    "Why",
    "error_of",
]
