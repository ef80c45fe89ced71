"""Destination ids: what a legal one looks like, checked once at the edge."""

from litz.errors import InvalidDestError

MAX_DEST_BYTES = 255


def validate_dest(dest: object) -> str:
    """Return `dest` if it is a legal destination id.

    A destination id is a plain `str` of 1 to 255 bytes of UTF-8 without control characters and
    without white space of any kind. Ids are compared as exact code points; nothing is normalised.

    Raises `InvalidDestError` (a `ValueError`) that names the rule that was broken.
    """
    if not isinstance(dest, str):
        raise InvalidDestError(f"a destination id is a str, not {type(dest).__name__}")
    try:
        size = len(dest.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise InvalidDestError(f"destination id {dest!r} cannot be written as UTF-8") from error
    if not 1 <= size <= MAX_DEST_BYTES:
        raise InvalidDestError(f"a destination id has 1 to {MAX_DEST_BYTES} bytes of UTF-8; this one has {size}")
    if not dest.isprintable() or any(character.isspace() for character in dest):
        raise InvalidDestError(f"destination id {dest!r} has a space or a control character in it")
    return dest
