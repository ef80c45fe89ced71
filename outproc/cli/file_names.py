"""File names from a peer: reduced to a safe base name, and numbered instead of overwriting. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

MAX_NAME_BYTES: Final = 200
"""Below the 255 of file systems, so that a number fits."""

FALLBACK: Final = "file"


def safe_name(name: str) -> str:
    """A base name without directories, control and formatting characters, and leading dots; never empty."""
    base = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    base = "".join("_" if unicodedata.category(c)[0] == "C" else c for c in unicodedata.normalize("NFC", base))
    base = base.strip().lstrip(".-~ ").rstrip(". ")
    return _shortened(base) or FALLBACK


def numbered(name: str) -> Iterator[str]:
    """`name`, then `name (1)`, `name (2)`, ... with the number before the suffix."""
    yield name
    path = PurePosixPath(name)
    for number in range(1, 10_000):
        yield f"{path.stem} ({number}){path.suffix}"


def _shortened(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > 20:
        suffix = ""
    stem = name.removesuffix(suffix).encode()[: MAX_NAME_BYTES - len(suffix.encode())]
    return stem.decode(errors="ignore") + suffix
