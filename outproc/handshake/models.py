"""The frames of the handshake as strict models. docs/handshake.md specifies their JSON.

HELLO and REFUSE are read before a version is agreed, so fields they do not know are ignored there. Everywhere
else an unknown field is refused. Either way the transcript covers the exact bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from outproc.handshake.fields import (
    U64,
    Credential,
    DestField,
    HalfField,
    IncarnationField,
    JoinNumber,
    Lane,
    Nonce,
    PublicKey,
    Text,
    Version,
    Word,
)

MAX_LANES = 32
"""Lanes that one JOIN, OK or MISMATCH names. After JOIN and OK control records tell of further ones; MISMATCH says that
there are some."""

MIN_MAX_FRAME = 1_024
"""What every frame that cannot be cut must fit into: pings and pongs (128 bytes), then control of at most half of the
rest, then a batch whose header has all columns and a key of 255 bytes (297, and at least 16 of the message); or the end
of a session with its text and the positions of 19 lanes. Sealing takes 16."""

MAX_RETRY_AFTER_MS = 3_600_000


class _Closed(BaseModel):
    # Inputs stay out of error texts: a credential may be among them.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class _Open(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


class Auth(_Closed):
    """How one side proves its id, and what the other needs to check it. Public."""

    method: Word
    credential: Annotated[Credential, Field(repr=False)]


class Limits(_Closed):
    """What one side accepts.

    max_frame    bytes of one frame on this wire, as written by the session (before sealing)
    max_message  bytes of one message
    """

    max_frame: U64
    max_message: U64

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_frame < MIN_MAX_FRAME or self.max_message < 1:
            raise ValueError(f"max_frame is at least {MIN_MAX_FRAME}, max_message at least 1")
        return self


class Hello(_Open):
    """Dialler to acceptor: who I am, whom I want, what I offer."""

    type: Literal["hello"] = "hello"
    versions: Annotated[tuple[Version, ...], Field(min_length=1, max_length=16)]
    dialler: DestField
    dest: DestField
    nonce: Nonce
    incarnation: IncarnationField
    auth: Auth
    kind: Word
    bound: bool
    seal: Literal["never", "offer", "require"]
    x25519: PublicKey | None
    limits: Limits
    features: Annotated[tuple[Word, ...], Field(max_length=32)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.x25519 is None) != (self.seal == "never"):
            raise ValueError("x25519 is given exactly when sealing is possible")
        return self


class Challenge(_Closed):
    """Acceptor to dialler: who I am, with my proof over HELLO and this."""

    type: Literal["challenge"] = "challenge"
    version: Version
    acceptor: DestField
    nonce: Nonce
    incarnation: IncarnationField
    auth: Auth
    bound: bool
    x25519: PublicKey | None
    limits: Limits
    features: Annotated[tuple[Word, ...], Field(max_length=32)]


class LanePosition(_Closed):
    """What the sender of this frame has of one of the peer's lanes: the next message number it expects, the
    bytes of that message it has, and the next numbers not yet processed and not yet durable."""

    lane: Lane
    number: U64
    offset: U64
    processed: U64
    durable: U64

    @model_validator(mode="after")
    def _check(self) -> Self:
        if max(self.processed, self.durable) > self.number:
            raise ValueError("processed and durable are at most the received number")
        return self


class LaneCredit(_Closed):
    """Absolute credit on one of the peer's lanes: it may send below these, in messages and bytes."""

    lane: Lane
    messages: U64
    bytes: U64


class LogSize(_Closed):
    """How large the sender's log per lane is; the peer acks after a quarter of it."""

    messages: U64
    bytes: U64


class Terms(_Closed):
    """What both JOIN and OK tell: where the sender's receive side stands, and how much it takes."""

    positions: Annotated[tuple[LanePosition, ...], Field(max_length=MAX_LANES)]
    log: LogSize
    credit: Annotated[tuple[LaneCredit, ...], Field(max_length=MAX_LANES)]
    session_credit: U64

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_lanes(self.positions)
        _check_lanes(self.credit)
        return self


def _check_lanes(entries: tuple[LanePosition, ...] | tuple[LaneCredit, ...]) -> None:
    if len({entry.lane for entry in entries}) != len(entries):
        raise ValueError("a lane is named twice")


class Join(_Closed):
    """Dialler to acceptor: join this wire to that session. `mine` is the dialler's half."""

    type: Literal["join"] = "join"
    join: JoinNumber
    mine: HalfField
    yours: HalfField | None
    terms: Terms


class Ok(_Closed):
    """Acceptor to dialler: joined. `mine` is the acceptor's half."""

    type: Literal["ok"] = "ok"
    join: JoinNumber
    mine: HalfField
    yours: HalfField
    terms: Terms


class Mismatch(_Closed):
    """Acceptor to dialler: that pair is not (or no longer) a session here. `mine` is the acceptor's half of
    the named pair; `final` are its last positions in that pair, None when it does not know them; `partial`: they are
    not those of all lanes."""

    type: Literal["mismatch"] = "mismatch"
    join: JoinNumber
    mine: HalfField
    yours: HalfField
    final: Annotated[tuple[LanePosition, ...], Field(max_length=MAX_LANES)] | None
    partial: bool
    reason: Text

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_lanes(self.final or ())
        if self.final is None and self.partial:
            raise ValueError("partial is said of final positions only")
        return self


RefuseCode = Literal["incompatible", "busy", "unauthenticated", "stale", "replaced", "duplicate"]

UNPROVED_CODES: frozenset[str] = frozenset({"incompatible", "busy", "unauthenticated"})
"""What may be answered before the peer has proved its id."""

PROVED_CODES: frozenset[str] = frozenset({"busy", "stale", "replaced", "duplicate"})
"""What may be said afterwards, with a proof of whoever says it."""


class Refuse(_Open):
    """This wire ends. `join` is the number of the latest JOIN its sender sent or received, 0 before one."""

    type: Literal["refuse"] = "refuse"
    code: RefuseCode
    join: Annotated[int, Field(ge=0, le=(1 << 31) - 1)]
    versions: Annotated[tuple[Version, ...], Field(max_length=16)]
    retry_after_ms: Annotated[int, Field(ge=0, le=MAX_RETRY_AFTER_MS)]
    reason: Text
