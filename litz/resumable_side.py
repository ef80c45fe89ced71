"""The side of a `ResumablePipe` for its transport: the port of streams over a `ResumeSession`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from litz.resume_session import ResumeSession
from litz.stream_port import MAX_ENTRY, Abort, Refused, StreamSide, StreamUser


class ResumableSide(StreamSide):
    """See `StreamSide`. `wake`: something may be due; `leave`: a RESET is."""

    def __init__(self, name: str, session: ResumeSession, wake: Callable[[], None], leave: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._session = session
        self._wake = wake
        self._leave = leave
        self._user: StreamUser | None = None
        self._refused = self._wants_confirmed = False
        self.ended = False
        self.link_is_up = False

    @property
    def dest(self) -> str:
        """The name that the pipe was given."""
        return self._name

    @property
    def number(self) -> int:
        """There is one."""
        return 0

    @property
    def link_up(self) -> bool:
        """Whether there is a connection."""
        return self.link_is_up

    @property
    def unconfirmed(self) -> int:
        """In bytes."""
        return len(self._session.out)

    @property
    def buffered(self) -> int:
        """Bytes that this connection was not given."""
        return self._session.out.end - self._session.sent

    @property
    def max_entry(self) -> int:
        """What one frame has."""
        return MAX_ENTRY

    def use(self, user: StreamUser) -> None:
        """See `StreamSide`."""
        self._user = user

    def answer(self, refused: Refused | None) -> None:
        """Nobody asked."""

    def attach(self, attached: bool) -> None:
        """Nobody counts."""

    def pause(self) -> None:
        """What is not consumed is not granted; that is enough here."""

    def resume(self) -> None:
        """See `pause`."""

    def write(self, entry: Any, size: int) -> bool:
        """See `StreamSide`."""
        if self.ended or self._session.finishing:
            raise RuntimeError("written behind the end")
        if size > self._session.room:
            self._refused = True
            return False
        self._session.out.append(entry)
        self._wake()
        return True

    def finish(self) -> None:
        """See `StreamSide`."""
        if not self.ended:
            self._session.finishing = True
            self._wake()

    def abort(self, code: int, reason: str) -> None:
        """See `StreamSide`."""
        if not self.ended:
            self.ended = True
            if not self._session.complete:
                self._session.reset(code, reason)
                self._leave()

    def consumed(self, entries: int, size: int) -> None:
        """See `StreamSide`."""
        self._session.consumed += size
        self._wake()

    def want_confirmed(self) -> None:
        """See `StreamSide`."""
        self._wants_confirmed = True
        self._loop.call_soon(self.tell_news)

    def release(self) -> None:
        """See `StreamSide`."""
        self.abort(Abort.CANCELLED, "")
        self._user = None

    # -- what the pipe tells -------------------------------------------------------------------------

    def received(self, entries: Sequence[bytes], size: int) -> None:
        """DATA came."""
        if self._user is not None:
            self._user.received(entries, size)
        else:
            self._session.consumed += size

    def finished(self) -> None:
        """FIN came."""
        if self._user is not None:
            self._user.finished()

    def aborted(self, code: int, text: str) -> None:
        """RESET came."""
        self.ended = True
        if self._user is not None:
            self._user.aborted(code, text)

    def lost(self, error: BaseException) -> None:
        """It cannot be resumed any more."""
        self.ended = True
        if self._user is not None:
            self._user.lost(error)

    def link_changed(self, up: bool) -> None:
        """A connection was had, or lost."""
        self.link_is_up = up
        if self._user is not None:
            self._user.link(up)

    def tell_news(self) -> None:
        """Something was confirmed."""
        if self._refused and self._session.room and self._user is not None and not self.ended:
            self._refused = False
            self._user.writable()
        if self._wants_confirmed and self._session.confirmed and self._user is not None and not self.ended:
            self._wants_confirmed = False
            self._user.confirmed()
