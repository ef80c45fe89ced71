"""The local control socket of a running node: JSON lines over a Unix socket that only this user can reach.

A question is `{"ask": "status"}` or `{"ask": "ping", "with": {"dest": "bob"}}`; its answer
`{"ok": true, "result": ...}` or `{"ok": false, "error": "..."}`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from collections.abc import Callable, Mapping
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

Answers = Mapping[str, Callable[..., Any]]
"""By question: a function of the texts given with it, or a coroutine function. A `LitzError` or ValueError is told."""


class ControlSocket:
    """Serves `answers`, which return what JSON can hold, while it is entered.

    Raises `CommandError` on entering if a node of the same id runs already.
    """

    def __init__(self, local_id: str, answers: Answers) -> None:
        self._id = local_id
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], None] = {}
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
        for task in list(self._clients):
            task.cancel()
        if self._clients:
            await asyncio.wait(list(self._clients))
        if self._server is not None:
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = None
        try:
            if len(self._clients) <= MAX_CLIENTS:
                with suppress(TimeoutError, OSError):
                    async with asyncio.timeout(PATIENCE):
                        await self._converse(reader, writer)
        except asyncio.CancelledError:
            pass  # this node ends; the server's own callback would report the cancellation
        finally:
            del self._clients[task]
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                return  # longer than any question
            if not line:
                return
            writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
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
    try:
        answer = json.loads(line)
    except ValueError:
        raise ConnectionResetError(f"the node behind {path} left without an answer") from None
    if not answer["ok"]:
        raise CommandError(f"the node behind {path} answered: {answer['error']}")
    return answer["result"]


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
