"""The child processes of `litz demo`: started, told what to do, listened to, and always reaped."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self

from outproc.cli.demo_node import COMMAND, MAX_LINE
from outproc.cli.outcome import CommandError

END_TIMEOUT: Final = 8.0
"""Seconds for a node to close in order; then it is killed."""


class DemoChild:
    """One node in a process of its own. `standing` gets the rows of each of its reports."""

    def __init__(self, local_id: str, standing: Callable[[str, list[dict[str, Any]]], None]) -> None:
        self.local_id = local_id
        self._standing = standing
        self._process: asyncio.subprocess.Process | None = None
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "outproc.cli",
            COMMAND,
            self.local_id,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
            start_new_session=True,  # Ctrl-C is for the parent, which ends the node: also while it still imports
        )
        self._reader = asyncio.get_running_loop().create_task(self._read(self._process))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close its input, which ends it; kill it if that does not."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(END_TIMEOUT):
                    await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            if self._reader is not None:
                await asyncio.wait([self._reader])

    def tell(self, verb: str, **parameters: Any) -> None:
        """Give a command."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": verb, **parameters}).encode() + b"\n")

    async def hear(self, event: str, within: float) -> dict[str, Any]:
        """The next piece of news, which must be `event`. Raises `CommandError` when it is not, or does not come."""
        try:
            async with asyncio.timeout(within):
                news = await self._events.get()
        except TimeoutError:
            raise CommandError(f"the process of {self.local_id} said nothing for {within:g} s") from None
        if news is None or news["event"] != event:
            raise CommandError(f"the process of {self.local_id} ended too early; see what it wrote above")
        return news

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                news = json.loads(line)
                if news["event"] == "standing":
                    self._standing(self.local_id, news["rows"])
                else:
                    self._events.put_nowait(news)
        finally:
            self._events.put_nowait(None)
