"""The error of files with keys, secrets, and certificates: apart from what reads them, which needs `cryptography`."""

from __future__ import annotations

from litz.errors import LitzError


class KeyFileError(LitzError, OSError):
    """A key or trust file cannot be used as it is. The text says what to do about it."""
