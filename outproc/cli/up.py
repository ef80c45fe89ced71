"""`litz up`: runs a node until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

from litz.errors import LitzError
from litz.message import Message
from outproc.cli import chat_talk
from outproc.cli.control_socket import ControlSocket
from outproc.cli.credentials import Credentials, add_allow_option, add_proof_options, authorize_of
from outproc.cli.hangup import reload_on_hangup
from outproc.cli.incoming_files import IncomingFiles
from outproc.cli.leaving import add_leaving_options, leave
from outproc.cli.node_options import (
    DEFAULT_LISTEN,
    add_identity_options,
    add_listen_option,
    directory_of,
    host_id,
    local_id_of,
)
from outproc.cli.outcome import EXIT_CODES, text_of
from outproc.cli.proxy_option import add_proxy_option, through_proxy
from outproc.cli.questions import questions_for
from outproc.cli.running import Stop, run
from outproc.cli.tab_page import page_urls, tab_options
from outproc.cli.tls_options import add_ca_option, add_cert_options, listen_options
from outproc.manager import OutprocTransportManager
from outproc.relay_options import RelayOptions


def add(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "up",
        help="run a node until Ctrl-C or SIGTERM",
        description="Runs a node: others can reach it, litz status shows it. Ctrl-C and SIGTERM end it in order: peers "
        "are told that it leaves, what was accepted is brought to its end, what could not be is listed (and the exit "
        "code is 1), and goodbye is said. A second signal cuts that short (130).",
        epilog=f"example: litz up --id bob --listen ws://127.0.0.1:8400\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_identity_options(parser, default_id="the name of this host")
    add_listen_option(parser)
    add_cert_options(parser)
    add_ca_option(parser)
    add_proof_options(parser)
    add_allow_option(parser)
    add_proxy_option(parser)
    add_leaving_options(parser)
    parser.add_argument("--dest", action="append", metavar="ID=URL", help="stay connected to this dest; repeatable")
    parser.add_argument(
        "--serve",
        action="append",
        choices=("echo", "recv"),
        help="echo: answer every request, and every line of litz chat, with itself (default); recv: take files of litz "
        "send; repeatable",
    )
    parser.add_argument("--dir", type=Path, default=Path(), metavar="DIR", help="where files go (default: here)")
    parser.add_argument(
        "--relay", action="store_true", help="be a hub: nodes that are connected here reach each other through this one"
    )
    parser.set_defaults(run=_run)


class Services:
    """What a node does with what it receives: `--serve`. Other messages are taken and dropped."""

    def __init__(self, manager: OutprocTransportManager, echo: bool, files: IncomingFiles | None) -> None:
        self._manager = manager
        self._echo = echo
        self._files = files

    def handle(self, message: Message) -> Awaitable[bytes | None] | bytes | None:
        """The handler for `serve`."""
        if self._files is not None and self._files.wants(message):
            return self._files.handle(message)
        if not self._echo:
            return None
        if message.key == chat_talk.KEY:
            with suppress(LitzError):  # who reads no answers gets none
                self._manager.send_nowait(message.sender, message.data)
        return bytes(message.data) if message.is_request else None


def _run(arguments: argparse.Namespace) -> int:
    async def work(stop: Stop) -> int:
        return await serve_until_stopped(arguments, stop)

    return run(work)


async def serve_until_stopped(arguments: argparse.Namespace, stop: Stop) -> int:
    """Run the node until it is told to stop; the exit code of `leave`."""
    credentials = Credentials(arguments)
    authenticator = credentials.authenticator
    directory = directory_of(arguments.dest)
    wanted = arguments.serve or ["echo"]
    local_id = local_id_of(arguments, authenticator, host_id())
    ports = listen_options(arguments, arguments.listen or [DEFAULT_LISTEN], credentials.server_context())
    manager = OutprocTransportManager(
        local_id,
        directory=directory,
        authenticator=authenticator,
        authorize=authorize_of(arguments),
        builders=through_proxy(arguments, credentials.builders()),
        relay=RelayOptions() if arguments.relay else None,
    )
    # The socket outlives the manager: those who follow its events see its end.
    async with ControlSocket(local_id, questions_for(manager)), manager:
        for url, how in ports:
            await manager.listen(url, **{**tab_options(url, local_id, authenticator), **how})
        files = IncomingFiles(manager, arguments.dir, _say) if "recv" in wanted else None
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(manager.serve(Services(manager, "echo" in wanted, files).handle))
            tasks = [serving, group.create_task(reload_on_hangup(manager, credentials, _say))]
            staying = [group.create_task(stay_connected(manager, dest)) for dest in directory]
            if files is not None:
                tasks.append(group.create_task(files.watch_senders()))
            _say(f"node {local_id} is up at {', '.join(manager.endpoints)}")
            for page in page_urls(manager.endpoints, authenticator):
                _say(f"its page for browsers: {page}")
            await stop.wait()
            for task in staying:
                task.cancel()
            _say(f"node {local_id} leaves")
            code = await leave(manager, stop, arguments.drain_timeout, arguments.returning_in, _say)
            _say(f"node {local_id} says goodbye")
            for task in tasks:
                task.cancel()
        if files is not None:
            files.close()
    return code


async def stay_connected(manager: OutprocTransportManager, dest: str) -> None:
    """Dial `dest` and say so when it cannot be reached. From the first success on the manager redials by itself; a
    dest that says goodbye is dialled again after a while, because `--dest` asks for it."""
    delay = 0.5
    told = ""
    while True:
        try:
            await manager.get_or_create_transport(dest, reopen=True)
            delay, told = 0.5, ""
        except LitzError as error:
            if str(error) != told:
                _say(f"{text_of(error)} (trying again)")
                told = str(error)
            delay = min(delay * 2, 30.0)
        await asyncio.sleep(delay if delay > 0.5 else 2.0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
