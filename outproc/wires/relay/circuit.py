"""One end of a circuit at a node: what waits to be sent, what may be sent, and what the hub may send. Pure.

The driver posts what `next_bulk` and `next_window` give, and tells `posted`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from litz.errors import ProtocolError
from litz.message import Buffer
from outproc.wires.relay.messages import (
    OVERHEAD,
    CloseCode,
    encode_close,
    encode_data,
    encode_window,
)

WINDOW: Final = 1 << 20
"""Bytes that the hub may send ahead. They are consumed on arrival, unless the wire was not started."""


class Circuit:
    """Number `number` of the node's circuits through one hub."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.credit = self.sent = 0
        self.granted = WINDOW
        self.taken = self.consumed = 0
        self._queue: deque[tuple[Sequence[Buffer], int]] = deque()
        self.queued = 0
        """Bytes of frames that wait."""
        self._tail: bytes | None = None
        self.over = False
        """Nothing is sent any more."""

    # -- sending --------------------------------------------------------------------------------------

    def write(self, frame: Sequence[Buffer], size: int) -> None:
        """Send a frame of `size` bytes as soon as may be."""
        self._queue.append((frame, size))
        self.queued += size

    def finish(self) -> None:
        """End the circuit once all that was written has been sent."""
        self._tail = encode_close(self.number, CloseCode.DONE)

    def abort(self) -> None:
        """End the circuit now."""
        self._queue.clear()
        self.queued = 0
        self._tail = encode_close(self.number, CloseCode.ABORTED)

    def allow(self, credit: int) -> None:
        """The hub takes so much, counted since the circuit was opened; absolute."""
        self.credit = max(self.credit, credit)

    def cost(self) -> int | None:
        """Of the message that is next; None: nothing can be sent."""
        if self._queue:
            price = self._queue[0][1] + OVERHEAD
            return price if self.sent + price <= self.credit else None
        return OVERHEAD if self._tail is not None else None

    def next_bulk(self) -> list[Buffer]:
        """The next message. Only while `cost` is not None."""
        if self._queue:
            return encode_data(self.number, self._queue[0][0])
        assert self._tail is not None
        return [self._tail]

    def posted(self) -> None:
        """What `next_bulk` gave is on its way."""
        if self._queue:
            _, size = self._queue.popleft()
            self.queued -= size
            self.sent += size + OVERHEAD
        else:
            self._tail = None
            self.over = True

    # -- receiving ------------------------------------------------------------------------------------

    def take(self, size: int) -> None:
        """A frame of `size` bytes came. Raises `ProtocolError` if it may not."""
        self.taken += size + OVERHEAD
        if self.taken > self.granted:
            raise ProtocolError("the hub sent more on a circuit than it was granted")

    def consume(self, size: int) -> bool:
        """The frame was handed on. Returns whether `next_window` has to be posted."""
        self.consumed += size + OVERHEAD
        return self.consumed + WINDOW - self.granted >= WINDOW // 4

    def next_window(self) -> bytes:
        """The grant, to be posted at once or never: stating it grants it."""
        self.granted = self.consumed + WINDOW
        return encode_window(self.number, self.granted)
