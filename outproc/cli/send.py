"""`litz send FILE DEST`: sends a file of any size and exits 0 only when the receiver has verified it."""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

from litz.dest import validate_dest
from outproc.cli.commands import NewParser
from outproc.cli.credentials import Credentials, add_proof_options
from outproc.cli.file_records import Verdict
from outproc.cli.file_sources import source_of
from outproc.cli.node_options import add_identity_options, host_id, local_id_of
from outproc.cli.outcome import DONE, EXIT_CODES
from outproc.cli.outgoing_file import OutgoingFile
from outproc.cli.proxy_option import add_proxy_option, through_proxy
from outproc.cli.running import Stop, run
from outproc.cli.status_tables import size_text
from outproc.cli.tls_options import add_ca_option, add_cert_options
from outproc.cli.transfer_progress import Standing, show_progress
from outproc.manager import OutprocTransportManager


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Sends a file of any size in bounded memory. Wires may be cut as often as you like; only a "
        "receiver that restarts, or is out of reach for two minutes, ends it. Exits 0 only when the receiver has "
        "verified the sha256. Progress counts what the receiver has acknowledged.",
        epilog="examples: litz send movie.mkv recv --to ws://127.0.0.1:8400\n"
        f"          tar c src | litz send - recv --to ws://127.0.0.1:8400 --name src.tar\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the file; - is standard input")
    parser.add_argument("dest", metavar="DEST", help="the id of the receiver (litz recv says its own)")
    parser.add_argument("--to", action="append", required=True, metavar="URL", help="where it listens; repeatable")
    parser.add_argument("--name", help="what the file is called there (default: its own name, or stdin)")
    add_identity_options(parser, default_id="one of its own for each run")
    add_ca_option(parser)
    add_cert_options(parser)
    add_proof_options(parser)
    add_proxy_option(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    async def work(stop: Stop) -> int:
        return await send_file(arguments, stop)

    return run(work)


async def send_file(arguments: argparse.Namespace, stop: Stop) -> int:
    """Send it; 0 once it is verified."""
    dest = validate_dest(arguments.dest)
    credentials = Credentials(arguments)
    authenticator = credentials.authenticator
    # Two runs at once must not be the same node: the newer would take over from the older.
    local_id = local_id_of(arguments, authenticator, f"send-{host_id()}-{os.getpid()}-{os.urandom(3).hex()}")
    source = source_of(arguments.file, arguments.name)
    began = time.monotonic()
    with closing(source):
        async with OutprocTransportManager(
            local_id,
            directory={dest: arguments.to},
            authenticator=authenticator,
            builders=through_proxy(arguments, credentials.builders()),
        ) as manager:
            outgoing = OutgoingFile(manager, dest, source)

            def look() -> Standing:
                return Standing(source.name, outgoing.acknowledged(), source.size, outgoing.state)

            async with _beside(show_progress(look)):
                verdict: Verdict = await stop.unless(outgoing.send())
    seconds = time.monotonic() - began
    print(
        f"{source.name}: {size_text(outgoing.sent)} in {seconds:.1f} s; {dest} has verified it as {verdict.name!r}, "
        f"sha256 {verdict.sha256}"
    )
    return DONE


@asynccontextmanager
async def _beside(work: Any) -> AsyncIterator[None]:
    """Run a coroutine that does not end by itself beside the body; cancelled and awaited after it."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
