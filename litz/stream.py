"""`Stream`: messages in order in both directions between two nodes, over lanes of their own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from litz.errors import EndOfStreamError
from litz.stream_codec import NOTHING
from litz.stream_core import StreamCore
from litz.stream_lifecycle import StreamState
from litz.stream_port import MAX_CODE, Abort
from litz.stream_report import StreamReport

if TYPE_CHECKING:
    from litz.manager import Peer


class Stream:
    """One stream: what is sent at one end is received at the other, exactly once and in order, however many wires break
    in between. Made by `open_stream`, and handed to the handler of `listen_streams`.

    Each half ends on its own (`send_eof`). A stream ends *complete* (both halves were finished, and all of this side's
    arrived), by an abort of either side, or lost with the session under it; the first of these counts.

    Used as `async with`: left by an exception it is aborted, otherwise `aclose` ends it gracefully. One task sends and
    one receives at a time, at once if you like; a second of either gets `StreamStateError`. All methods belong to the
    manager's loop. A stream that is dropped unclosed warns (`ResourceWarning`), and its peer is told of an abort.
    """

    __slots__ = ("__weakref__", "_core", "_peer")

    def __init__(self, core: StreamCore, peer: Callable[[str], Peer]) -> None:
        self._core = core
        self._peer = peer

    # -- sending --------------------------------------------------------------------------------------

    async def send(self, data: Any) -> None:
        """Send one message: a buffer, or a list of buffers, whose boundaries survive (in process: any object).

        Returns when it is accepted, that is when all of it has found room in the window that the peer grants; `drain`
        waits until it arrived. Buffers above 16 KiB are not copied: they must not change until they are confirmed.
        Cancellation: before the first byte is accepted nothing is sent; after it the message goes out all the same, and
        the next `send` waits behind it.

        Raises `PayloadError`, `MessageTooLargeError` (nothing was sent, and the stream goes on), `StreamAbortedError`,
        `StreamLostError`, `StreamStateError` (after `send_eof`; another task sends).
        """
        outbound = self._core.outbound
        left = outbound.offer(data)
        if left is not None:
            await outbound.accept(left)

    def send_nowait(self, data: Any) -> None:
        """Like `send`, or `BackpressureError` if there is no room now. Of a large message the first part must find
        room, and the rest goes out by itself."""
        self._core.outbound.offer_now(data)

    async def send_eof(self) -> None:
        """End this half, behind all that was sent: the peer's `async for` ends there. The peer may still send.
        Idempotent. Raises `StreamAbortedError` or `StreamLostError` if the stream ended badly before."""
        core = self._core
        if core.failed:
            raise core.error()
        core.finish()

    async def drain(self) -> None:
        """Wait until everything accepted so far has come to the peer's side. Raises `StreamAbortedError` or
        `StreamLostError` if that cannot happen any more."""
        await self._core.drain()

    # -- receiving ------------------------------------------------------------------------------------

    async def receive(self) -> Any:
        """The next message: `bytes`, or a list of them if a list was sent; of a large one `bytearray`s, which are
        yours to change. In process: the very object.

        Cancelling loses nothing. What came before an abort is received first (unless `fail_fast`). Raises
        `EndOfStreamError` once the peer has finished, `StreamAbortedError`, `StreamLostError` otherwise;
        `StreamStateError` while another task receives.
        """
        core = self._core
        inbound = core.inbound
        if inbound.entries and inbound.budget >= 0 and inbound.waiter is None:
            data = core.next_now()
            if data is not NOTHING:
                return data
        return await core.receive()

    def pause(self) -> None:
        """Grant the peer nothing beyond what it was granted, whatever is received, until `resume`. A no-op after the
        end."""
        self._core.pause(paused=True)

    def resume(self) -> None:
        """Take back `pause`."""
        self._core.pause(paused=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except EndOfStreamError:
            raise StopAsyncIteration from None

    # -- the end --------------------------------------------------------------------------------------

    def abort(self, reason: str = "", *, code: int = Abort.CANCELLED) -> None:
        """End both halves now. The peer receives what arrived before, then `StreamAbortedError` with `code` and
        `reason`. A no-op after the end. Raises ValueError for a code that is not from 0 to 65,535."""
        if not 0 <= code <= MAX_CODE:
            raise ValueError(f"the code of an abort is a whole number from 0 to {MAX_CODE}, not {code!r}")
        self._core.abort(code, reason)

    async def aclose(self) -> None:
        """End it gracefully, as `StreamOptions.drain` says: by default `send_eof`, wait until all was confirmed, then
        for the peer's end; if the peer sends more, which nobody would read, it is told of an abort. What is not over
        within `StreamOptions.grace` seconds is aborted. Cancelled: aborted.

        Raises `StreamAbortedError` or `StreamLostError` if not all that was sent was confirmed, or if the peer's abort
        or a loss ended it and no other call has raised that before. Idempotent.
        """
        await self._core.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.aclose()
            else:
                self._core.abort(Abort.CANCELLED, kind.__name__)
        finally:
            self._core.inbound.clear()  # as what comes while it is left: nobody reads it

    def __del__(self) -> None:
        core = self._core
        if core.life.state is StreamState.CLOSED:
            core.inbound.clear()  # nobody else can read it
            return
        if not core.loop.is_closed():
            # Whoever collects garbage may be in any thread, and in the middle of anything.
            core.loop.call_soon_threadsafe(core.dropped)
        warnings.warn(f"{core} was dropped without aclose()", ResourceWarning, source=self, stacklevel=2)

    # -- sight ----------------------------------------------------------------------------------------

    def on_closed(self, callback: Callable[[StreamReport], object]) -> None:
        """Call `callback(report)` once, from the loop, when the stream is closed, for whatever reason: `report.ending`
        says. If it is closed already: soon."""
        self._core.call_on_closed(callback)

    @property
    def closed(self) -> bool:
        """Whether it is over: nothing can be sent and nothing more comes. What came before can still be received."""
        return self._core.life.state is StreamState.CLOSED

    @property
    def state(self) -> StreamState:
        """Where it is in its life (docs/streams.md)."""
        return self._core.life.state

    @property
    def link_up(self) -> bool:
        """Whether the dest has a wire now. A stream survives that it has none."""
        return self._core.life.link_up

    @property
    def stats(self) -> StreamReport:
        """How it stands."""
        return self._core.report()

    @property
    def dest(self) -> str:
        """The node at the other end."""
        return self._core.dest

    @property
    def peer(self) -> Peer:
        """The node at the other end, as a handle."""
        return self._peer(self._core.dest)

    @property
    def sender(self) -> str:
        """Who opened it: this node or the other."""
        return self._core.offer.sender

    @property
    def verified(self) -> bool:
        """Whether who opened it has proved its id."""
        return self._core.offer.verified

    @property
    def service(self) -> str:
        """What it was opened for."""
        return self._core.offer.service

    @property
    def metadata(self) -> bytes:
        """What went with the open."""
        return self._core.offer.metadata

    def __repr__(self) -> str:
        return f"<{self._core}: {self._core.life.state.value}{'' if self.link_up else ', no wire'}>"
