"""Saying goodbye: our final positions out, the peer's final positions in (R4, R14)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from outproc.link import Link
from outproc.session.session import Session
from outproc.session.tombstones import Finals


class Farewell:
    """The goodbye of one transport, said at most once."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[Finals | None] | None = None

    @property
    def said(self) -> bool:
        return self._answer is not None

    async def say(
        self, session: Session, links: Sequence[Link], reason: tuple[int, str], timeout: float
    ) -> Finals | None:
        """Say it on every wire, because one of them may be half open, and return the peer's final positions; None: it
        was not there, or did not answer in time (seconds), and what it has stays unknown. `reason` is for the peer (see
        `outproc.session.leaving`) and for people. The answer comes on the wire
        that was heard first, so wires that may lose it are left out where there are others."""
        if not links:
            return None
        links = [link for link in links if link.dependable] or links
        self._answer = asyncio.get_running_loop().create_future()
        for link in links:
            link.write(session.farewell(*reason, link.max_frame))
        try:
            async with asyncio.timeout(timeout):
                return await self._answer
        except TimeoutError:
            return None

    def answered(self, finals: Finals | None) -> None:
        """The peer's final positions have come; None: nobody is left to tell them. The first word counts."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(finals)
