"""What can be chosen about one stream, or about all streams of one listener."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag
from math import inf

from litz.stream_port import MAX_METADATA, MAX_SERVICE


class Drain(Flag):
    """What a stream still brings to its end when it is left gracefully (`aclose`, a handler that returned).

    NONE      nothing: it is aborted, whatever is under way
    OUTBOUND  what was sent arrives. What the peer sends is not read any more: it is told so by an abort, if it sends
              anything, after what was sent has arrived
    INBOUND   what the peer still sends is taken and dropped until its end, so that the peer need not see an abort
    BOTH      both
    """

    NONE = 0
    OUTBOUND = 1
    INBOUND = 2
    BOTH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """The choices of one stream (`open_stream`), or of those of one listener (`listen_streams`). Times in seconds.

    max_message       bytes of one message, sent or received: above it `send` raises `MessageTooLargeError`, and a peer
                      that sends more costs itself the stream
    open_timeout      for an open, unless the call says otherwise
    grace             for leaving gracefully: what is not over by then is aborted
    idle              without anything sent or received, after which the stream is aborted. None: never
    fail_fast         a stream that failed says so at once: what came before and was not read is dropped, and the
                      handler is cancelled. Otherwise it is read first
    drain             what leaving gracefully brings to its end
    finish_with_peer  the peer's end of sending is this side's too, behind what was sent
    waiting_opens     of a listener: opens that wait for its `start`. More are answered busy
    max_streams       of a listener: streams at once. More are answered busy

    Raises ValueError.
    """

    max_message: int = 64 * 1024 * 1024
    open_timeout: float = 30.0
    grace: float = 10.0
    idle: float | None = None
    fail_fast: bool = False
    drain: Drain = Drain.OUTBOUND
    finish_with_peer: bool = False
    waiting_opens: int = 128
    max_streams: int = 4_096

    def __post_init__(self) -> None:
        for name in ("max_message", "waiting_opens", "max_streams"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is a whole number, at least 1, not {value!r}")
        for name in ("open_timeout", "grace"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} is a time in seconds above 0, not {getattr(self, name)!r}")
        if self.idle is not None and not 0 < self.idle < inf:
            raise ValueError(f"idle is a time in seconds above 0, or None, not {self.idle!r}")
        if not isinstance(self.drain, Drain):
            raise ValueError(f"drain is a litz.Drain, not {self.drain!r}")  # noqa: TRY004 - as all other options


DEFAULT_OPTIONS = StreamOptions()
"""What holds when nothing was chosen."""


def checked_service(service: object) -> str:
    """`service`, if it can be the name of one: 1 to 255 bytes of UTF-8 without spaces and control characters. Raises
    ValueError."""
    if not isinstance(service, str):
        raise ValueError(f"the name of a service is a str, not {type(service).__name__}")  # noqa: TRY004 - one error for all that is wrong with it
    size = len(service.encode("utf-8", "replace"))
    if not 1 <= size <= MAX_SERVICE:
        raise ValueError(f"the name of a service has 1 to {MAX_SERVICE} bytes of UTF-8; this one has {size}")
    if not service.isprintable() or any(character.isspace() for character in service):
        raise ValueError(f"the name of a service has no spaces and no control characters: {service!r}")
    return service


def checked_metadata(metadata: object) -> bytes:
    """`metadata` as bytes, if it may go with an open. Raises ValueError."""
    if not isinstance(metadata, bytes | bytearray | memoryview):
        raise ValueError(f"metadata are bytes, not {type(metadata).__name__}")  # noqa: TRY004 - one error for all that is wrong with it
    found = bytes(metadata)
    if len(found) > MAX_METADATA:
        raise ValueError(f"{len(found)} bytes of metadata, at most {MAX_METADATA}: send more as the first message")
    return found
