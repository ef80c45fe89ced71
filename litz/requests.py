"""The table of requests that wait for an answer. Pure: values in, values out."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Generic, TypeVar

from litz.errors import BackpressureError

ID_MASK: Final = (1 << 64) - 1


class Correlation(IntEnum):
    """What a correlated message is. On the wire: this kind, then the request's id as 64 bits."""

    REQUEST = 1
    REPLY = 2
    ERROR = 3
    CANCEL = 4


Waiter = TypeVar("Waiter")


class RequestTable(Generic[Waiter]):
    """The requests of one node that have no answer yet.

    A request is opened, and entered once a session with its dest has accepted it: with a session end those that were
    entered. A waiter is whatever the caller wants back when the answer comes: a future, usually. The table never
    touches it. Ids count up from `base` modulo 2**64 and are never used twice, also not after a restart,
    as long as `base` is 63 random bits. At most `limit` requests wait at once, those that are only opened included.
    """

    __slots__ = ("_by_dest", "_by_id", "_limit", "_next", "_opened")

    def __init__(self, base: int, *, limit: int = 65_536) -> None:
        if not 0 <= base < 1 << 63:
            raise ValueError("the base of request ids has 63 bits")
        self._next = base
        self._limit = limit
        self._opened: dict[int, Waiter] = {}
        self._by_id: dict[int, tuple[str, Waiter]] = {}
        self._by_dest: dict[str, dict[int, None]] = {}

    def open(self, waiter: Waiter) -> int:
        """A request is about to be sent; returns its id, which the caller sends with it.

        Every id returned must later be given to `forget`, unless it is out of the table before. Raises
        `BackpressureError` when the table is full.
        """
        if len(self) >= self._limit:
            raise BackpressureError(
                f"{self._limit} requests wait for their reply already; await some of them, or give them a timeout"
            )
        request_id = self._next
        self._next = (request_id + 1) & ID_MASK
        self._opened[request_id] = waiter
        return request_id

    def enter(self, request_id: int, dest: str) -> None:
        """It was accepted for `dest`, in this turn: from now on its answer may come. Of one that is not opened (any
        more) nobody waits for the answer."""
        if request_id in self._opened:
            self._by_id[request_id] = (dest, self._opened.pop(request_id))
            self._by_dest.setdefault(dest, {})[request_id] = None

    def answered(self, dest: str, request_id: int) -> Waiter | None:
        """A reply or an error came from `dest`: returns who waits for it, which is then out of the table.
        None: drop the answer (late, doubled, or of a request that went to somebody else)."""
        entry = self._by_id.get(request_id)
        if entry is None or entry[0] != dest:
            return None
        self._remove(dest, request_id)
        return entry[1]

    def forget(self, request_id: int) -> bool:
        """The caller gave up. True: it was accepted, so tell the peer to cancel. Late answers are dropped."""
        if self._opened.pop(request_id, None) is not None:
            return False
        entry = self._by_id.get(request_id)
        if entry is None:
            return False
        self._remove(entry[0], request_id)
        return True

    def sweep(self, dest: str) -> list[tuple[int, Waiter]]:
        """The session with `dest` ended: returns and removes all that wait for it, oldest first. Costs what
        is pending for that dest, not what is pending."""
        return [(request_id, self._by_id.pop(request_id)[1]) for request_id in self._by_dest.pop(dest, ())]

    def pending(self, dest: str) -> int:
        """How many requests to `dest` have no answer yet."""
        return len(self._by_dest.get(dest, ()))

    @property
    def accepted(self) -> int:
        """How many were accepted for a dest and have no answer yet."""
        return len(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id) + len(self._opened)

    def __repr__(self) -> str:
        return f"<request table: {len(self)} pending to {len(self._by_dest)} dests>"

    def _remove(self, dest: str, request_id: int) -> None:
        del self._by_id[request_id]
        of_dest = self._by_dest[dest]
        del of_dest[request_id]
        if not of_dest:
            del self._by_dest[dest]
