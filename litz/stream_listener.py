"""A service that takes streams: who asks for one, who waits for the start, and the tasks of the handlers."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, Self

from litz.errors import StreamAbortedError
from litz.seldom import OF_HANDLER, Seldom
from litz.stream import Stream
from litz.stream_core import StreamCore
from litz.stream_lifecycle import StreamEnd, StreamState
from litz.stream_options import StreamOptions
from litz.stream_port import Abort, Later, Offer, Refusal, Refused, StreamSide

StreamHandler = Callable[[Stream], Awaitable[Any]]
"""Called for each stream, in a task that the manager owns. When it returns, the stream ends gracefully."""

AcceptStream = Callable[[Offer], "str | Refused | None"]
"""Asked about each stream before it is taken: None takes it; a text refuses it, with that reason."""

Standing = Literal["live", "drain", "abort"]
"""What becomes of the streams of a listener that is stopped."""

RETRY_BUSY: Final = 1.0
"""Seconds after which whoever found no room may come again."""


class StreamListener:
    """The streams of one service. Made by `listen_streams`.

    Until `start`, opens wait, as many as `StreamOptions.waiting_opens`, each for as long as its opener likes. `async
    with` starts it and stops it.
    """

    def __init__(
        self,
        service: str,
        handler: StreamHandler,
        options: StreamOptions,
        accept: AcceptStream | None,
        make: Callable[[StreamSide, Offer, StreamOptions], tuple[StreamCore, Callable[[], Stream]]],
    ) -> None:
        self._service = service
        self._handler = handler
        self._options = options
        self._accept = accept
        self._make = make
        self._seldom = Seldom()  # of `accept`
        self._failures = Seldom(first=OF_HANDLER)  # of the handler
        self._loop = asyncio.get_running_loop()
        self._started = False
        self._stopped = False
        self._waiting: dict[StreamCore, Callable[[], Stream]] = {}
        self._tasks: dict[asyncio.Task[None], Stream] = {}
        self.unbind: Callable[[], None] = lambda: None

    # -- for users ------------------------------------------------------------------------------------

    @property
    def service(self) -> str:
        """What it takes streams for."""
        return self._service

    @property
    def streams(self) -> list[Stream]:
        """Those whose handlers run, oldest first."""
        return list(self._tasks.values())

    @property
    def waiting(self) -> int:
        """Opens that wait for `start`."""
        return len(self._waiting)

    def start(self) -> None:
        """Take the streams that wait, and those that come. Idempotent. Raises RuntimeError once it is stopped."""
        if self._stopped:
            raise RuntimeError(f"the listener of {self._service!r} was stopped; call listen_streams again")
        self._started = True
        waiting, self._waiting = self._waiting, {}
        for core, make in waiting.items():
            core.on_over = None
            if len(self._tasks) >= self._options.max_streams:
                core.side.answer(self._busy("streams"))
            else:
                core.side.answer(None)
                self._begin(core, make)

    async def stop(self, streams: Standing = "live", *, timeout: float | None = None) -> None:
        """Take no new streams; those that wait for `start` are refused. Idempotent.

        streams  what becomes of those that stand: they live on; or they have `timeout` seconds (default: the grace
                 period) until their handlers return, and are aborted then; or they are aborted at once. In the last two
                 cases it returns when all handlers have ended
        """
        if not self._stopped:
            self._stopped = True
            self.unbind()
            waiting, self._waiting = self._waiting, {}
            for core in waiting:
                core.on_over = None
                core.side.answer(Refused(Refusal.REFUSED, "the service was stopped"))
            self._sum_up()
        if streams == "live":
            return
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        if streams == "drain" and tasks:
            await asyncio.wait(tasks, timeout=self._options.grace if timeout is None else timeout)
        left = self._cancel(tasks)
        if left:
            await asyncio.wait(left)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop("drain" if kind is None else "abort")

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else "started" if self._started else f"bound, {self.waiting} waiting"
        return f"<listener of {self._service!r}: {state}, {len(self._tasks)} streams>"

    # -- for the manager ----------------------------------------------------------------------------------

    def offered(self, offer: Offer, side: StreamSide) -> Refused | Later | None:
        """A peer asks for a stream."""
        if offer.pipe:
            return Refused(Refusal.REJECTED, "this service takes streams of messages: use open_stream")
        refused = self._asked(offer)
        if refused is not None:
            return refused
        if not self._started:
            if len(self._waiting) >= self._options.waiting_opens:
                return self._busy("opens that wait for its start")
            core, make = self._make(side, offer, self._options)
            core.on_over = self._gone
            self._waiting[core] = make
            side.use(core)
            return Later.LATER
        if len(self._tasks) >= self._options.max_streams:
            return self._busy("streams")
        core, make = self._make(side, offer, self._options)
        side.use(core)
        self._begin(core, make)
        return None

    def _asked(self, offer: Offer) -> Refused | None:
        if self._accept is None:
            return None
        try:
            answer: object = self._accept(offer)
            if isinstance(answer, str):
                return Refused(Refusal.REJECTED, answer)
            if answer is None or isinstance(answer, Refused):
                return answer
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError(f"accept returns None, a text or a Refused, and is not async; not {type(answer).__name__}")
        except Exception as error:
            more = self._seldom.words(self._loop.time(), offer.sender, error)
            if more is not None:
                what = f"accept of the service {self._service!r} raised, for a stream from {offer.sender}{more}"
                self._tell(error, what)
            return Refused(Refusal.REJECTED, f"accept raised {type(error).__name__}")

    def _busy(self, what: str) -> Refused:
        return Refused(Refusal.BUSY, f"the service has its limit of {what}", RETRY_BUSY)

    def shut(self) -> list[asyncio.Task[None]]:
        """The manager closes: all handlers are cancelled. Returns those who are to be waited for."""
        self._stopped = True
        self._waiting.clear()
        self._sum_up()
        return self._cancel([task for task in self._tasks if task is not asyncio.current_task()])

    def _cancel(self, tasks: list[asyncio.Task[None]]) -> list[asyncio.Task[None]]:
        left = [task for task in tasks if not task.done()]
        for task in left:
            task.cancel()
        return left

    # -- one stream -----------------------------------------------------------------------------------------

    def _begin(self, core: StreamCore, make: Callable[[], Stream]) -> None:
        core.opened()
        stream = make()
        task = self._loop.create_task(self._run(stream, core), name=f"litz stream {core}")
        self._tasks[task] = stream
        task.add_done_callback(partial(self._ended, core))
        if self._options.fail_fast:
            core.on_over = partial(self._failed, task)

    def _ended(self, core: StreamCore, task: asyncio.Task[None]) -> None:
        core.on_over = None
        core.abort(Abort.CANCELLED, "its handler was cancelled")  # before its first step
        # Nobody reads on, and an error with its traceback may hold the stream until garbage is collected.
        core.inbound.clear()
        del self._tasks[task]
        if not task.cancelled():
            task.exception()  # it went through the loop already
        self._sum_up()

    def _gone(self, core: StreamCore) -> None:
        self._waiting.pop(core, None)

    def _failed(self, task: asyncio.Task[None], core: StreamCore) -> None:
        ending = core.life.ending
        if ending is not None and ending.how in (StreamEnd.ABORTED_THERE, StreamEnd.LOST):
            task.cancel()

    async def _run(self, stream: Stream, core: StreamCore) -> None:
        """The handler, and what follows from how it ends. Only real cancels and what is no `Exception` get out."""
        try:
            if asyncio.current_task() not in self._tasks:
                # A task that steps at once (asyncio.eager_task_factory): `_begin` and the carrier are not done yet.
                await asyncio.sleep(0)
            await self._handler(stream)
            await stream.aclose()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                core.abort(Abort.LEAVING if self._stopped else Abort.CANCELLED, "its handler was cancelled")
                raise
            self._handler_failed(core, error)
        except StreamAbortedError as error:
            # That the stream ended is no failure of its handler. That another one did may be.
            if core.life.state is not StreamState.CLOSED:
                self._handler_failed(core, error)
        except Exception as error:
            self._handler_failed(core, error)
        except BaseException as error:
            core.abort(Abort.HANDLER_FAILED, type(error).__name__)
            raise

    def _handler_failed(self, core: StreamCore, error: BaseException) -> None:
        core.abort(Abort.HANDLER_FAILED, type(error).__name__)
        more = self._failures.words(self._loop.time(), core.side.dest, error)
        if more is not None:  # not each of them: a peer opens as many streams as it likes
            self._tell(error, f"the handler of {core} raised{more}")

    def _sum_up(self) -> None:
        """Nothing more will fail: tell how many failures nobody was told of."""
        if not self._stopped or self._tasks:
            return
        left_out = self._seldom.left_out() + self._failures.left_out()
        if left_out:
            self._tell(None, f"the service {self._service!r} is over; {left_out} more of its errors were not told")

    def _tell(self, error: BaseException | None, what: str) -> None:
        context: dict[str, Any] = {"message": f"litz: {what}"}
        if error is not None:
            context["exception"] = error
        self._loop.call_exception_handler(context)
