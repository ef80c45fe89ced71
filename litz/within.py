"""Deadlines of the verbs: `asyncio.timeout`, but the error says what did not happen in time, and what to do."""

from __future__ import annotations

import asyncio
from types import TracebackType


class within:  # noqa: N801 - used like asyncio.timeout
    """`async with within(seconds, "bob did not answer", "try again"):` raises
    TimeoutError("bob did not answer within 5 s; try again"). None: no deadline."""

    __slots__ = ("_cure", "_seconds", "_timeout", "_what")

    def __init__(self, seconds: float | None, what: str, cure: str) -> None:
        self._seconds = seconds
        self._what = what
        self._cure = cure
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError as late:
            raise TimeoutError(f"{self._what} within {self._seconds:g} s; {self._cure}") from late.__cause__


LATE_DRAIN = ("not everything was received", "it is still being sent: drain again, or look at snapshot()")


def late_send(dest: str, confirm: str | None) -> tuple[str, str]:
    """What `send` says when its time is over."""
    if confirm is None:
        return f"{dest} was not reached, or the log had no room,", "nothing was sent"
    return f"no message to {dest} was confirmed as {confirm}", "if it was accepted it is still being sent"


def late_wire(dest: str) -> tuple[str, str]:
    """What `wait_connected` says when its time is over."""
    return f"{dest} had no wire", "waiting does not dial: `send` and `reconnect` do"


def late_open(dest: str, service: str) -> tuple[str, str]:
    """What `open_stream` and `open_pipe` say when their time is over."""
    return f"{dest} was not reached, or did not answer to a stream to {service!r},", "nothing was opened"
