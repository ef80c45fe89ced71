"""`litz up`: runs a node until it is told to stop."""

from __future__ import annotations

import argparse
from pathlib import Path

from outproc.cli.commands import NewParser
from outproc.cli.forward_words import read_exposed, read_forwarded
from outproc.cli.node_options import DEFAULT_LISTEN, add_listen_option, host_id
from outproc.cli.node_run import Plan, add_run_options, serve_until_stopped
from outproc.cli.outcome import EXIT_CODES
from outproc.cli.running import Stop, run


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Runs a node: others can reach it, litz status shows it. Ctrl-C and SIGTERM end it in order: peers "
        "are told that it leaves, what was accepted is brought to its end, what could not be is listed (and the exit "
        "code is 1), and goodbye is said. A second signal cuts that short (130).",
        epilog=f"example: litz up --id bob --listen ws://127.0.0.1:8400\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run_options(parser, default_id="the name of this host")
    add_listen_option(parser)
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
    parser.add_argument(
        "--expose",
        action="append",
        metavar="NAME=TARGET",
        help="let peers connect to HOST:PORT or unix:/path of here as the service NAME (litz expose); repeatable",
    )
    parser.add_argument(
        "--forward",
        action="append",
        metavar="PLACE=DEST:NAME",
        help="listen at PORT, BIND:PORT or unix:/path of here for the service NAME of DEST (litz forward); repeatable",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    plan = Plan(
        host_id(),
        listen=[DEFAULT_LISTEN],
        serve=arguments.serve or ["echo"],
        expose=[read_exposed(text) for text in arguments.expose or ()],
        forward=[read_forwarded(text) for text in arguments.forward or ()],
    )

    async def work(stop: Stop) -> int:
        return await serve_until_stopped(arguments, plan, stop)

    return run(work)
