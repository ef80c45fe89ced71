"""The messages of signaling as strict models, and the signed envelope they travel in. Pure.

docs/protocol.md specifies their JSON. A proof covers the exact bytes of the body, so nobody need write JSON in the
same way: the body is a string inside the envelope.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from litz.errors import ProtocolError

TOPIC: Final = "webrtc"
"""Where these messages travel between nodes."""

VERSION: Final = 1

MAX_SDP: Final = 16 * 1024
MAX_ENVELOPE: Final = 48 * 1024
"""Bytes of one envelope: a description, escaped twice, and a proof."""

MAX_PROOF: Final = 12_290
"""Bytes of a proof with its credential."""

MAX_LIFE: Final = 60
"""Seconds for which an offer may be valid, at most."""

Attempt = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
NodeId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$")]
Sdp = Annotated[str, StringConstraints(min_length=1, max_length=MAX_SDP)]
Session = Annotated[str, StringConstraints(max_length=160)]
Reason = Literal["busy", "expired", "unfit", "failed"]


class _Message(BaseModel):
    # Inputs stay out of error texts: they are the peer's.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    version: Annotated[int, Field(ge=VERSION, le=VERSION)]
    sender: NodeId
    dest: NodeId
    session: Session
    """Names the session it travels in, so that it is worth nothing in another."""
    attempt: Attempt
    """Chosen by who offers, at random; the answer repeats it."""


class Offer(_Message):
    """Let us connect. `expires` in seconds since the Unix epoch."""

    type: Literal["offer"] = "offer"
    expires: Annotated[int, Field(ge=0, lt=10_000_000_000)]
    fingerprint: Fingerprint
    sdp: Sdp


class Answer(_Message):
    """Yes, and this is my side."""

    type: Literal["answer"] = "answer"
    expires: Annotated[int, Field(ge=0, lt=10_000_000_000)]
    fingerprint: Fingerprint
    sdp: Sdp


class Refusal(_Message):
    """Not now: no answer to this offer will come."""

    type: Literal["refuse"] = "refuse"
    reason: Reason
    retry_after_ms: Annotated[int, Field(ge=0, le=3_600_000)] = 0


class Withdrawal(_Message):
    """Whoever offered does not want it any more."""

    type: Literal["withdraw"] = "withdraw"


Message = Offer | Answer | Refusal | Withdrawal

_MESSAGE: Final[TypeAdapter[Message]] = TypeAdapter(Annotated[Message, Field(discriminator="type")])


class _Envelope(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    body: Annotated[str, StringConstraints(min_length=2, max_length=MAX_ENVELOPE)]
    proof: Annotated[str, StringConstraints(max_length=4 * MAX_PROOF // 3 + 4)]


def body_of(message: Message) -> str:
    """The JSON text of a message."""
    return message.model_dump_json()


def seal_envelope(body: str, proof: bytes) -> bytes:
    """The bytes that travel."""
    return json.dumps({"body": body, "proof": base64.b64encode(proof).decode()}).encode()


def open_envelope(data: bytes) -> tuple[str, bytes]:
    """The body and its proof. Raises `ProtocolError`, which quotes nothing."""
    if len(data) > MAX_ENVELOPE:
        raise ProtocolError(f"a signaling message of {len(data)} bytes; the limit is {MAX_ENVELOPE}")
    try:
        envelope = _Envelope.model_validate_json(data)
        return envelope.body, base64.b64decode(envelope.proof, validate=True)
    except (ValidationError, binascii.Error, ValueError) as error:
        raise ProtocolError("a signaling message is not the JSON it should be") from error


def read_body(body: str) -> Message:
    """The message in a body whose proof was good. Raises `ProtocolError`, which quotes nothing."""
    try:
        return _MESSAGE.validate_json(body)
    except ValidationError as error:
        raise ProtocolError("a signaling message has fields that it should not have, or lacks some") from error
