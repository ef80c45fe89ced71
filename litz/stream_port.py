"""The seam between a stream and the manager that carries it.

`Stream` and pipes (floor `litz`) are written once; each manager gives them *sides*. A side is one end of one stream:
one lane out, one lane in, nothing known of messages larger than an entry, of handlers or of users.

Everything here belongs to the loop's thread. The methods of a side never block and call nothing of their user's before
they return; what a side tells its user it tells from the loop, in order, never after `released`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, Final, Protocol

MAX_SERVICE: Final = 255
"""Bytes of UTF-8 of the name of a service: the same characters as a dest."""

MAX_METADATA: Final = 4096
"""Bytes that may go with the open of a stream."""

MAX_REASON: Final = 200
"""Bytes of UTF-8 of a reason, for people; what is longer is cut."""

MAX_CODE: Final = 2**16 - 1
"""The highest code of an abort; the lowest is 0."""

MAX_ENTRY: Final = 64 * 1024
"""Bytes of one entry of a stream, where bytes travel: never above a window, so that no stream waits in a circle."""

LARGE_ENTRY: Final = (1 << 20) - (16 << 10)
"""The same where the peer has granted that much already, which it does while its reader keeps up. It fits into a frame
of 1 MiB, with what is around it."""

FIRST_WINDOW: Final = 64 * 1024
"""Bytes a stream may send before its reader has said anything (docs/protocol.md). Grows while its reader keeps up."""

FIRST_ENTRIES: Final = 256
"""The same, in entries."""


class Refusal(IntEnum):
    """Why a stream was not opened. Unknown and forbidden services look the same to who asks."""

    REFUSED = 1
    """No such service here, or not for this peer."""
    BUSY = 2
    """A limit is reached, here or there: later."""
    REJECTED = 3
    """The service's own `accept` said no, with a reason."""
    UNSUPPORTED = 4
    """The peer does not speak streams."""


class Abort(IntEnum):
    """Why a stream was aborted, as its peer is told."""

    CANCELLED = 1
    """Whoever used it went away without saying that it was complete."""
    HANDLER_FAILED = 2
    """An exception in a handler; `reason` names its kind."""
    REJECTED = 3
    """A policy (admission, order, supervision) gave up."""
    IDLE = 4
    """Evicted: nobody was attached, and it was the oldest idle one."""
    LEAVING = 5
    """The node closes."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One stream that a peer wants to open."""

    sender: str
    service: str
    metadata: bytes
    verified: bool
    pipe: bool
    """Of bytes (`open_pipe`), not of messages."""


class StreamUser(Protocol):
    """Who uses a side: the stream of a user, or a pipe. An exception out of these methods is a bug of ours."""

    def received(self, entries: Sequence[Any], size: int) -> None:
        """Entries came, in order, `size` bytes in all (in process: of the sizes that `write` was given). They are
        charged to the window until `consumed`."""

    def finished(self) -> None:
        """The peer's half is complete: all its entries were told before. Not told after `aborted` or `lost`."""

    def aborted(self, code: int, reason: str) -> None:
        """The peer aborted: nothing more comes, and nothing that is written arrives. Entries that came before count.
        Told also when this node aborts it by itself: for a limit (IDLE), rights that were withdrawn (REJECTED), or
        because it leaves (LEAVING)."""

    def lost(self, error: BaseException) -> None:
        """The session is over, or the manager is closing: final. `error` says why (a `SessionEndedError`, or a
        `ManagerStateError`)."""

    def writable(self) -> None:
        """A `write` that was refused has a chance now."""

    def confirmed(self) -> None:
        """Everything written so far (an EOF too) has come to the peer's side. Told only after `want_confirmed`."""

    def link(self, up: bool) -> None:
        """The dest has a wire, or has none. Told on change only, for sight; a stream survives it."""


class Kept:
    """What the user of a stream goes on holding when that is over. To let go of this is to let go of the rest; from
    any thread."""

    __slots__ = ()

    def took(self, size: int) -> None:
        """The user has taken so many bytes of it."""


UNCHARGED: Final = Kept()
"""Where nobody counts."""


class StreamSide(Protocol):
    """One end of one stream, from open until `release`."""

    @property
    def dest(self) -> str: ...

    @property
    def number(self) -> int:
        """Names the stream within its session; the same at both ends. For logs and tables."""

    @property
    def link_up(self) -> bool: ...

    @property
    def unconfirmed(self) -> int:
        """Entries that were written and that the peer's side has not confirmed."""

    @property
    def buffered(self) -> int:
        """Bytes written that were not handed to a wire yet."""

    @property
    def max_entry(self) -> int:
        """Bytes of the largest entry that is worth to be written now: at least `MAX_ENTRY`, at most `LARGE_ENTRY`. It
        may be less the next time, also of an entry that was refused for room: then that one is to be cut again."""

    def use(self, user: StreamUser) -> None:
        """Begin to tell `user`, at once with all that came before. Called once, before anything else."""

    def answer(self, refused: Refused | None) -> None:
        """Answer an offer that `accept` left for later, once: None takes it, otherwise the side is not to be touched
        any more. Until then nothing is told but `aborted` (who asked has gone) and `lost`, to a user that `use` named,
        and nothing may be written; `abort` and `release` refuse it too. A no-op after an end."""

    def write(self, entry: Any, size: int) -> bool:
        """Append one entry (bytes, or a tuple of buffers that go out unjoined; in process any object) that counts
        `size` bytes, at most `max_entry` where bytes travel. Its buffers must not change until it is confirmed. False:
        no room (then `writable` follows), nothing was taken. After an end: RuntimeError, for the caller must know."""

    def finish(self) -> None:
        """The end of this half, behind all that was written. Idempotent."""

    def abort(self, code: int, reason: str) -> None:
        """Both halves end now; what was written and not sent is dropped, and the peer is told. Then `release`. A no-op
        after the end."""

    def consumed(self, entries: int, size: int) -> None:
        """So much of what `received` brought was taken by the user: the peer may send as much more. Once per batch."""

    def want_confirmed(self) -> None:
        """Tell `confirmed` when everything written so far is confirmed: at once, from the loop, if it is."""

    def pause(self) -> None:
        """Grant nothing more beyond what was granted, whatever is consumed (backpressure with a signal)."""

    def resume(self) -> None:
        """Take back `pause`."""

    def attach(self, attached: bool) -> None:
        """Whether somebody uses the stream now; it begins so. Those that nobody uses may be aborted with IDLE when
        there would be too many streams with the peer, the longest unused first. The others never are."""

    def keep(self, size: int) -> Kept:
        """The stream is over, and `size` bytes of what came are still there to be read: they stay charged to the limits
        of the manager until they are taken, or what is returned is let go of. Said once, just before `release`."""
        return UNCHARGED

    def release(self) -> None:
        """The user is done and hears nothing more. Before both halves have ended: `abort(CANCELLED)`. Idempotent."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to an offer that is not taken."""

    why: Refusal
    reason: str = ""
    retry_after: float | None = None


class Later(Enum):
    """The answer to an offer that is not decided yet."""

    LATER = "later"


Accept = Callable[[Offer, StreamSide], "Refused | Later | None"]
"""Asked, in the loop, for each stream that a peer wants to open and may open (rights and limits were asked before).
None: taken, and `side.use` was or will be called. The side of a refused offer is not to be touched.
LATER: the peer waits (as long as it likes) until `side.answer`; the stream counts against the limits meanwhile."""


class StreamCarrier(Protocol):
    """What a manager offers to the streams of its users."""

    async def open(self, dest: str, service: str, metadata: bytes, *, pipe: bool, timeout: float | None) -> StreamSide:
        """Ask `dest` for a stream; one round trip. Waits for the first session like `send`. Cancelled: the peer's end
        is aborted, whatever came of it. Raises `StreamRefusedError`, `ConnectError`, `SessionEndedError`,
        `TimeoutError`."""

    def listen(self, service: str, accept: Accept) -> Callable[[], None]:
        """From now on ask `accept` about streams to `service`. Returns how to stop it; streams that stand live on.
        Raises `ConsumerConflictError` if the service is taken."""
