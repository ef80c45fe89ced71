"""Handshake frames as bytes: one JSON object and, for frames that carry a proof, a line feed and the proof.

The proof is outside the JSON so that "the exact bytes it covers" needs no canonical form.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from litz.errors import LitzError, ProtocolError
from outproc.handshake.fields import decode_base64, encode_base64
from outproc.handshake.json_guard import MAX_HANDSHAKE_FRAME, guarded_object
from outproc.handshake.models import Challenge, Hello, Join, Mismatch, Ok, Refuse

MAX_PROOF: Final = 6144

Frame = Hello | Challenge | Join | Ok | Mismatch | Refuse

_MODELS: Final[dict[str, type[Frame]]] = {
    "hello": Hello,
    "challenge": Challenge,
    "join": Join,
    "ok": Ok,
    "mismatch": Mismatch,
    "refuse": Refuse,
}


class Parsed(NamedTuple):
    """A frame that was received: what it says, the exact bytes proofs cover, and its proof if it has one."""

    value: Frame
    body: bytes
    proof: bytes | None


class Raw(NamedTuple):
    """A frame that passed all limits and whose type is known, before its fields are looked at."""

    type: str
    fields: dict[str, Any]
    body: bytes
    trailer: bytes | None


def is_handshake(frame: bytes) -> bool:
    """Whether a frame belongs to the handshake. All others of a wire are binary and never start so."""
    return frame[:1] == b"{"


def encode_body(value: Frame) -> bytes:
    """The JSON of a frame: what its proof covers."""
    return value.model_dump_json().encode("utf-8")


def with_proof(body: bytes, proof: bytes) -> bytes:
    """The whole frame, for the kinds that carry a proof. Raises ValueError if it is too large."""
    return check_size(body + b"\n" + encode_base64(proof).encode("ascii"))


def check_size(frame: bytes) -> bytes:
    """`frame`, which we made and which must not be too large for the peer: ValueError otherwise."""
    if len(frame) > MAX_HANDSHAKE_FRAME:
        raise ValueError(f"handshake frame of {len(frame)} bytes; the limit is {MAX_HANDSHAKE_FRAME}")
    return frame


def split(frame: bytes) -> Raw:
    """The first look at a received frame. Raises `ProtocolError`."""
    if len(frame) > MAX_HANDSHAKE_FRAME:
        raise ProtocolError(f"handshake frame of {len(frame)} bytes; the limit is {MAX_HANDSHAKE_FRAME}")
    body, line_feed, trailer = frame.partition(b"\n")
    fields = guarded_object(body)
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in _MODELS:
        raise ProtocolError("a handshake frame of no known type")
    return Raw(kind, fields, body, trailer if line_feed else None)


def parse(raw: Raw) -> Parsed:
    """The fields of a frame, checked. Raises `ProtocolError`."""
    try:
        value = _MODELS[raw.type].model_validate_json(raw.body)
        proof = None if raw.trailer is None else _proof(raw.trailer)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))[:64]
        raise ProtocolError(f"{raw.type} frame: {where!r}: {first['msg'][:120]}") from None
    except (ValueError, LitzError) as error:
        raise ProtocolError(f"{raw.type} frame: its proof is not base64url") from error
    return Parsed(value, raw.body, proof)


def _proof(trailer: bytes) -> bytes:
    return decode_base64(trailer.decode("ascii", "replace"), 0, MAX_PROOF)
