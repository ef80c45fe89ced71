"""`litz chat DEST`: lines to a dest and from it, with news of the connection in between. The smallest thing to try."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from litz.dest import validate_dest
from outproc.cli.chat_talk import Talk
from outproc.cli.commands import NewParser
from outproc.cli.control_socket import ControlSocket
from outproc.cli.credentials import Credentials, add_proof_options
from outproc.cli.local_nodes import LocalNodes
from outproc.cli.node_options import add_identity_options, host_id, local_id_of
from outproc.cli.outcome import DONE, EXIT_CODES, FAILED, INTERRUPTED, UsageError
from outproc.cli.proxy_option import add_proxy_option, through_proxy
from outproc.cli.questions import questions_for
from outproc.cli.running import Stop, StoppedError, run
from outproc.cli.runtime_dir import runtime_dir, socket_path
from outproc.cli.tls_options import add_ca_option, add_cert_options, listen_options
from outproc.cli.typed_lines import TypedLines
from outproc.manager import OutprocTransportManager
from outproc.outbox import Inbox, Outbox

PATIENCE: Final = 30.0
"""Default seconds, after the end of the input, for the peer to get what waits."""


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Sends what you type to DEST, line by line, exactly once and in order, and prints what DEST sends. "
        "Nodes on this machine find each other by their ids; for others give --to. Lines typed while there is no "
        "connection wait. The end of the input (Ctrl-D) ends it once DEST has everything; what it could not get is "
        "listed. News of the connection go to standard error.",
        epilog="examples, in two terminals:  litz chat bob --id alice      litz chat alice --id bob\n"
        "with a node that echoes:     litz up --id bob              litz chat bob\n"
        f"in a pipe:                   date | litz chat bob\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dest", metavar="DEST", help="the id of the peer")
    parser.add_argument("--to", action="append", metavar="URL", help="where it listens, if not here; repeatable")
    parser.add_argument("--listen", action="append", metavar="URL", help="also listen there, for a peer elsewhere")
    parser.add_argument(
        "--timeout",
        type=float,
        default=PATIENCE,
        metavar="SECONDS",
        help=f"how long DEST may take to get what waits, after the end of the input (default: {PATIENCE:g})",
    )
    parser.add_argument(
        "--durable",
        type=Path,
        metavar="PREFIX",
        help="lines outlive this process: they are kept in PREFIX.outbox until DEST, which chats with --durable too, "
        "has them for good; what waits is sent when you chat again",
    )
    add_identity_options(parser, default_id="your login name")
    add_ca_option(parser)
    add_cert_options(parser)
    add_proof_options(parser)
    add_proxy_option(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if not arguments.timeout >= 0:
        raise UsageError("--timeout is in seconds, from 0 on")

    async def work(stop: Stop) -> int:
        return await chat(arguments, stop)

    return run(work)


def _login() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):
        return host_id()
    return "".join(each for each in name if each.isalnum() or each in "-._")[:200] or host_id()


async def chat(arguments: argparse.Namespace, stop: Stop) -> int:
    """Chat until the input ends; 0 if the peer has every line."""
    dest = validate_dest(arguments.dest)
    credentials = Credentials(arguments)
    local_id = local_id_of(arguments, credentials.authenticator, _login())
    if local_id == dest:
        raise UsageError(f"you are {dest!r} yourself; give --id with another name")
    ports = listen_options(arguments, arguments.listen or [], credentials.server_context())
    prefix = arguments.durable
    manager = OutprocTransportManager(
        local_id,
        directory=LocalNodes({dest: arguments.to or []}),
        authenticator=credentials.authenticator,
        builders=through_proxy(arguments, credentials.builders()),
        outbox=Outbox(f"{prefix}.outbox") if prefix else None,
        inbox=Inbox(f"{prefix}.inbox") if prefix else None,
    )
    wires = socket_path(runtime_dir(), local_id).with_suffix(".wires")
    async with ControlSocket(local_id, questions_for(manager)), manager:
        for url, how in ((f"unix:{wires}", {}), *ports):
            await manager.listen(url, **how)
        talk = Talk(
            manager, dest, durable=prefix is not None, color=sys.stderr.isatty() and "NO_COLOR" not in os.environ
        )
        if sys.stdin.isatty():
            talk.news(f"you are {local_id}; type lines to {dest}, Ctrl-D ends")
        await _until_the_end(talk, stop, arguments.timeout)
        unsent = await talk.close()
    for line in unsent:
        print(f"litz: not confirmed by {dest}: {line}", file=sys.stderr)
    if not unsent:
        return DONE
    return INTERRUPTED if stop.is_set else FAILED


async def _until_the_end(talk: Talk, stop: Stop, timeout: float) -> None:
    loop = asyncio.get_running_loop()
    async with TypedLines() as lines:
        tasks = [loop.create_task(work) for work in (talk.keep_connected(), talk.follow(), talk.serve(), talk.send())]

        async def read() -> None:
            async for line in lines:
                await talk.say(line)
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await talk.all_sent()

        try:
            with suppress(StoppedError):
                await stop.unless(read())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
