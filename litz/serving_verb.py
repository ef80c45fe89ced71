"""The verb `serve` of every manager. Its docstring is the law."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypedDict

from litz.limiter import Limiter
from litz.message import Message
from litz.order import Order

Handler = Callable[[Message], Any]
"""What `serve` calls: sync or async; a result other than None answers a request."""


class ServeArguments(TypedDict, total=False):
    """How `serve` serves: its keyword arguments."""

    concurrency: int | None
    order: Order | None
    admission: Limiter | None


class ServingVerb(ABC):
    """What a manager offers to handlers."""

    __slots__ = ()

    @abstractmethod
    async def serve(
        self,
        handler: Handler,
        *,
        concurrency: int | None = None,
        order: Order | None = None,
        admission: Limiter | None = None,
    ) -> None:
        """Call `handler` for every message, until this manager closes or the call is cancelled.

        Serial per sender and parallel across senders; `concurrency=n` runs up to n messages of one sender at
        once and so gives up the order of *processing*. A result other than None answers a request (None
        answers it too, with the empty reply: b"" outside the process, None inside). An exception of the
        handler answers a request with `RemoteError`; of other messages it is logged; it never ends `serve`.
        A message counts as processed when its handler returned or raised. A cancelled `serve` cancels the
        handlers; what they had not finished is delivered again, with `redelivered`, to the next consumer.

        order: `PerKey()` runs the messages of one sender and key one after the other, in the order in which they came,
        and up to `concurrency` (16) keys of a sender at once; signals go before what has not begun. `Fifo()` is the
        default, within bounds of its own. As with `concurrency`, *processed* moves over a message once all before it in
        its lane are done: a lost consumer's successor gets all that was not finished, and nothing that was. When the
        order cannot be kept (no key can be told, a bound under `full="break"`, a handler's task cancelled by others)
        `serve` raises `OrderBrokenError`, and nothing begins after that.

        admission: with an order, a permit of it (one message, its bytes) is had for each message, after its turn has
        come and before its handler; share it between senders and managers. What it refuses is answered with its error
        if it is a request; any other message breaks the order, for it was accepted: choose `Queue` or a soft policy.
        While it is *high* (`SoftAllowSignal`), peers are granted one message at a time on each lane; in process there
        is no credit to narrow.

        Raises `ConsumerConflictError`, ValueError for arguments that contradict each other.
        """
