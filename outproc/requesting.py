"""Requests of this node and answers to those of others: what travels, and who waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from litz.errors import (
    ConnectError,
    DrainingError,
    MessageDroppedError,
    OutcomeUnknownError,
    RemoteError,
    RequestTimeoutError,
    SessionEndedError,
)
from litz.events import Outcome
from litz.inbox import Inbox
from litz.manager import WhenDown
from litz.message import Receipt
from litz.payload import REPLY_LANE, PayloadType
from litz.requests import Correlation, RequestTable
from outproc.inbound import SessionSource
from outproc.session.log import EntryDetail


class PendingRequest:
    """One request that waits: where its answer goes, and under which receipt it was sent."""

    __slots__ = ("answer", "receipt")

    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self.answer = answer
        self.receipt: Receipt | None = None


Append = Callable[[str, int, Any, EntryDetail, WhenDown | None], Awaitable[Receipt]]
"""Accepts one message: (dest, lane, data, detail, when_down). Waits for space."""

AppendNow = Callable[[str, int, bytes, EntryDetail], None]
"""The same for a cancellation, without waiting: it is told as soon as there is space, and to no later transport."""


class Requests:
    """All requests of one manager, both ways."""

    def __init__(self, base: int, limit: int, inbox: Inbox, append: Append, append_now: AppendNow) -> None:
        self._table: RequestTable[PendingRequest] = RequestTable(base, limit=limit)
        self._inbox = inbox
        self._append = append
        self._append_now = append_now
        self._sent: dict[Receipt, PendingRequest] = {}

    async def request(self, dest: str, data: Any, *, timeout: float | None, when_down: WhenDown | None = None) -> bytes:
        """Send a request and wait for its answer. Cancelling tells the peer."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        pending = PendingRequest(answer)
        request_id = self._table.open(pending)
        detail = EntryDetail((Correlation.REQUEST, request_id))
        receipt: Receipt | None = None
        try:
            async with asyncio.timeout(timeout):
                # Accepted and entered in one turn: no answer can come, and no session end, in between.
                receipt = await self._append(dest, PayloadType.RPC_RELIABLE, data, detail, when_down)
                pending.receipt = receipt
                self._sent[receipt] = pending
                self._table.enter(request_id, dest)
                return await answer
        except TimeoutError as error:
            raise RequestTimeoutError(f"no reply from {dest} within {timeout} s; it may have run") from error
        finally:
            if receipt is not None:
                del self._sent[receipt]
            if self._table.forget(request_id):
                self._append_now(dest, REPLY_LANE, b"", EntryDetail((Correlation.CANCEL, request_id)))

    @property
    def waiting(self) -> int:
        """How many requests of this node were accepted and have no answer yet."""
        return self._table.accepted

    def answered(self, dest: str, kind: int, request_id: int, body: bytes) -> None:
        """An entry of the reply lane came from `dest`. Late and doubled answers are dropped."""
        if kind == Correlation.CANCEL:
            self._inbox.cancel_request(dest, request_id)
            return
        pending = self._table.answered(dest, request_id)
        if pending is None or pending.answer.done():
            return
        if kind == Correlation.REPLY:
            pending.answer.set_result(body)
        else:
            name, _, text = body.decode("utf-8", "replace").partition("\0")
            pending.answer.set_exception(RemoteError(name, text, dest=dest))

    async def reply(self, source: SessionSource, kind: int, request_id: int, data: Any) -> None:
        """Answer a request. Without its session the answer has nowhere to go."""
        if source.session.ended:
            return
        with contextlib.suppress(SessionEndedError, ConnectError, DrainingError):
            await self._append(source.sender, REPLY_LANE, data, EntryDetail((kind, request_id)), "queue")

    def dropped(self, receipt: Receipt, error: MessageDroppedError) -> None:
        """A policy dropped a message: if it was a request, no answer can come."""
        pending = self._sent.get(receipt)
        if pending is not None and not pending.answer.done():
            pending.answer.set_exception(error)

    def session_ended(self, dest: str, error: SessionEndedError) -> None:
        """No answer of `dest` can come any more. A request that was surely not taken fails with the session's error
        (and may be sent again), all others with `OutcomeUnknownError`."""
        never = {entry.receipt for entry in error.lost if entry.outcome is Outcome.NEVER_ACCEPTED}
        for _, pending in self._table.sweep(dest):
            if pending.answer.done():
                continue
            if pending.receipt in never:
                pending.answer.set_exception(error)
            else:
                unknown = OutcomeUnknownError(f"the session with {dest} ended before its reply; it may have run")
                unknown.__cause__ = error
                pending.answer.set_exception(unknown)
