"""The errors of whoever waited for a dest that could not be reached. They name every attempt."""

from __future__ import annotations

from collections.abc import Sequence

from litz.errors import Attempt, ConnectError, GaveUpError, UnknownDestError


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


def gave_up(dest: str, why: str, attempts: Sequence[Attempt], cause: Exception) -> GaveUpError:
    """The budget of the dest is used up."""
    cure = "ask for it again with reconnect(), or send to it"
    error = GaveUpError(f"{dest} is not dialled any more: {why}; {cure}", dest=dest, attempts=attempts)
    error.__cause__ = cause
    return error


def closed_meanwhile(dest: str) -> ConnectError:
    """This side closed the transport."""
    return ConnectError(f"the transport of {dest} was closed while it was dialled", dest=dest)


def patience_over(dest: str, latest: ConnectError | None) -> ConnectError:
    """Somebody has waited as long as it wanted to; `latest` is why the dest was not reached so far."""
    error = ConnectError(
        f"{dest} was not reached in the time of this call", dest=dest, attempts=latest.attempts if latest else ()
    )
    error.__cause__ = latest
    return error
