"""What a consumer is handed (`Message`) and what a sender gets back (`Receipt`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from litz.payload import PayloadType

if TYPE_CHECKING:
    from collections.abc import Awaitable

Buffer = bytes | bytearray | memoryview
"""One piece of a payload outside the process. A payload is one buffer or a list of them."""


class Channel(NamedTuple):
    """One lane of one session of one dest: what the receipts of it share.

    `session` tells apart the numbers of successive sessions with one dest: it counts the sessions that
    this manager has had with it.
    """

    dest: str
    session: int
    lane: int


Receipt = tuple[Channel, int]
"""Names one accepted message: `channel, number = receipt`. The number is its position in the channel's lane, from 0.

A plain tuple, because one is made for every message that is sent and a class of our own would cost as much again as
all checks of `send`. Cheap to keep, to compare and to hash; named again when something goes wrong (`LostReceipt`).
"""


class Origin(NamedTuple):
    """Which message it is, for who wants to see that it came before: with the sender's id it names one message of one
    process, whenever and wherever it arrives. Plain values, to be stored and compared; `str` of it is short.

    incarnation  the life of the sender (of a durable message: its outbox file)
    session      the sender's session in which it was first transmitted; not the number that events count
    lane, number its place in it
    """

    incarnation: str
    session: int
    lane: int
    number: int

    def __str__(self) -> str:
        return f"{self.incarnation}/{self.session}/{self.lane}/{self.number}"


class Source(Protocol):
    """What all messages of one batch share: where they came from, and how to answer them."""

    @property
    def sender(self) -> str: ...

    @property
    def payload_type(self) -> PayloadType: ...

    @property
    def verified(self) -> bool: ...

    def origin(self, number: int) -> Origin:
        """The origin of message `number` if it was first transmitted here and now."""

    def reply(self, message: Message, data: Any) -> Awaitable[None]: ...

    def fail(self, message: Message, error: BaseException) -> Awaitable[None]:
        """Answer a request with the exception its handler raised (`RemoteError` at the sender)."""


class Detail(NamedTuple):
    """What only some messages have; `None` stands for all of it at its default."""

    key: str | None = None
    redelivered: bool = False
    request_id: int | None = None
    origin: Origin | None = None
    """Where it was first transmitted, if not where it came now."""


class _Fields(NamedTuple):
    """The order of a message's fields; its accessors are the cheapest that Python has."""

    data: Any
    number: Any
    source: Any
    detail: Any


class Message(tuple[Any, int, Source, "Detail | None"]):
    """One received message. Immutable.

    data
        the payload: any object in process, `bytes` outside.
    number
        its position in its lane, from 0, in the current session.
    source
        what all messages of its lane share.
    detail
        what only some messages have; None for the others.
    """

    # A bare tuple without a constructor of its own, made from an iterable of the four: whole batches of them are
    # made by C loops (design section 6).
    __slots__ = ()

    data = cast("Any", _Fields.data)
    number = cast("int", _Fields.number)
    source = cast("Source", _Fields.source)
    detail = cast("Detail | None", _Fields.detail)

    @property
    def sender(self) -> str:
        """The id of the node that sent it."""
        return self.source.sender

    @property
    def payload_type(self) -> PayloadType:
        return self.source.payload_type

    @property
    def verified(self) -> bool:
        """Whether the sender has *proved* its id. False means that the id is a claim."""
        return self.source.verified

    @property
    def key(self) -> str | None:
        """The key the sender gave, if any."""
        return self.detail.key if self.detail is not None else None

    @property
    def redelivered(self) -> bool:
        """True when an earlier delivery of this message may have been processed: by an earlier consumer of this
        process, or, where the sender resends what a restart left open (`on_restart`), by an earlier process or session.
        """
        return self.detail is not None and self.detail.redelivered

    @property
    def origin(self) -> Origin:
        """Which message it is, the same however often it is delivered. Keep those of what you have done, with
        `sender`, to do nothing twice when `redelivered` ones come."""
        origin = self.detail.origin if self.detail is not None else None
        return origin if origin is not None else self.source.origin(self.number)

    @property
    def is_request(self) -> bool:
        """Whether the sender waits for `reply`."""
        return self.detail is not None and self.detail.request_id is not None

    async def reply(self, data: Any) -> None:
        """Answer a request. Exactly one reply per request counts; later ones are ignored.

        Raises `NotARequestError` when the sender does not wait for an answer.
        """
        await self.source.reply(self, data)

    def __repr__(self) -> str:
        return f"<message {self.number} {self.payload_type.name} from {self.sender}: {self.data!r:.60}>"
