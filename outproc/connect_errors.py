"""The errors of whoever waited for a dest that could not be reached. They name every attempt."""

from __future__ import annotations

from collections.abc import Sequence

from litz.errors import Attempt, ConnectError, UnknownDestError


def nowhere(dest: str, failures: Sequence[Attempt]) -> ConnectError:
    """No endpoint is known; `failures` are those of the look-ups."""
    if not failures:
        return UnknownDestError(
            f"no endpoint of {dest} is known; name one with add_endpoints() or in the directory, "
            "or let it dial this node",
            dest=dest,
        )
    error = ConnectError(f"could not find out where {dest} is", dest=dest, attempts=failures)
    error.__cause__ = failures[0].error
    return error


def unreached(text: str, dest: str, attempts: Sequence[Attempt]) -> ConnectError:
    """Every endpoint failed. If those who were asked do not know the dest either, the error says so."""
    unknown = bool(attempts) and all(isinstance(attempt.error, UnknownDestError) for attempt in attempts)
    return (UnknownDestError if unknown else ConnectError)(text, dest=dest, attempts=attempts)
