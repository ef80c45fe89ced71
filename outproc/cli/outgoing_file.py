"""One file that is being sent: a stream of its own, read ahead only as far as the receiver writes, hashed on the way.

What the messages of the stream are is in `outproc.cli.file_records`.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import Any

from litz.errors import EndOfStreamError, LitzError, StreamAbortedError, StreamLostError, StreamRefusedError
from litz.stream import Stream
from litz.stream_port import Refusal
from outproc.cli.file_records import (
    MAX_NEWS,
    SERVICE,
    Header,
    Reason,
    RecordError,
    Trailer,
    Verdict,
    buffer_of,
    read_body,
    read_written,
)
from outproc.cli.file_sources import Source
from outproc.cli.outcome import CommandError
from outproc.manager import OutprocTransportManager

VERDICT_TIMEOUT = 60.0
"""Seconds for the receiver to say something once it has all."""
LAST_WORDS = 1.0
"""Seconds for a receiver to hear that its sender gives up."""


class OutgoingFile:
    """One transfer to `dest`."""

    def __init__(self, manager: OutprocTransportManager, dest: str, source: Source) -> None:
        self._manager = manager
        self._dest = dest
        self._source = source
        self._stream: Stream | None = None
        self._written = 0
        self._said = asyncio.Event()
        self.sent = 0
        """Bytes that the stream has accepted."""

    def acknowledged(self) -> int:
        """Bytes that the receiver has written, as it says."""
        return self._written

    @property
    def state(self) -> str:
        """What the bar says."""
        return "" if self._stream is None or self._stream.link_up else "no wire, redialling"

    async def send(self) -> Verdict:
        """Send all and return the verdict. Raises `CommandError` when it cannot be had, `LitzError`, OSError; the
        receiver is then told, if it can be."""
        try:
            self._stream = await self._manager.open_stream(self._dest, SERVICE)
        except StreamRefusedError as error:
            if error.why in (Refusal.REFUSED, Refusal.UNSUPPORTED):
                raise CommandError(f"{self._dest} does not take files; run there: litz recv") from error
            raise
        complete = False
        try:
            verdict = await self._converse(self._stream)
            complete = True
            return verdict
        except StreamLostError as error:
            why = error.__cause__ or error
            raise CommandError(f"{why}; the file is not complete at {self._dest}, send it again") from error
        except StreamAbortedError as error:
            raise CommandError(f"{self._dest} gave the file up: {error}") from error
        finally:
            await self._leave(self._stream, complete=complete)

    async def _converse(self, stream: Stream) -> Verdict:
        loop = asyncio.get_running_loop()
        uploading = loop.create_task(self._upload(stream), name="litz send: upload")
        hearing = loop.create_task(self._hear(stream), name="litz send: hear")
        try:
            await asyncio.wait([uploading, hearing], return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                await self._all_but_the_verdict(uploading, hearing)
            verdict = await hearing  # also of a receiver that wants no more of it
            if not verdict.ok:
                raise CommandError(f"{self._dest} could not take the file: {verdict.error}")
            trailer = await uploading
            if verdict.sha256 != trailer.sha256:
                raise CommandError(
                    f"{self._dest} has other bytes: sha256 {verdict.sha256} there, {trailer.sha256} here"
                )
            self._written = self.sent
            return verdict
        finally:
            await _ended(uploading, hearing)

    async def _all_but_the_verdict(self, uploading: asyncio.Task[Trailer], hearing: asyncio.Task[Verdict]) -> None:
        """All was sent: now the receiver says how far it is, until it has a verdict."""
        try:
            await uploading
        except StreamAbortedError:
            return  # it may have said why before
        while not hearing.done():
            self._said.clear()
            waiting = asyncio.get_running_loop().create_task(self._said.wait())
            try:
                await asyncio.wait([hearing, waiting], timeout=VERDICT_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
                if not (hearing.done() or waiting.done()):
                    raise CommandError(f"{self._dest} has all of the file and says nothing; look there what it has")
            finally:
                await _ended(waiting)

    async def _upload(self, stream: Stream) -> Trailer:
        header = Header(name=self._source.name, size=self._source.size)
        await stream.send(header.model_dump_json().encode())
        digest = hashlib.sha256()
        async for data in self._source.chunks():
            await asyncio.to_thread(digest.update, data)
            await stream.send(data)
            self.sent += len(data)
        if self._source.size is not None and self.sent != self._source.size:
            raise CommandError(f"{self._source.name} changed its size while it was read; send it again")
        trailer = Trailer(size=self.sent, sha256=digest.hexdigest())
        await stream.send(trailer.model_dump_json().encode())
        await stream.send_eof()
        await stream.drain()
        return trailer

    async def _hear(self, stream: Stream) -> Verdict:
        while True:
            try:
                message = await stream.receive()
            except EndOfStreamError:
                raise CommandError(f"{self._dest} ended without a word; send the file again") from None
            self._said.set()
            try:
                news = bytes(buffer_of(message))
                if len(news) > MAX_NEWS:
                    raise RecordError("more than a verdict needs")
                if (written := read_written(news)) is None:
                    return read_body(Verdict, news)
            except RecordError as error:
                raise CommandError(f"{self._dest} answered with something else: {error}") from error
            self._written = max(self._written, min(written, self.sent))

    async def _leave(self, stream: Stream, *, complete: bool) -> None:
        """Say that it is over, and why, if that is possible soon."""
        with suppress(LitzError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                if not complete:
                    reason = Reason(reason="it failed there, or was interrupted")
                    await stream.send(reason.model_dump_json().encode())
                await stream.aclose()
        stream.abort("it failed there, or was interrupted")  # unless it is closed


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what is under way, and wait for it; what it raised concerns nobody any more."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()
