"""`litz recv`: takes files of `litz send`, and exits 0 only when they are verified."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from contextlib import suppress
from pathlib import Path

from litz.errors import LitzError
from litz.message import Message
from outproc.cli.commands import NewParser
from outproc.cli.control_socket import ControlSocket
from outproc.cli.credentials import Credentials, add_allow_option, add_proof_options, authorize_of
from outproc.cli.incoming_files import Finished, IncomingFiles
from outproc.cli.node_options import (
    DEFAULT_LISTEN,
    add_identity_options,
    add_listen_option,
    local_id_of,
)
from outproc.cli.outcome import DONE, EXIT_CODES, FAILED, UsageError
from outproc.cli.questions import questions_for
from outproc.cli.running import Stop, StoppedError, run
from outproc.cli.tls_options import add_ca_option, add_cert_options, listen_options
from outproc.cli.transfer_progress import show_progress
from outproc.manager import OutprocTransportManager

ASK_TIMEOUT = 10.0
"""Seconds for the sender to ask for the verdict, before the receiver leaves without having told it."""
DRAIN_TIMEOUT = 2.0


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Takes files and checks their sha256. Each is written under a temporary name and named at the "
        "end; a file that exists is never overwritten, the new one is numbered instead. Ends after one file (--count), "
        "with 0 only if every file was verified.",
        epilog=f"example: litz recv --listen ws://127.0.0.1:8400 --dir incoming\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_identity_options(parser, default_id="recv")
    add_listen_option(parser)
    add_cert_options(parser)
    add_ca_option(parser)
    add_proof_options(parser)
    add_allow_option(parser)
    parser.add_argument("--dir", type=Path, default=Path(), metavar="DIR", help="where files go (default: here)")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="end after N files (default: 1)")
    parser.add_argument("--forever", action="store_true", help="take files until Ctrl-C or SIGTERM, which then exit 0")
    parser.add_argument(
        "--idle-timeout",
        type=_seconds,
        metavar="SECONDS",
        help="give a file up when nothing came from its sender for so long, also because there is no wire (default: "
        "never, as long as their session lives; what litz send - reads may come from a person)",
    )
    parser.set_defaults(run=_run)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return seconds


def _run(arguments: argparse.Namespace) -> int:
    if arguments.count < 1:
        raise UsageError("--count is at least 1; for no end, use --forever")

    async def work(stop: Stop) -> int:
        return await receive_files(arguments, stop)

    return run(work)


async def receive_files(arguments: argparse.Namespace, stop: Stop) -> int:
    """Take as many files as asked for; 0 if all were verified."""
    credentials = Credentials(arguments)
    authenticator = credentials.authenticator
    local_id = local_id_of(arguments, authenticator, "recv")
    ports = listen_options(arguments, arguments.listen or [DEFAULT_LISTEN], credentials.server_context())
    results: asyncio.Queue[Finished] = asyncio.Queue()
    manager = OutprocTransportManager(
        local_id, authenticator=authenticator, authorize=authorize_of(arguments), builders=credentials.builders()
    )
    # The socket outlives the manager: those who follow its events see its end.
    async with ControlSocket(local_id, questions_for(manager)), manager:
        files = IncomingFiles(manager, arguments.dir, _say, results.put_nowait, idle_timeout=arguments.idle_timeout)
        files.listen()
        for url, how in ports:
            await manager.listen(url, **how)

        async def handle(message: Message) -> bytes | None:
            return await files.handle(message) if files.wants(message) else None

        _say(f"waiting for a file; on the other side: litz send FILE {local_id} --to {manager.endpoints[0]}")
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(work) for work in (manager.serve(handle), files.watch_senders())]
        tasks.append(loop.create_task(show_progress(files.standing)))
        try:
            bad = await stop.unless(_collect(results, None if arguments.forever else arguments.count))
            with suppress(LitzError, TimeoutError):
                await manager.drain(timeout=DRAIN_TIMEOUT)
        except StoppedError:
            if not arguments.forever or files.current is not None:
                raise
            bad = 0
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            files.close()
    return FAILED if bad else DONE


async def _collect(results: asyncio.Queue[Finished], count: int | None) -> int:
    """Wait for `count` files (None: without end) and for their senders to know; how many were bad."""
    bad = 0
    taken = 0
    while count is None or taken < count:
        finished = await results.get()
        taken += 1
        bad += not finished.verdict.ok
        if taken == count:
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_TIMEOUT if finished.verdict.ok else 1.0):
                    await finished.told.wait()
    return bad


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
