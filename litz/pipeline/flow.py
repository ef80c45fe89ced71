"""The pipeline of one stream: its life from open to report, and everything that was started for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Hashable
from typing import TYPE_CHECKING, Any, Final

from litz.errors import (
    DrainingError,
    LitzError,
    OrderBrokenError,
    StreamAbortedError,
    StreamLostError,
)
from litz.pipeline.inbound import Inbound, Left
from litz.pipeline.item import Item
from litz.pipeline.line import Line
from litz.pipeline.outbound import Outbound
from litz.pipeline.report import GRACEFUL, PipelineEnd, PipelineReport
from litz.stream_lifecycle import Happening, StreamLife, StreamState
from litz.stream_options import Drain
from litz.stream_port import Abort
from litz.supervised import GivenUp, described
from litz.supervision import Failure, Remedy

if TYPE_CHECKING:
    from litz.pipeline.service import Pipeline

log = logging.getLogger("litz.pipeline")

_HAPPENINGS: Final = {
    PipelineEnd.COMPLETE: Happening.DRAINED,
    PipelineEnd.DRAINED: Happening.DRAINED,
    PipelineEnd.ABORTED_BY_PEER: Happening.ABORTED_THERE,
    PipelineEnd.LOST: Happening.LOST,
}
"""Any other end is an abort by this side."""

_CODES: Final = {
    PipelineEnd.HANDLER_FAILED: Abort.HANDLER_FAILED,
    PipelineEnd.ESCALATED: Abort.HANDLER_FAILED,
    PipelineEnd.TASK_FAILED: Abort.HANDLER_FAILED,
    PipelineEnd.ORDER_BROKEN: Abort.REJECTED,
    PipelineEnd.OUTBOUND_FAILED: Abort.REJECTED,
}

_RAISED: Final = frozenset({PipelineEnd.ESCALATED, PipelineEnd.TASK_FAILED})
"""Ends whose error leaves the serving call."""


class Flow:
    """One stream under a pipeline. Handlers have it as `item.flow`; `open_pipeline` hands it out.

    States are those of a stream (`litz.stream_lifecycle`): it may drain while there is no wire. The first reason for an
    end counts. All methods belong to one loop's thread.
    """

    def __init__(self, pipeline: Pipeline, line: Line) -> None:
        self.line = line
        self.dest = line.dest
        self.service = line.service
        self.report: PipelineReport | None = None
        """What it came to; set when all is over."""
        self._pipeline = pipeline
        self._options = options = pipeline.options
        self._loop = asyncio.get_running_loop()
        self._life = StreamLife()
        self._life.happen(Happening.OPENED)
        self._began = self._loop.time()
        self._drain_began: float | None = None
        self._graceful = PipelineEnd.DRAINED
        self._limit: asyncio.TimerHandle | None = None
        self._eof = False
        self._ending: PipelineEnd | None = None
        self._error: BaseException | None = None
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._reported: asyncio.Future[PipelineReport] = self._loop.create_future()
        self._tasks: dict[asyncio.Task[Any], None] = {}
        supervisor = pipeline.supervisor
        self.inbound = Inbound(self, pipeline.handler, options, supervisor, pipeline.inbound_limiter)
        self.outbound = Outbound(self, pipeline.outgoing, options, supervisor, pipeline.outbound_limiter)

    # -- for handlers and users ---------------------------------------------------------------------------

    @property
    def state(self) -> StreamState:
        """Where the stream is in its life."""
        return self._life.state

    async def send(self, data: Any, *, key: Hashable = None) -> None:
        """Send `data`; returns when the stream has accepted it. In the order of `PipelineOptions.outbound`: concurrent
        calls first come, first served. `key` is for a `PerKey` order. Cancelled: sent wholly or not at all.

        Raises `DrainingError` (nothing was taken: the stream is coming to its end), what ended the stream,
        `AdmissionRefusedError`, and what `outgoing` or the stream's own `send` raises.
        """
        await self.outbound.send(data, key, self._may_send)

    async def reply(self, data: Any, key: Hashable = None) -> None:
        """`send` for handlers: also while the stream drains, until this side's end of sending."""
        await self.outbound.send(data, key, self._may_reply)

    def start(self, coroutine: Coroutine[Any, Any, Any], *, name: str | None = None) -> asyncio.Task[Any]:
        """Run it as a task of this stream: it is cancelled when the stream ends, and its end is waited for. If it
        fails, the stream is aborted, and the exception leaves the serving call."""
        if self._ending is not None:
            coroutine.close()
            raise self.ended_error()
        return self._own(coroutine, name or "litz pipeline task")

    @property
    def parked(self) -> list[Item]:
        """The messages whose keys are parked, oldest first."""
        return self.inbound.parked()

    def unpark(self, key: Hashable, *, skip: bool = False) -> None:
        """Let a parked key go on: with the message that failed, as if it had never been tried; or without it. Raises
        LookupError if it is not parked."""
        self.inbound.unpark(key, skip=skip)

    def begin_drain(self, what: Drain | None = None, *, grace: float | None = None) -> None:
        """Begin to leave gracefully (`drain`), from anywhere, a handler included."""
        self._begin_drain(self._options.drain if what is None else what, PipelineEnd.DRAINED)
        if self._ending is None:
            self._grace(self._options.grace if grace is None else grace)

    async def drain(self, what: Drain | None = None, *, grace: float | None = None) -> PipelineReport:
        """Leave gracefully, and return when all is over. From this call on `send` raises `DrainingError`.

        BOTH      what came in so far is handled and its replies go out, then this side's end of sending; what the peer
                  still sends until its own end is handled too, but cannot be replied to
        OUTBOUND  handlers are cancelled at once; what is in line goes out and arrives. Then it waits for the peer's
                  end, and aborts if the peer sends anything more, which nobody takes
        INBOUND   what came in so far is handled, and its replies go out; what `send` has in line does not matter
        NONE      nothing

        What is not over within `grace` seconds (default: that of the options) is cut off. Not for handlers of this
        stream, which would wait for themselves: `begin_drain`. Cancelling it does not stop it.
        """
        self.begin_drain(what, grace=grace)
        return await self.ended()

    def abort(self, reason: str = "") -> None:
        """End it now: the peer is told, everything that was started for it is cancelled. A no-op after the end."""
        self.end(PipelineEnd.ABORTED, None, reason)

    async def ended(self) -> PipelineReport:
        """Wait until all is over."""
        return await asyncio.shield(self._reported)

    # -- the life -----------------------------------------------------------------------------------------

    async def run(self) -> PipelineReport:
        """Serve the stream to its end, and return when everything that was started for it has ended. Raises what was
        escalated. Cancelled: everything ends, and the peer is told."""
        self._pipeline.began(self)
        self.line.watch(self.line_failed)
        self._own(self.inbound.read(), "litz pipeline reader")
        try:
            await self._over
        except asyncio.CancelledError:
            self.end(PipelineEnd.CANCELLED, None, "cancelled")
            raise
        finally:
            await self._finish()
        assert self.report is not None
        if self._ending in _RAISED and self._error is not None:
            # A cancellation of the handler's own may not look like one of this task.
            raise self._error if isinstance(self._error, Exception) else self.ended_error()
        return self.report

    async def _finish(self) -> None:
        """The clean-up in a task of its own, which no second cancel disturbs."""
        cleaning = self._loop.create_task(self._clean_up(), name="litz pipeline end")
        cancelled: asyncio.CancelledError | None = None
        while not cleaning.done():
            try:
                await asyncio.wait([cleaning])
            except asyncio.CancelledError as error:
                cancelled = error
        self.report = cleaning.result()
        self._reported.set_result(self.report)
        self._pipeline.over(self)
        if cancelled is not None:
            raise cancelled

    async def _clean_up(self) -> PipelineReport:
        assert self._ending is not None
        if self._limit is not None:
            self._limit.cancel()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        left = await self.inbound.close()
        undelivered = await self.outbound.close(self.ended_error())
        if tasks:
            await asyncio.wait(tasks)
        return self._make_report(self._ending, left, undelivered)

    def _make_report(self, ending: PipelineEnd, left: Left, undelivered: int) -> PipelineReport:
        now = self._loop.time()
        error = None if ending in GRACEFUL else self._error or self.ended_error()
        return PipelineReport(
            self.dest,
            self.service,
            ending,
            error,
            now - self._began,
            0.0 if self._drain_began is None else now - self._drain_began,
            self.inbound.received,
            self.inbound.tally,
            self.outbound.tally,
            left.outstanding,
            left.interrupted,
            self.inbound.letters,
            undelivered,
            self.line.unread,
            described(error) if error is not None else "",
        )

    def end(self, reason: PipelineEnd, error: BaseException | None = None, text: str = "") -> None:
        """It is over for this reason, unless there was another one before. The rest follows in `run`."""
        if self._ending is not None:
            return
        complete = self.inbound.finished and self._eof
        self._ending = reason
        self._error = error
        self._life.happen(_HAPPENINGS.get(reason, Happening.ABORTED_HERE), reason=text)
        if reason not in GRACEFUL or not complete:
            self.line.abort(_CODES.get(reason, Abort.CANCELLED), text or reason.value)
        if not self._over.done():  # cancelled with the task that waits for it
            self._over.set_result(None)

    def ended_error(self) -> LitzError:
        """What `send` and the leaving of `open_pipeline` raise. Made anew each time: errors collect tracebacks."""
        assert self._ending is not None
        error = self._error
        said = f" ({described(error)})" if error is not None else ""
        text = f"the stream {self.service!r} with {self.dest} is over: {self._ending.value}{said}"
        fresh: LitzError
        if isinstance(error, OrderBrokenError):
            fresh = OrderBrokenError(text, key=error.key)
        elif isinstance(error, StreamLostError):
            fresh = StreamLostError(text, unconfirmed=error.unconfirmed)
        else:
            code = error.code if isinstance(error, StreamAbortedError) else _CODES.get(self._ending)
            fresh = StreamAbortedError(text, code=code)
        fresh.__cause__ = error
        return fresh

    # -- draining -----------------------------------------------------------------------------------------

    def half_closed(self) -> None:
        """The peer has said its last, and all of it is in line."""
        if self._ending is not None:
            return
        self._life.happen(Happening.FINISHED_THERE)
        if self._options.half_close is not None:
            self._begin_drain(self._options.half_close, PipelineEnd.COMPLETE)

    def _begin_drain(self, what: Drain, reason: PipelineEnd) -> None:
        if self._ending is not None or self._drain_began is not None:
            return
        self._drain_began = self._loop.time()
        self._graceful = reason
        self._life.happen(Happening.DRAIN)
        if what is Drain.NONE:
            self.end(PipelineEnd.ABORTED, None, "left without draining")
        else:
            self._own(self._drain(what), "litz pipeline drain")

    def _grace(self, seconds: float) -> None:
        """The shortest grace that was asked for counts."""
        at = self._loop.time() + seconds
        if self._limit is None or at < self._limit.when():
            if self._limit is not None:
                self._limit.cancel()
            text = f"not over within {seconds:g} s"
            self._limit = self._loop.call_at(at, self.end, PipelineEnd.GRACE_OVER, None, text)

    async def _drain(self, what: Drain) -> None:
        inbound, line = self.inbound, self.line
        try:
            if Drain.INBOUND in what:
                await inbound.settled(inbound.received)
            else:
                await inbound.close()
            if Drain.OUTBOUND in what:
                await self.outbound.settled()
                self._eof = True
                await line.send_eof()
                self._life.happen(Happening.FINISHED_HERE)
                if Drain.INBOUND in what:
                    await inbound.settled()
                await line.arrived()
                if Drain.INBOUND not in what:
                    await inbound.rest()
        except StreamAbortedError as error:
            self.line_failed(error)
        else:
            self.end(self._graceful)

    def _may_send(self) -> None:
        if self._drain_began is not None and self._ending is None:
            raise DrainingError(f"the stream {self.service!r} with {self.dest} is coming to its end: nothing was taken")
        self._may_reply()

    def _may_reply(self) -> None:
        if self._ending is not None:
            raise self.ended_error()
        if self._eof:
            raise DrainingError(f"the stream {self.service!r} with {self.dest} has sent its end: nothing was taken")

    # -- what the halves tell -----------------------------------------------------------------------------

    async def answer(self, item: Item, data: Any) -> None:
        """Send what a handler returned. It is handled by now, so an error is one of the outbound half."""
        try:
            await self.reply(data, item.key)
        except DrainingError as error:
            self.outbound.tally.add_failure(Failure.UNDELIVERED)
            self._unanswered(item, error)
        except Exception as error:
            if self._ending is None:
                self._unanswered(item, error)

    def _unanswered(self, item: Item, error: Exception) -> None:
        """Not each is told: a peer that has sent its end, say, may have sent as many messages before as it liked."""
        more = self._pipeline.told.words(self._loop.time(), self.dest, error)
        if more is not None:
            log.warning("no reply to %r: %s%s", item, described(error), more)

    def failed(self, given_up: GivenUp) -> None:
        """A message was given up, and the stream ends by it."""
        reason = PipelineEnd.ESCALATED if given_up.remedy is Remedy.ESCALATE else PipelineEnd.HANDLER_FAILED
        self.end(reason, given_up.error, given_up.failure.value)

    def outbound_failed(self, given_up: GivenUp, *, escalate: bool) -> None:
        """The same, outbound."""
        reason = PipelineEnd.ESCALATED if escalate else PipelineEnd.OUTBOUND_FAILED
        self.end(reason, given_up.error, given_up.failure.value)

    def order_broken(self, error: OrderBrokenError) -> None:
        """Final, whatever the policies say; only the volume differs."""
        escalate = self._options.supervise.remedy_for(Failure.ORDER_BROKEN, error) is Remedy.ESCALATE
        if self._ending is None:
            self.inbound.tally.add_failure(Failure.ORDER_BROKEN)
        self.end(PipelineEnd.ESCALATED if escalate else PipelineEnd.ORDER_BROKEN, error, Failure.ORDER_BROKEN.value)

    def line_failed(self, error: Exception) -> None:
        """What carries it does not carry it any more."""
        lost = isinstance(error, StreamLostError)
        self.end(PipelineEnd.LOST if lost else PipelineEnd.ABORTED_BY_PEER, error)

    # -- tasks --------------------------------------------------------------------------------------------

    def _own(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.end(PipelineEnd.TASK_FAILED, error, type(error).__name__)

    def narrow(self, high: bool) -> None:
        """Admission signals: the peer may send no more than it may already, until it is low again."""
        if high:
            self.line.pause()
        else:
            self.line.resume()

    def __repr__(self) -> str:
        return f"<pipeline of {self.service!r} with {self.dest}: {self.state.value}>"
