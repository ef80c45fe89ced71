"""What travels on the two data channels: one byte that says what a message is, and the rest of it. Pure.

docs/protocol.md specifies them; a browser speaks them too.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 1

FRAME: Final = 0
"""A litz frame follows. Only once both said HELLO on this channel, and the receiver said READING."""
HELLO: Final = 1
"""Version (one byte), flags (one byte, 0). First on each channel, from both sides. May come twice."""
READING: Final = 2
"""Frames are taken from now on, on both channels. Comes on the bulk channel."""
PING: Final = 3
"""Eight bytes that the PONG repeats. On the urgent channel."""
PONG: Final = 4
CLOSE: Final = 5
"""The last message on its channel. Once it came on both, the connection is closed."""

FRAME_BYTE: Final = bytes([FRAME])
HELLO_MESSAGE: Final = bytes([HELLO, VERSION, 0])
READING_MESSAGE: Final = bytes([READING])
CLOSE_MESSAGE: Final = bytes([CLOSE])
TOKEN_SIZE: Final = 8


def problem_of(message: bytes) -> str:
    """What is wrong with the form of a message, '' if nothing. FRAMEs are not looked into."""
    if not message:
        return "an empty message"
    kind, size = message[0], len(message)
    if kind == HELLO:
        if size < 3:
            return "a HELLO cut short"
        return "" if message[1] == VERSION else f"version {message[1]} of the channels, and this side speaks {VERSION}"
    if kind in (PING, PONG):
        return "" if size == 1 + TOKEN_SIZE else "a PING of another size"
    if kind in (READING, CLOSE):
        return "" if size == 1 else "a control message of another size"
    if kind == FRAME:
        return "" if size > 1 else "an empty frame"
    return f"a message of unknown kind {kind}"
