"""The errors of episodes: one class per different reaction of the caller. Pure."""

from __future__ import annotations

from typing import Final

from litz.episodes.ends import End, Why
from litz.episodes.keys import EpisodeKey
from litz.episodes.options import Limit
from litz.errors import LitzError

# -- of the producer ------------------------------------------------------------------------------------


class EpisodeStateError(LitzError, RuntimeError):
    """The episode is not in a state for this: it exists already, was not created, or its numbers do not fit. A mistake
    in the producer."""


class EpisodeOverError(LitzError):
    """The episode is over: nothing can be appended. `end` says why; stop producing."""

    def __init__(self, key: EpisodeKey, end: End) -> None:
        super().__init__(f"episode {key} is over: {_words(end)}")
        self.key = key
        self.end = end


class EpisodeLimitError(LitzError):
    """A limit is reached, nothing was taken. `limit` names it: smaller parts may still fit (EPISODE_SIZE), or it is
    over for this episode (EPISODE_PARTS), or there will be room later (the others)."""

    def __init__(self, text: str, *, limit: Limit) -> None:
        super().__init__(f"{text} (the limit {limit.value})")
        self.limit = limit


class PartTooLargeError(EpisodeLimitError, ValueError):
    """The part is larger than `max_part`. Cut it into several, or raise the limit."""


# -- of a subscriber ------------------------------------------------------------------------------------


class EpisodeEndedError(LitzError):
    """A subscription ended, and not because its episode is complete. `end` says why, `cursor` is the number of the last
    part that was handed out. As it is: the producer failed or was cancelled."""

    def __init__(self, key: EpisodeKey, end: End, cursor: int) -> None:
        super().__init__(f"episode {key} ended after part {cursor}: {_words(end)}")
        self.key = key
        self.end = end
        self.cursor = cursor


class EpisodeSupersededError(EpisodeEndedError):
    """A newer version or attempt began. Subscribe to `newer`."""

    @property
    def newer(self) -> EpisodeKey:
        assert self.end.newer is not None
        return self.end.newer


class EpisodeGoneError(EpisodeEndedError):
    """The episode is not kept any more (EXPIRED, EVICTED), or was never there (UNKNOWN, BEYOND): look where it was
    stored."""


class EpisodeTrimmedError(EpisodeEndedError):
    """The parts up to `first` - 1 are stored elsewhere. Read them there, then subscribe with `after=first - 1`."""

    @property
    def first(self) -> int:
        return self.end.first


class SlowSubscriberError(EpisodeEndedError):
    """This subscriber fell too far behind. Subscribe again at the cursor, or with `Behind.SKIP`."""


class BufferClosedError(EpisodeEndedError):
    """The buffer was closed, or this subscription was left by its own user."""


class PublisherBusyError(EpisodeEndedError):
    """A limit is reached at the publisher. Come again later."""


class PublisherUnfitError(EpisodeEndedError):
    """The publisher cannot send this episode, or it and this node do not understand each other."""


class EpisodeUnreachableError(LitzError, ConnectionError):
    """The publisher has not been there for as long as this subscriber is patient. The cause says what was tried last.
    Nothing is lost: ask for the next part again, or subscribe later after `cursor`."""

    def __init__(self, key: EpisodeKey, dest: str, cursor: int) -> None:
        super().__init__(f"{dest}, which publishes episode {key}, cannot be reached; part {cursor} was the last one")
        self.key = key
        self.dest = dest
        self.cursor = cursor


_CLASSES: Final[dict[Why, type[EpisodeEndedError]]] = {
    Why.SUPERSEDED: EpisodeSupersededError,
    Why.EXPIRED: EpisodeGoneError,
    Why.EVICTED: EpisodeGoneError,
    Why.UNKNOWN: EpisodeGoneError,
    Why.BEYOND: EpisodeGoneError,
    Why.SLOW: SlowSubscriberError,
    Why.TRIMMED: EpisodeTrimmedError,
    Why.CLOSED: BufferClosedError,
    Why.LEFT: BufferClosedError,
    Why.BUSY: PublisherBusyError,
    Why.UNFIT: PublisherUnfitError,
}

_TEXTS: Final[dict[Why, str]] = {
    Why.COMPLETE: "it is complete",
    Why.FAILED: "its producer failed",
    Why.CANCELLED: "its producer was cancelled",
    Why.SUPERSEDED: "it is superseded",
    Why.EXPIRED: "it was kept for as long as it may be kept",
    Why.EVICTED: "it made room for others",
    Why.SLOW: "this subscriber fell too far behind; subscribe again at the cursor, or with Behind.SKIP",
    Why.TRIMMED: "the parts asked for are stored elsewhere",
    Why.UNKNOWN: "it was not created in time",
    Why.BEYOND: "it is shorter than the cursor; subscribe from the beginning",
    Why.CLOSED: "the buffer was closed",
    Why.LEFT: "this subscription was left",
    Why.BUSY: "a limit is reached at the publisher",
    Why.UNFIT: "the publisher cannot send it",
}


def error_of(key: EpisodeKey, end: End, cursor: int) -> EpisodeEndedError:
    """What a subscriber that has come to `cursor` gets raised. Not for COMPLETE, which is no error."""
    return _CLASSES.get(end.why, EpisodeEndedError)(key, end, cursor)


def _words(end: End) -> str:
    text = _TEXTS[end.why]
    if end.newer is not None:
        text += f" by {end.newer}"
    if end.first:
        text += f"; the first one here is {end.first}"
    return f"{text}: {end.reason}" if end.reason else text
