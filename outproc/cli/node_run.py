"""One node of the command line, from its options to its orderly end: `litz up`, `litz expose`, `litz forward`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from litz.errors import LitzError
from litz.message import Message
from outproc.cli import chat_talk
from outproc.cli.control_socket import ControlSocket
from outproc.cli.credentials import Credentials, add_allow_option, add_proof_options, authorize_of
from outproc.cli.forward_words import Exposed, Forwarded
from outproc.cli.hangup import reload_on_hangup
from outproc.cli.incoming_files import IncomingFiles
from outproc.cli.leaving import add_leaving_options, leave
from outproc.cli.local_nodes import LocalNodes
from outproc.cli.node_options import add_identity_options, directory_of, local_id_of
from outproc.cli.outcome import text_of
from outproc.cli.passages import Passages
from outproc.cli.proxy_option import add_proxy_option, through_proxy
from outproc.cli.questions import questions_for
from outproc.cli.running import Stop
from outproc.cli.tab_page import page_urls, tab_options
from outproc.cli.tls_options import add_ca_option, add_cert_options, listen_options
from outproc.manager import OutprocTransportManager
from outproc.relay_options import RelayOptions


def add_run_options(parser: argparse.ArgumentParser, *, default_id: str) -> None:
    """What every command with a node that runs until it is told to stop has, but for where it listens."""
    add_identity_options(parser, default_id=default_id)
    add_cert_options(parser)
    add_ca_option(parser)
    add_proof_options(parser)
    add_allow_option(parser)
    add_proxy_option(parser)
    add_leaving_options(parser)
    parser.add_argument("--dest", action="append", metavar="ID=URL", help="stay connected to this dest; repeatable")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a node is for.

    default_id  its id without `--id` and `--key`
    listen      where it listens without `--listen`
    serve       "echo", "recv"; other messages are taken and dropped
    known       where dests are, besides `--dest`; unlike those they are not kept connected
    """

    default_id: str
    listen: Sequence[str] = ()
    serve: Sequence[str] = ()
    expose: Sequence[Exposed] = ()
    forward: Sequence[Forwarded] = ()
    known: Mapping[str, Sequence[str]] = field(default_factory=dict)


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


async def serve_until_stopped(arguments: argparse.Namespace, plan: Plan, stop: Stop) -> int:
    """Run the node until it is told to stop; the exit code of `leave`. Raises what is wrong with the options."""
    credentials = Credentials(arguments)
    authenticator = credentials.authenticator
    staying = directory_of(arguments.dest)
    local_id = local_id_of(arguments, authenticator, plan.default_id)
    ports = listen_options(arguments, arguments.listen or plan.listen, credentials.server_context())
    manager = OutprocTransportManager(
        local_id,
        directory=LocalNodes({**plan.known, **staying}),
        authenticator=authenticator,
        authorize=authorize_of(arguments),
        builders=through_proxy(arguments, credentials.builders()),
        relay=RelayOptions() if getattr(arguments, "relay", False) else None,
    )
    passages = Passages(lambda: manager.stream_carrier, _say)
    # The socket outlives the manager: those who follow its events see its end.
    async with ControlSocket(local_id, questions_for(manager, passages)), manager, passages:
        for url, how in ports:
            await manager.listen(url, **{**tab_options(url, local_id, authenticator), **how})
        for exposed in plan.expose:
            await passages.expose(exposed)
        for forwarded in plan.forward:
            await passages.forward(forwarded)
        files = IncomingFiles(manager, arguments.dir, _say) if "recv" in plan.serve else None
        if files is not None:
            files.listen()
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(manager.serve(Services(manager, "echo" in plan.serve, files).handle))
            tasks = [serving, group.create_task(reload_on_hangup(manager, credentials, _say))]
            dialling = [group.create_task(stay_connected(manager, dest)) for dest in staying]
            if files is not None:
                tasks.append(group.create_task(files.watch_senders()))
            _say(f"node {local_id} is up{' at ' * bool(manager.endpoints)}{', '.join(manager.endpoints)}")
            for page in page_urls(manager.endpoints, authenticator):
                _say(f"its page for browsers: {page}")
            await stop.wait()
            for task in dialling:
                task.cancel()
            await passages.end(stop, arguments.drain_timeout)
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
