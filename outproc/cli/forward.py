"""`litz forward PLACE=DEST:NAME`: a local port or Unix socket that leads to an exposed service of a dest."""

from __future__ import annotations

import argparse
import os

from outproc.cli.commands import NewParser
from outproc.cli.forward_words import read_forwarded
from outproc.cli.joining_node import check_joins, join, running_node
from outproc.cli.node_options import host_id
from outproc.cli.node_run import Plan, add_run_options, serve_until_stopped
from outproc.cli.outcome import EXIT_CODES, UsageError
from outproc.cli.running import Stop, run


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Each connection that is accepted at PLACE goes to the service NAME of DEST, and lives on while "
        "wires are cut and come back. PLACE is a PORT of 127.0.0.1 (0: any that is free), BIND:PORT to be reached from "
        "elsewhere too, or unix:/path, a socket for this user alone. With the --id of a node that runs here (litz up) "
        "that node does it, as long as this command runs; otherwise this command is a node of its own.",
        epilog="examples: litz forward 2222=bob:ssh; then: ssh -p 2222 127.0.0.1\n"
        "          litz forward 5432=bob:db unix:/tmp/.s.PGSQL.5432=bob:db --to ws://bob.example:8400 --key me.key\n"
        f"{EXIT_CODES}; Ctrl-C and SIGTERM are the end, with 0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "forwards",
        nargs="+",
        metavar="PLACE=DEST:NAME",
        help="PORT, BIND:PORT or unix:/path of here leads to the service NAME of the dest DEST",
    )
    parser.add_argument(
        "--to", action="append", metavar="URL", help="where DEST listens, if it does not run here; repeatable"
    )
    add_run_options(parser, default_id="one of its own for each run")
    parser.add_argument("--listen", action="append", metavar="URL", help="also listen there, for a DEST that dials")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    forwards = [read_forwarded(text) for text in arguments.forwards]
    dests = list(dict.fromkeys(each.dest for each in forwards))
    if arguments.to and len(dests) > 1:
        raise UsageError(f"--to is for one dest, and these are {', '.join(dests)}; give --dest ID=URL for each")
    path = running_node(arguments.id) if arguments.id is not None else None
    if path is not None:
        check_joins(arguments, arguments.id)

    async def work(stop: Stop) -> int:
        to = arguments.to or []
        if path is not None:
            wanted = "\n".join(arguments.forwards)
            return await join(path, arguments.id, "forward", stop, wanted=wanted, to="\n".join(to))
        # Two runs at once must not be the same node: the newer would take over from the older.
        own_id = f"forward-{host_id()}-{os.getpid()}-{os.urandom(3).hex()}"
        plan = Plan(own_id, forward=forwards, known={dests[0]: to} if to else {})
        return await serve_until_stopped(arguments, plan, stop)

    return run(work)
