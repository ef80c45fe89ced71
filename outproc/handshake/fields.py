"""The kinds of values in handshake frames: how each is written in JSON, and what of it is accepted.

In Python the fields hold the values themselves (int, bytes, `Half`); only JSON has the strings.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, StringConstraints, ValidationInfo

from litz.dest import validate_dest
from outproc.session.identity import MAX_U64, Half, Incarnation

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}")
_BASE64: Final = re.compile(r"[A-Za-z0-9_-]*")


def parse_u64(value: object) -> int:
    """A 64-bit value from its JSON form: decimal digits in a string, no leading zeros. Raises ValueError."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError("a 64-bit value is a string of decimal digits")
    return check_u64(int(value))


def check_u64(value: object) -> int:
    """A 64-bit value from Python, bool excluded. Raises ValueError."""
    if type(value) is not int or not 0 <= value <= MAX_U64:
        raise ValueError("a value does not fit 64 bits")
    return value


def encode_base64(value: bytes) -> str:
    """base64url without padding (RFC 4648, section 5)."""
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def decode_base64(value: object, low: int, high: int) -> bytes:
    """From base64url without padding, `low` to `high` bytes. One spelling each. Raises ValueError."""
    if not isinstance(value, str) or len(value) > high * 2 or not _BASE64.fullmatch(value):
        raise ValueError("binary values are base64url without padding")
    decoded = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    if encode_base64(decoded) != value:
        raise ValueError("base64url has bits left over")
    return check_size(decoded, low, high)


def check_size(value: object, low: int, high: int) -> bytes:
    """Bytes of `low` to `high` in length. Raises ValueError."""
    if not isinstance(value, bytes) or not low <= len(value) <= high:
        raise ValueError(f"a binary value has {low} to {high} bytes")
    return value


def _u64(value: object, info: ValidationInfo) -> int:
    return parse_u64(value) if info.mode == "json" else check_u64(value)


def _binary(low: int, high: int) -> Any:
    def validate(value: object, info: ValidationInfo) -> bytes:
        return (decode_base64 if info.mode == "json" else check_size)(value, low, high)

    return PlainValidator(validate)


def _numbers(value: object, names: tuple[str, ...], what: str) -> list[int]:
    """The 64-bit values of a JSON object that has exactly these names."""
    if not isinstance(value, dict) or value.keys() != set(names):
        raise ValueError(f"{what} has the fields {', '.join(names)} and no other")
    return [parse_u64(value[name]) for name in names]


def _incarnation(value: object, info: ValidationInfo) -> Incarnation:
    if info.mode == "json":
        return Incarnation(*_numbers(value, ("started", "random"), "an incarnation"))
    if not isinstance(value, Incarnation):
        raise ValueError("an Incarnation is wanted")  # noqa: TRY004 - pydantic wants ValueError
    return Incarnation(check_u64(value.started), check_u64(value.random))


def _half(value: object, info: ValidationInfo) -> Half:
    if info.mode == "json":
        started, random, counter = _numbers(value, ("started", "random", "counter"), "a half")
        return Half(Incarnation(started, random), counter)
    if not isinstance(value, Half):
        raise ValueError("a Half is wanted")  # noqa: TRY004 - pydantic wants ValueError
    return Half(_incarnation(value.incarnation, info), check_u64(value.counter))


def _incarnation_json(value: Incarnation) -> dict[str, str]:
    return {"started": str(value.started), "random": str(value.random)}


def _half_json(value: Half) -> dict[str, str]:
    return {**_incarnation_json(value.incarnation), "counter": str(value.counter)}


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("a text for people has no control characters")
    return value


_as_base64: Final[Callable[[bytes], str]] = encode_base64
_ENCODED: Final = PlainSerializer(_as_base64, when_used="json")

U64 = Annotated[int, PlainValidator(_u64), PlainSerializer(str, when_used="json")]
Nonce = Annotated[bytes, _binary(32, 32), _ENCODED]
PublicKey = Annotated[bytes, _binary(32, 32), _ENCODED]
Credential = Annotated[bytes, _binary(0, 6144), _ENCODED]
IncarnationField = Annotated[
    Incarnation, PlainValidator(_incarnation), PlainSerializer(_incarnation_json, when_used="json")
]
HalfField = Annotated[Half, PlainValidator(_half), PlainSerializer(_half_json, when_used="json")]
DestField = Annotated[str, AfterValidator(validate_dest)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}\z")]
"""A name of a method, a kind of wire, a feature: ASCII, lower case."""
Version = Annotated[int, Field(ge=1, le=65535)]
Lane = Annotated[int, Field(ge=0, le=(1 << 32) - 1)]
JoinNumber = Annotated[int, Field(ge=1, le=(1 << 31) - 1)]
Text = Annotated[str, StringConstraints(max_length=200), AfterValidator(_printable)]
"""A text for people. Nothing is decided by it."""
