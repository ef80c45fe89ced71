"""One file that is being sent: read ahead only as far as `send` accepts, and hashed on the way."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from typing import Any

from litz.errors import LitzError, SessionEndedError
from litz.events import SessionEnded
from litz.message import Message, Receipt
from litz.payload import PayloadType
from outproc.cli.file_records import (
    CHUNK_SIZE,
    ID_SIZE,
    Header,
    Kind,
    Reason,
    RecordError,
    Trailer,
    Verdict,
    chunk_record,
    is_record,
    read_body,
    read_record,
    record,
)
from outproc.cli.file_sources import Source
from outproc.cli.outcome import CommandError
from outproc.manager import OutprocTransportManager

_LANE = PayloadType.STREAM_RELIABLE
VERDICT_TIMEOUT = 60.0
"""Seconds for the receiver to answer once it has processed all."""


class OutgoingFile:
    """One transfer to `dest`. Its manager must `serve` with `handle`, which hears a refusal."""

    def __init__(self, manager: OutprocTransportManager, dest: str, source: Source) -> None:
        self._manager = manager
        self._dest = dest
        self._source = source
        self._transfer = os.urandom(ID_SIZE)
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._header: Receipt | None = None
        self.sent = 0
        """Bytes that `send` has accepted."""

    def acknowledged(self) -> int:
        """Bytes that the receiver has written, as its acks say."""
        if self._header is None:
            return 0
        for dest in self._manager.snapshot().dests:
            if dest.dest == self._dest and dest.session == self._header[0].session:
                processed = next(lane.processed for lane in dest.lanes if lane.lane == _LANE)
                return min(self.sent, max(0, processed - self._header[1] - 1) * CHUNK_SIZE)
        return 0

    @property
    def state(self) -> str:
        """What the bar says."""
        return "" if self._header is None or self._manager.is_connected(self._dest) else "no wire, redialling"

    def handle(self, message: Message) -> None:
        """The handler for `serve`."""
        if message.sender != self._dest or not is_record(message.data):
            return
        with suppress(RecordError):
            found = read_record(message.data)
            if found.kind is Kind.REFUSE and found.transfer == self._transfer and not self._refused.done():
                reason = read_body(Reason, found.body).reason
                self._refused.set_exception(CommandError(f"{self._dest} refused the file: {reason}"))

    async def send(self) -> Verdict:
        """Send all and return the verdict. Raises `CommandError` when it cannot be had, `LitzError`, OSError;
        the receiver is then told, if it can be."""
        loop = asyncio.get_running_loop()
        upload, watching = loop.create_task(self._upload()), loop.create_task(self._watch())
        try:
            ends: list[asyncio.Future[Any]] = [upload, self._refused]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._refused.done() and not upload.done():
                self._refused.result()
            return upload.result()
        except SessionEndedError as error:
            raise CommandError(f"{error}; the file is not complete at {self._dest}, send it again") from error
        finally:
            complete = upload.done() and not upload.cancelled() and upload.exception() is None
            upload.cancel()
            watching.cancel()
            await asyncio.wait([upload, watching])
            if not self._refused.cancel():
                self._refused.exception()  # heard, whether or not it was what ended the transfer
            if not complete:
                await self._abort()

    async def _upload(self) -> Verdict:
        header = Header(name=self._source.name, size=self._source.size)
        self._header = await self._manager.send(
            self._dest, record(Kind.HEADER, self._transfer, header), payload_type=_LANE
        )
        digest = hashlib.sha256()
        async for data in self._source.chunks():
            await asyncio.to_thread(digest.update, data)
            receipt = await self._manager.send(
                self._dest, chunk_record(self._transfer, self.sent, data), payload_type=_LANE
            )
            self._check_session(receipt)
            self.sent += len(data)
        if self._source.size is not None and self.sent != self._source.size:
            raise CommandError(f"{self._source.name} changed its size while it was read; send it again")
        trailer = Trailer(size=self.sent, sha256=digest.hexdigest())
        receipt = await self._manager.send(
            self._dest, record(Kind.TRAILER, self._transfer, trailer), payload_type=_LANE, confirm="processed"
        )
        self._check_session(receipt)
        return await self._ask(trailer)

    async def _watch(self) -> None:
        """Hear of the end of the session also while the source has nothing to send."""
        with self._manager.events() as events:
            async for _, event in events:
                if isinstance(event, SessionEnded) and event.dest == self._dest and not self._refused.done():
                    self._refused.set_exception(
                        CommandError(f"the session with {self._dest} ended ({event.reason.value}); send the file again")
                    )

    async def _ask(self, trailer: Trailer) -> Verdict:
        answer = await self._manager.request(self._dest, record(Kind.VERDICT, self._transfer), timeout=VERDICT_TIMEOUT)
        try:
            verdict = read_body(Verdict, answer)
        except RecordError as error:
            raise CommandError(f"{self._dest} does not take files; run there: litz recv") from error
        if not verdict.ok:
            raise CommandError(f"{self._dest} could not take the file: {verdict.error}")
        if verdict.sha256 != trailer.sha256:
            raise CommandError(f"{self._dest} has other bytes: sha256 {verdict.sha256} there, {trailer.sha256} here")
        return verdict

    def _check_session(self, receipt: Receipt) -> None:
        assert self._header is not None
        if receipt[0].session != self._header[0].session:
            raise CommandError(f"{self._dest} was restarted, or out of reach for too long; send the file again")

    async def _abort(self) -> None:
        if self._header is None or not self._manager.is_connected(self._dest):
            return
        reason = Reason(reason="it failed there, or was interrupted")
        with suppress(LitzError, TimeoutError):
            await self._manager.send(
                self._dest, record(Kind.ABORT, self._transfer, reason), payload_type=_LANE, timeout=1.0
            )
