"""Looks at the bytes of a handshake frame before anything parses them, and refuses what is not plain JSON.

The models then parse the same bytes with their own parser: both have to like them.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

from litz.errors import ProtocolError

MAX_HANDSHAKE_FRAME: Final = 16 * 1024
"""The largest handshake frame in bytes, trailer included."""

MAX_DEPTH: Final = 6
"""Arrays and objects inside each other, the outermost counted."""

MAX_MEMBERS: Final = 1024
"""Commas and colons outside strings."""

MAX_DIGITS: Final = 10
"""Digits of a JSON number. Larger values travel as strings."""

# Consumes to the end when the string is not closed, so that the work is linear in the size of any input.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)', re.DOTALL)

_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"{[]}")


def guarded_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`, read with all limits. Raises `ProtocolError`.

    Refused besides broken JSON: more than the sizes above, bad UTF-8, a byte order mark, a name twice in
    one object, NaN and infinities, numbers with a fraction or exponent.
    """
    if len(body) > MAX_HANDSHAKE_FRAME:
        raise ProtocolError(f"handshake frame of {len(body)} bytes; the limit is {MAX_HANDSHAKE_FRAME}")
    if not body.startswith(b"{"):
        raise ProtocolError("a handshake frame starts with '{'")
    _check_shape(_STRING.sub(b"", body))
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_number,
            parse_float=_refuse_number,
            parse_int=_integer,
        )
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a handshake frame is not the JSON it should be") from error
    assert isinstance(value, dict)  # the first byte was checked
    return value


def _check_shape(bare: bytes) -> None:
    """`bare` is a frame without its strings."""
    depth = 0
    for byte in bare.translate(None, _NOT_BRACKETS):
        if byte in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise ProtocolError(f"handshake JSON is nested deeper than {MAX_DEPTH}")
        else:
            depth -= 1
    if bare.count(b",") + bare.count(b":") > MAX_MEMBERS:
        raise ProtocolError(f"handshake JSON has more than {MAX_MEMBERS} members")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name appears twice in one object")
    return value


def _refuse_number(text: str) -> NoReturn:
    raise ValueError("a number that is not a plain integer")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("a number too long")
    return int(text)
