"""Messages that can be checked by themselves: which number, on which lane, with what content, exactly once.

Message `n` of a stream is a function of `n`: its lane, its size, its bytes. So the receiver needs no list of what was
sent, and checks outside of litz that each lane brings its numbers once and in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from struct import Struct
from typing import Final

from litz.message import Message
from litz.payload import PayloadType

MAX_MESSAGE: Final = 16 << 20
HEAD: Final = Struct("<QQ")
_MULTIPLIER: Final = 2_654_435_761


class Pattern:
    """The content of all messages: slices of one block of random bytes."""

    def __init__(self, largest: int = MAX_MESSAGE) -> None:
        self._block = memoryview(Random(5).randbytes(largest + 65536))
        self.largest = largest

    def size(self, number: int) -> int:
        """99 % at most 1 KiB; the rest up to 64 KiB, every 50,000th as large as can be."""
        if number % 50_000 == 49_999:
            return self.largest
        scrambled = number * _MULTIPLIER % (1 << 32)
        if number % 100 == 99:
            return HEAD.size + scrambled % 65_000
        return HEAD.size + scrambled % 1008

    def message(self, number: int) -> bytes:
        size = self.size(number)
        start = number * 7919 % 65_536
        return b"".join((HEAD.pack(number, size), self._block[start : start + size - HEAD.size]))

    def is_message(self, data: bytes, number: int) -> bool:
        """Whether `data` is message `number`, to the last byte."""
        size = self.size(number)
        start = number * 7919 % 65_536
        return (
            len(data) == size
            and HEAD.unpack_from(data) == (number, size)
            and memoryview(data)[HEAD.size :] == self._block[start : start + size - HEAD.size]
        )


def lane_of(number: int) -> PayloadType:
    """Message 99 of each hundred is never a signal: those are small."""
    match number % 10:
        case 0:
            return PayloadType.RPC_SIGNAL
        case 1 | 2 | 3:
            return PayloadType.STREAM_RELIABLE
        case _:
            return PayloadType.RPC_RELIABLE


def numbers_of(lane: PayloadType, count: int) -> Iterator[int]:
    """The numbers below `count` that travel on `lane`, in order."""
    return (number for number in range(count) if lane_of(number) is lane)


class Checker:
    """Watches one sender's stream of `count` messages arrive. `wrong` says what broke, in words."""

    def __init__(self, pattern: Pattern, count: int) -> None:
        self._pattern = pattern
        self._due = {lane: numbers_of(lane, count) for lane in PayloadType if lane.reliable}
        self._positions = dict.fromkeys(self._due, 0)
        self.count = count
        self.received = 0
        self.bytes = 0
        self.wrong: list[str] = []

    def take(self, message: Message) -> None:
        lane = message.payload_type
        due = next(self._due[lane], None)
        position = self._positions[lane]
        self._positions[lane] += 1
        self.received += 1
        self.bytes += len(message.data)
        if message.number != position or message.redelivered:
            self._complain(f"{lane.name}: number {message.number} at position {position}")
        if due is None:
            self._complain(f"{lane.name}: more messages than were sent")
        elif not self._pattern.is_message(message.data, due):
            self._complain(f"{lane.name}: message {due} was due, other bytes came: {message.data[:16]!r}...")

    @property
    def done(self) -> bool:
        return self.received >= self.count

    def _complain(self, text: str) -> None:
        if len(self.wrong) < 20:
            self.wrong.append(text)
