"""The files that a node receives: who sends which, what became of them, and what their senders are told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from litz.errors import BackpressureError, EndOfStreamError, LitzError, StreamAbortedError, StreamLostError
from litz.event_words import printable, span
from litz.events import EventGap, SessionEnded
from litz.manager import TransportManager
from litz.message import Message
from litz.payload import PayloadType
from litz.stream import Stream
from litz.stream_options import StreamOptions
from outproc.cli.file_records import (
    ID_SIZE,
    MAX_MESSAGE,
    SERVICE,
    Header,
    Kind,
    Reason,
    Record,
    RecordError,
    Trailer,
    Verdict,
    buffer_of,
    is_record,
    read_body,
    read_chunk,
    read_record,
    record,
    written,
)
from outproc.cli.incoming_file import IncomingFile, TransferError
from outproc.cli.outcome import UsageError
from outproc.cli.transfer_progress import Standing

MAX_OPEN: Final = 64
MAX_OPEN_PER_SENDER: Final = 8
MAX_VERDICTS: Final = 256
"""Verdicts kept for senders that have not asked yet."""

SENDER_PATIENCE: Final = 150.0
"""Seconds for the header of a stream to come, and at its end for the verdict to arrive: longer than a session is kept
without a wire (120 s), so that cut wires alone fail no file. In between a sender may take its time: what it reads may
come from a person."""

SILENT_AFTER: Final = 5.0
"""Seconds without a word of a sender after which people are shown that it is waited for."""

TOLD_EVERY: Final = 1 << 20
"""Bytes written after which the sender of a stream is told so."""

_Key = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of one file. `told`: its sender asked for the verdict, and has been answered."""

    sender: str
    verdict: Verdict
    size: int
    told: asyncio.Event


class IncomingFiles:
    """Takes the files of any number of senders: those of streams from `listen` on, and those of messages that `handle`
    is given, serially for each sender, as `serve` does by default. Every file ends in exactly one `Finished`, given to
    `finished`. `say` gets lines for people. `idle_timeout`: seconds without a word of its sender after which a file is
    given up; None: it may take its time, for what it reads may come from a person.
    """

    def __init__(
        self,
        manager: TransportManager,
        folder: Path,
        say: Callable[[str], None],
        finished: Callable[[Finished], None] | None = None,
        *,
        idle_timeout: float | None = None,
    ) -> None:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no directory; make it first, or choose another with --dir")
        self._manager = manager
        self._folder = folder
        self._tell_people = say
        self._finished = finished
        self._idle_timeout = idle_timeout
        self._open: dict[_Key, IncomingFile] = {}
        self._verdicts: dict[_Key, Finished] = {}

    @property
    def current(self) -> IncomingFile | None:
        """The file whose transfer began first, of those under way."""
        return next(iter(self._open.values()), None)

    def standing(self) -> Standing | None:
        """How far that file is, and whether its sender is silent."""
        for (sender, _), file in self._open.items():
            silent = self._silence(file)
            remark = f"nothing came for {span(silent)}" if silent >= SILENT_AFTER else ""
            if not self._manager.is_connected(sender):
                remark = "; ".join(filter(None, ("no wire to its sender", remark)))
            return Standing(file.name, file.written, file.size, remark)
        return None

    def listen(self) -> None:
        """Take streams, until the manager closes. Raises `ConsumerConflictError`."""
        self._manager.listen_streams(SERVICE, self.take, options=StreamOptions(max_message=MAX_MESSAGE))

    def _say(self, line: str) -> None:
        """Senders have a say in these lines, and they go to a terminal."""
        self._tell_people(printable(line))

    async def take(self, stream: Stream) -> None:
        """Take the file of one stream, and tell its sender what became of it."""
        key = (stream.sender, os.urandom(ID_SIZE))
        try:
            await self._take_all(key, stream)
        except StreamLostError:
            self._fail(key, "the session with its sender ended", tell=False)
        except StreamAbortedError as error:
            self._fail(key, f"the sender gave up: {error}", tell=False)
        except (TransferError, RecordError) as error:
            self._fail(key, str(error), tell=False)
        except OSError as error:
            self._fail(key, f"the receiver cannot write the file: {error.strerror or error}", tell=False)
        except BaseException:
            # Cancelled, or a bug: nobody else gives the file up, and its place would be taken for ever.
            self._fail(key, "the receiver ends", tell=False)
            self._verdicts.pop(key, None)
            raise
        finished = self._verdicts.pop(key)
        with suppress(StreamAbortedError, TimeoutError):  # it has gone, or does not want to know
            async with asyncio.timeout(SENDER_PATIENCE):
                await stream.send(finished.verdict.model_dump_json().encode())
                await stream.send_eof()
                await stream.drain()
        finished.told.set()

    async def _take_all(self, key: _Key, stream: Stream) -> None:
        await self._begin(key, read_body(Header, await _header(stream)))
        file, told = self._open[key], 0
        last = await self._next_of(file, stream)
        if last is None:
            raise TransferError("the stream ended before its trailer")
        while (data := await self._next_of(file, stream)) is not None:
            await asyncio.to_thread(file.write, file.written, memoryview(last))
            last = data
            if file.written - told >= TOLD_EVERY:
                told = file.written
                with suppress(BackpressureError):  # a sender that does not read hears it later
                    stream.send_nowait(written(told))
        await self._finish(key, file, _trailer(last))

    async def _next_of(self, file: IncomingFile, stream: Stream) -> bytes | bytearray | None:
        """The next message; None: there is no more."""
        file.waiting_since = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._idle_timeout):
                return buffer_of(await stream.receive())
        except EndOfStreamError:
            return None
        except TimeoutError:
            raise TransferError(self._too_silent()) from None
        finally:
            file.waiting_since = None

    def wants(self, message: Message) -> bool:
        """Whether the message is for us."""
        return is_record(message.data)

    async def handle(self, message: Message) -> bytes | None:
        """Take one record; the answer if it asks for a verdict."""
        try:
            found = read_record(message.data)
        except RecordError as error:
            self._say(f"{message.sender}: {error}")
            return None
        key = (message.sender, found.transfer)
        if found.kind is Kind.VERDICT:
            return await self._tell(key, message)
        try:
            await self._take(key, found)
        except (TransferError, RecordError) as error:
            self._fail(key, str(error))
        except OSError as error:
            self._fail(key, f"the receiver cannot write the file: {error.strerror or error}")
        return None

    async def watch_senders(self) -> None:
        """Give up the files of senders whose session ends. Runs until cancelled or until the manager closes."""
        with self._manager.events() as events:
            async for _, event in events:
                if isinstance(event, SessionEnded):
                    self._lost(event.dest, f"the session with its sender ended: {event.reason.value}")
                elif isinstance(event, EventGap):
                    for sender in dict.fromkeys(sender for sender, _ in self._open):
                        if not self._manager.has_dest(sender):
                            self._lost(sender, "the session with its sender ended")

    def close(self) -> None:
        """Give up what is not complete."""
        for key in list(self._open):
            self._fail(key, "the receiver ends", tell=False)

    async def _take(self, key: _Key, found: Record) -> None:
        if found.kind is Kind.HEADER:
            await self._begin(key, read_body(Header, found.body))
            self._wait_for_more(key)
            if self._idle_timeout is not None and (begun := self._open.get(key)) is not None:
                self._give_up_if_silent(key, begun, self._idle_timeout)
            return
        file = self._open.get(key)
        if file is None:
            if key not in self._verdicts:
                self._refuse_unknown(key)
        elif found.kind is Kind.CHUNK:
            file.waiting_since = None
            await asyncio.to_thread(file.write, *read_chunk(found.body))
            self._wait_for_more(key)
        elif found.kind is Kind.TRAILER:
            await self._finish(key, file, read_body(Trailer, found.body))
        elif found.kind is Kind.ABORT:
            raise TransferError(f"the sender gave up: {read_body(Reason, found.body).reason}")

    def _wait_for_more(self, key: _Key) -> None:
        if (file := self._open.get(key)) is not None:
            file.waiting_since = asyncio.get_running_loop().time()

    def _give_up_if_silent(self, key: _Key, file: IncomingFile, limit: float) -> None:
        """Look now and again, as long as it is open, at a file that comes in messages: nobody waits for the next."""
        if self._open.get(key) is not file or file.finishing:
            return
        left = limit - self._silence(file)
        if left > 0:
            asyncio.get_running_loop().call_later(left, self._give_up_if_silent, key, file, limit)
        else:
            self._fail(key, self._too_silent())

    def _silence(self, file: IncomingFile) -> float:
        since = file.waiting_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    def _too_silent(self) -> str:
        return f"nothing came from its sender for {self._idle_timeout:g} s (--idle-timeout)"

    async def _finish(self, key: _Key, file: IncomingFile, trailer: Trailer) -> None:
        file.finishing = True
        await asyncio.to_thread(file.finish, trailer)
        if self._open.pop(key, None) is not None:
            self._complete(key, file)

    async def _begin(self, key: _Key, header: Header) -> None:
        if key in self._open or key in self._verdicts:
            raise TransferError("the transfer began twice")
        if len(self._open) >= MAX_OPEN or sum(sender == key[0] for sender, _ in self._open) >= MAX_OPEN_PER_SENDER:
            raise TransferError("too many files are being received; try again when some are done")
        file = self._open[key] = IncomingFile(self._folder, key[1], header)
        await asyncio.to_thread(file.open)
        if key not in self._open:
            return  # given up while the disk was slow
        size = f"{file.size} bytes" if file.size is not None else "of unknown size"
        self._say(f"{key[0]} sends {file.name!r}, {size}")

    def _fail(self, key: _Key, error: str, *, tell: bool = True) -> None:
        file = self._open.pop(key, None)
        if file is not None:
            file.discard()
            if file.final is not None:  # it was being finished
                self._complete(key, file)
                return
        if key not in self._verdicts:
            self._end(key, Verdict(ok=False, error=error[:4000]), file.written if file is not None else 0)
        if tell:
            self._refuse(key, error)

    def _refuse_unknown(self, key: _Key) -> None:
        """The rest of a transfer that an earlier life of this node began. It is no file of this one, so nobody here
        hears of it: a receiver that was started again waits for the file that is sent again."""
        error = "the receiver does not know this transfer; it was restarted, so send again"
        self._keep(Finished(key[0], Verdict(ok=False, error=error), 0, asyncio.Event()), key)
        self._refuse(key, error)

    def _refuse(self, key: _Key, error: str) -> None:
        if not self._manager.is_connected(key[0]):
            return
        refusal = record(Kind.REFUSE, key[1], Reason(reason=error[:4000]))
        try:
            self._manager.send_nowait(key[0], refusal, payload_type=PayloadType.RPC_SIGNAL)
        except (BackpressureError, LitzError):
            return  # it learns it when it asks for the verdict

    def _lost(self, sender: str, error: str) -> None:
        for key in list(self._open):
            if key[0] == sender and not self._open[key].finishing:
                self._fail(key, error, tell=False)

    def _complete(self, key: _Key, file: IncomingFile) -> None:
        assert file.final is not None
        path, sha256 = file.final
        self._end(key, Verdict(ok=True, name=path.name, sha256=sha256), file.written)

    def _end(self, key: _Key, verdict: Verdict, size: int) -> None:
        finished = Finished(key[0], verdict, size, asyncio.Event())
        self._keep(finished, key)
        if verdict.ok:
            self._say(f"{verdict.name!r} from {key[0]} is complete: {size} bytes, sha256 {verdict.sha256}")
        else:
            self._say(f"a file from {key[0]} failed: {verdict.error}")
        if self._finished is not None:
            self._finished(finished)

    def _keep(self, finished: Finished, key: _Key) -> None:
        self._verdicts[key] = finished
        while len(self._verdicts) > MAX_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]

    async def _tell(self, key: _Key, message: Message) -> bytes | None:
        finished = self._verdicts.get(key)
        if finished is None:
            unknown = Verdict(ok=False, error="the receiver does not know this transfer; it was restarted")
            return unknown.model_dump_json().encode()
        # Replied here and not by returning it, so that `told` means that the answer is on its way.
        await message.reply(finished.verdict.model_dump_json().encode())
        finished.told.set()
        return None


async def _header(stream: Stream) -> bytes | bytearray:
    try:
        async with asyncio.timeout(SENDER_PATIENCE):
            return await _next(stream, "its header")
    except TimeoutError:
        raise TransferError(f"its header did not come within {SENDER_PATIENCE:g} s; send it again") from None


async def _next(stream: Stream, what: str) -> bytes | bytearray:
    try:
        return buffer_of(await stream.receive())
    except EndOfStreamError:
        raise TransferError(f"the stream ended before {what}") from None


def _trailer(last: bytes | bytearray) -> Trailer:
    """The last message of a stream, which may say that it is not complete."""
    try:
        return read_body(Trailer, last)
    except RecordError:
        with suppress(RecordError):
            raise TransferError(f"the sender gave up: {read_body(Reason, last).reason}") from None
        raise
