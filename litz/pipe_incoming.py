"""The receiving half of a pipe: entries from the side to an asyncio protocol, in order, as long as that reads.

What the protocol has not taken stays charged to the window, so a protocol that pauses stops its peer and nobody else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from litz.stream_port import Kept, StreamSide

Failed = Callable[[BaseException, str], None]
"""Called with what a method of the protocol raised, and the method's name."""


class PipeIncoming:
    """Belongs to the loop's thread. The protocol is called from `received` and `finished` of the side, or from the
    loop, never from `resume`."""

    __slots__ = (
        "_any_buffer",
        "_backlog",
        "_draining",
        "_ended",
        "_eof",
        "_failed",
        "_fills",
        "_kept",
        "_loop",
        "_over",
        "_protocol",
        "_side",
        "eof_told",
        "finished",
        "paused",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, side: StreamSide, eof: Callable[[bool], None], failed: Failed
    ) -> None:
        self._loop = loop
        self._side = side
        self._eof = eof
        """Called when the protocol has been told the end, with whether it wants to stay open."""
        self._failed = failed
        self._backlog: deque[Any] = deque()
        self._draining = False
        self._ended = False
        self._over = False
        self._kept: Kept | None = None
        """The backlog, when the side is over."""
        self.paused = False
        self.finished = False
        """The peer's half is complete; perhaps not all of it was given."""
        self.eof_told = False

    def give_to(self, protocol: asyncio.BaseProtocol) -> None:
        """From now on."""
        self._protocol: Any = protocol
        # A StreamReader copies what it is given into its own buffer, so it needs no bytes made for it.
        self._any_buffer = type(protocol) is asyncio.StreamReaderProtocol or getattr(protocol, "takes_buffers", False)
        self._fills = isinstance(protocol, asyncio.BufferedProtocol) and not self._any_buffer

    def received(self, entries: Sequence[Any], size: int) -> None:
        """The side brought `entries`."""
        if self._ended:
            self._consume(len(entries), size)  # who still sends to a closed end waits for nobody
        elif self.paused or self._backlog:
            self._backlog.extend(entries)
        else:
            self._give_all(entries, size)

    def finish(self) -> None:
        """The side brought the end."""
        self.finished = True
        self._tell_eof_if_due()

    def pause(self) -> None:
        """Give nothing more."""
        self.paused = True

    def resume(self) -> None:
        """Go on, from the loop."""
        self.paused = False
        if not self._draining:
            self._draining = True
            self._loop.call_soon(self._drain)

    def end(self, *, over: bool) -> None:
        """Give nothing more, ever: what waits and what comes is dropped. `over`: the side has ended too."""
        if not self._ended:
            self._ended = True
            count, size = len(self._backlog), sum(map(_size, self._backlog))
            self._backlog.clear()
            self._over = over
            if count:
                self._consume(count, size)

    def side_is_over(self) -> None:
        """The side is about to be released: it is told nothing any more."""
        if self._backlog and not self._over:
            self._kept = self._side.keep(sum(map(_size, self._backlog)))
        self._over = True

    def _consume(self, count: int, size: int) -> None:
        if not self._over:
            self._side.consumed(count, size)
        elif self._kept is not None:
            self._kept.took(size)
            if not self._backlog:
                self._kept = None

    def _give_all(self, entries: Sequence[Any], size: int) -> None:
        given = 0
        for entry in entries:
            given += 1
            self._give(entry)
            if self.paused or self._ended:
                break
        if given < len(entries) and not self._ended:
            rest = entries[given:]
            self._backlog.extend(rest)
            size -= sum(map(_size, rest))
        else:
            given = len(entries)
        self._consume(given, size)

    def _drain(self) -> None:
        self._draining = False
        backlog = self._backlog
        count = size = 0
        while backlog and not (self.paused or self._ended):
            entry = backlog.popleft()
            count += 1
            size += _size(entry)
            self._give(entry)
        if count:
            self._consume(count, size)
        self._tell_eof_if_due()

    def _give(self, entry: Any) -> None:
        try:
            if type(entry) is tuple:
                entry = b"".join(entry)
            if self._fills:
                self._fill(memoryview(entry))
            elif self._any_buffer or type(entry) is bytes:
                self._protocol.data_received(entry)
            else:
                self._protocol.data_received(bytes(entry))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._failed(error, "data_received")

    def _fill(self, data: memoryview) -> None:
        while data:
            room = memoryview(self._protocol.get_buffer(len(data)))
            size = min(len(room), len(data))
            if not size:
                raise RuntimeError("get_buffer() returned an empty buffer")
            room[:size] = data[:size]
            self._protocol.buffer_updated(size)
            data = data[size:]

    def _tell_eof_if_due(self) -> None:
        if not self.finished or self.eof_told or self._ended or self.paused or self._backlog:
            return
        self.eof_told = True
        try:
            stays = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._failed(error, "eof_received")
        else:
            self._eof(bool(stays))


def _size(entry: Any) -> int:
    return sum(map(len, entry)) if type(entry) is tuple else len(entry)
