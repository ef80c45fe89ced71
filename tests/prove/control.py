"""JSON lines over a socket, both ways: how a proof and its worker processes talk.

A line is a call `{"id": 3, "do": "send", "with": {...}}`, its answer `{"id": 3, "result": ...}` or
`{"id": 3, "error": "..."}`, or an event `{"event": "...", ...}` that nobody asked for.
"""

from __future__ import annotations

import asyncio
import json
import socket
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

MAX_LINE = 16 << 20

Command = Callable[..., Awaitable[Any]]


class Control:
    """One end. The worker's end has `commands`, looked up by name; the proof's end calls them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._running: dict[asyncio.Task[None], None] = {}
        self._next_id = 0
        self.commands: dict[str, Command] = {}
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        """What the other end emitted; None once it is gone."""
        self._pump = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def open(cls, end: socket.socket) -> Control:
        return cls(*await asyncio.open_connection(sock=end, limit=MAX_LINE))

    async def call(self, verb: str, **parameters: Any) -> Any:
        """Run the other end's command. Raises RuntimeError with its traceback when that raised, and
        ConnectionError when the other end is gone. No deadline of its own: use `asyncio.timeout`."""
        if self._pump.done():
            raise ConnectionError(f"no one is left to do {verb!r}")
        self._next_id += 1
        call_id = self._next_id
        future = self._calls[call_id] = asyncio.get_running_loop().create_future()
        try:
            self._write({"id": call_id, "do": verb, "with": parameters})
            return await future
        finally:
            self._calls.pop(call_id, None)

    def emit(self, event: str, **details: Any) -> None:
        """Tell the other end something; it may read it from `events`."""
        self._write({"event": event, **details})

    async def gone(self) -> None:
        """Return when the other end has closed."""
        await asyncio.wait([self._pump])

    async def aclose(self) -> None:
        """Close, and wait for the end of everything that was started here."""
        self._writer.close()
        self._pump.cancel()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(self._pump, *self._running, return_exceptions=True)
        with suppress(OSError):
            await self._writer.wait_closed()

    def _write(self, line: dict[str, Any]) -> None:
        self._writer.write(json.dumps(line).encode() + b"\n")

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except OSError:
            pass  # the other end was killed
        finally:
            self.events.put_nowait(None)
            for future in self._calls.values():
                if not future.done():
                    future.set_exception(ConnectionError("the other end is gone"))

    def _take(self, line: dict[str, Any]) -> None:
        if "event" in line:
            self.events.put_nowait(line)
        elif "do" in line:
            task = asyncio.get_running_loop().create_task(self._answer(line))
            self._running[task] = None
            task.add_done_callback(lambda done: self._running.pop(done, None))
        else:
            future = self._calls.get(line["id"])
            if future is not None and not future.done():
                if "error" in line:
                    future.set_exception(RuntimeError(line["error"]))
                else:
                    future.set_result(line["result"])

    async def _answer(self, line: dict[str, Any]) -> None:
        try:
            result = await self.commands[line["do"]](**line["with"])
            self._write({"id": line["id"], "result": result})
        except Exception:
            self._write({"id": line["id"], "error": traceback.format_exc()})
