"""The local control socket of a running node: JSON lines over a Unix socket that only this user can reach.

A question is `{"ask": "status"}` or `{"ask": "ping", "with": {"dest": "bob"}}`; its answer
`{"ok": true, "result": ...}` or `{"ok": false, "error": "..."}`.

The answer to a question that is followed (`events`) is `{"ok": true, "follow": true}`, then one line `{"item": ...}`
for each thing there is to tell, and `{"end": "..."}` when there will be no more. Whoever follows asks nothing else.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from litz.errors import LitzError
from outproc.cli.outcome import CommandError
from outproc.cli.runtime_dir import VARIABLE, runtime_dir, socket_path
from outproc.wires.websocket.unix_socket import bind_unix, identity, remove

MAX_QUESTION: Final = 4096
MAX_CLIENTS: Final = 16
PATIENCE: Final = 5.0
"""Seconds for a client to ask, and to take the answer."""
ANSWER_WITHIN: Final = 2.0
"""Seconds for a node to answer before it counts as not answering."""
MAX_FOLLOWERS: Final = 8
"""Clients that may follow something at once; they do not count as `MAX_CLIENTS`."""
FOLLOWED_WITHIN: Final = 10.0
"""Seconds for a node to begin to tell what is followed."""
STALLED: Final = 600.0
"""Seconds without taking a line after which one that follows is left."""
LAST_LINES: Final = 0.5
"""Seconds for those who follow to take what is left when the node ends."""
IN_A_ROW: Final = 32
"""Lines that one follower is sent before everything else in the loop has its turn."""
MAX_LINE: Final = 1 << 20


class Feed(ABC, AsyncIterator[Any]):
    """What a question that is followed is answered with: items as JSON can hold them. It ends by itself, or when it is
    closed; what waits in it for a slow reader is bounded by whoever makes it. `end` tells why it ended."""

    end: str = ""

    @abstractmethod
    def close(self) -> None:
        """Nobody follows any more: `__anext__` ends, also one that waits. Idempotent."""


Answers = Mapping[str, Callable[..., Any]]
"""By question: a function of the texts given with it, or a coroutine function, with the answer or a `Feed`. A
`LitzError` or ValueError is told."""


class ControlSocket:
    """Serves `answers`, which return what JSON can hold, while it is entered.

    Raises `CommandError` on entering if a node of the same id runs already.
    """

    def __init__(self, local_id: str, answers: Answers) -> None:
        self._id = local_id
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], None] = {}
        self._followers: dict[asyncio.Task[None], None] = {}
        self._path = ""
        self._identity: tuple[int, int] | None = None

    async def __aenter__(self) -> Self:
        self._path = str(socket_path(runtime_dir(), self._id))
        try:
            bound = bind_unix(self._path)
        except OSError as error:
            raise CommandError(
                f"cannot make the control socket {self._path}: {error.strerror or error}; if a node {self._id!r} "
                f"runs here already, stop it or choose another --id; if the path is too long, set {VARIABLE}"
            ) from error
        self._identity = identity(self._path)
        self._server = await asyncio.start_unix_server(self._serve, sock=bound, limit=MAX_QUESTION)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        remove(self._path, self._identity)
        if self._server is not None:
            self._server.close()
        for task in self._clients:
            task.cancel()
        if self._followers:
            # What they follow has ended by itself if it will.
            await asyncio.wait(list(self._followers), timeout=LAST_LINES)
        for task in self._followers:
            task.cancel()
        left = [*self._clients, *self._followers]
        if left:
            await asyncio.wait(left)
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = None
        try:
            feed = None
            if len(self._clients) <= MAX_CLIENTS:
                with suppress(TimeoutError, OSError):
                    async with asyncio.timeout(PATIENCE):
                        feed = await self._converse(reader, writer)
            if feed is not None:
                del self._clients[task]
                self._followers[task] = None
                with suppress(TimeoutError, OSError):
                    await _stream(feed, reader, writer)
        except asyncio.CancelledError:
            pass  # this node ends; the server's own callback would report the cancellation
        finally:
            self._clients.pop(task, None)
            self._followers.pop(task, None)
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Feed | None:
        """Answer questions until there are no more, or until one is answered with a feed."""
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                return None  # longer than any question
            if not line:
                return None
            answer = await self._answer(line)
            feed = answer.get("result")
            if isinstance(feed, Feed):
                if len(self._followers) < MAX_FOLLOWERS:
                    return feed
                feed.close()
                answer = {"ok": False, "error": f"{MAX_FOLLOWERS} clients follow this node already; end one of them"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(line)
            answer = self._answers[asked["ask"]]
            given = {name: str(value) for name, value in asked.get("with", {}).items()}
            inspect.signature(answer).bind(**given)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {"ok": False, "error": f"not a question; ask one of: {', '.join(self._answers)}"}
        try:
            result = answer(**given)
            return {"ok": True, "result": await result if inspect.isawaitable(result) else result}
        except (LitzError, ValueError) as error:
            return {"ok": False, "error": str(error)}


async def _stream(feed: Feed, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send what the feed tells, at the pace at which the client takes it, until either has enough."""

    async def until_gone() -> None:
        with suppress(OSError):
            await reader.read(1)
        feed.close()

    # One line at most waits here, so that what a slow client misses is counted by the feed.
    writer.transport.set_write_buffer_limits(high=0)
    gone = asyncio.get_running_loop().create_task(until_gone(), name="litz control socket: until the follower has gone")
    try:
        await _say(writer, {"ok": True, "follow": True})
        told = 0
        async for item in feed:
            await _say(writer, {"item": item})
            told += 1
            if not told % IN_A_ROW:
                await asyncio.sleep(0)
        await _say(writer, {"end": feed.end})
    finally:
        feed.close()
        gone.cancel()
        await asyncio.wait([gone])


async def _say(writer: asyncio.StreamWriter, line: dict[str, Any]) -> None:
    writer.write(json.dumps(line).encode() + b"\n")
    async with asyncio.timeout(STALLED):
        await writer.drain()


async def follow(path: Path, question: str, **given: str) -> AsyncIterator[Any]:
    """Ask the node behind `path` what is followed, and yield what it tells, until it says that there is no more.

    Raises `ConnectionRefusedError` if nobody listens there any more, `TimeoutError` if it does not answer,
    `CommandError` if it does not understand, `ConnectionResetError` if it left without a word.
    """
    reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
    try:
        writer.write(json.dumps({"ask": question, "with": given}).encode() + b"\n")
        async with asyncio.timeout(FOLLOWED_WITHIN):
            _result(await reader.readline(), path)
        while True:
            said = _read(await reader.readline(), path)
            if "end" in said:
                return
            yield said["item"]
    finally:
        writer.transport.abort()


async def inquire(path: Path, question: str, **given: str) -> Any:
    """As `ask`, without blocking."""
    async with asyncio.timeout(ANSWER_WITHIN):
        reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
        try:
            writer.write(json.dumps({"ask": question, "with": given}).encode() + b"\n")
            return _result(await reader.readline(), path)
        finally:
            writer.transport.abort()


def _result(line: bytes, path: Path) -> Any:
    answer = _read(line, path)
    if not answer["ok"]:
        raise CommandError(f"the node behind {path} answered: {answer['error']}")
    return answer.get("result")


def _read(line: bytes, path: Path) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise ConnectionResetError(f"the node behind {path} left without an answer") from None


def ask(path: Path, question: str, **given: str) -> Any:
    """Ask the node behind `path`, blocking; `given` goes with the question.

    Raises `ConnectionRefusedError` if nobody listens there any more, OSError (`TimeoutError`) if it does not answer,
    `CommandError` if it does not understand or cannot.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_WITHIN)
        client.connect(str(path))
        client.sendall(json.dumps({"ask": question, "with": given}).encode() + b"\n")
        with client.makefile("rb") as answers:
            line = answers.readline()
    return _result(line, path)


def running_nodes() -> list[Path]:
    """The control sockets that there are, also those of nodes that died."""
    return sorted(runtime_dir().glob("*.sock"))


def reachable_nodes(only: str | None) -> list[Path]:
    """The control sockets of the nodes that run here, or of the node `only`. Raises `CommandError` if there is none."""
    paths = running_nodes() if only is None else [socket_path(runtime_dir(), only)]
    alive = [path for path in paths if _listens(path)]
    if not alive:
        which = f"no node {only!r}" if only is not None else "no node"
        raise CommandError(f"{which} of yours runs here; start one with: litz up")
    return alive


def _listens(path: Path) -> bool:
    """Whether somebody is behind it: a node that died leaves its socket, which the next node of that id replaces."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_WITHIN)
        try:
            client.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # it is there; asking it says what is wrong
    return True
