"""`litz expose NAME=TARGET`: peers that may can connect to a TCP port or Unix socket of here."""

from __future__ import annotations

import argparse

from outproc.cli.commands import NewParser
from outproc.cli.forward_words import Exposed, read_exposed
from outproc.cli.joining_node import check_joins, join, running_node
from outproc.cli.node_options import DEFAULT_LISTEN, add_listen_option, host_id
from outproc.cli.node_run import Plan, add_run_options, serve_until_stopped
from outproc.cli.outcome import EXIT_CODES, UsageError
from outproc.cli.running import Stop, run


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Makes each TARGET a service of a node: peers of the node connect to it with litz forward, and "
        "their connections outlive any wire. Nothing but the targets named here can be reached, by peers that may "
        "have a session with the node (--allow). If a node of that id runs here (litz up), it does it as long as this "
        "command runs; otherwise this command is the node, with the options of litz up.",
        epilog="examples: litz expose bob:ssh=127.0.0.1:22\n"
        "          litz expose db=unix:/run/postgresql/.s.PGSQL.5432 --id bob --key bob.key --listen ws://0.0.0.0:8400\n"
        f"{EXIT_CODES}; Ctrl-C and SIGTERM are the end, with 0",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "services",
        nargs="+",
        metavar="[ID:]NAME=TARGET",
        help="the service NAME of the node ID (default: --id) leads to TARGET: HOST:PORT, or unix:/path",
    )
    add_run_options(parser, default_id="the ID before NAME, or the name of this host")
    add_listen_option(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    services = [read_exposed(text) for text in arguments.services]
    named = _node_of(services, arguments.id)
    local_id = named or host_id()
    # With a key and no id it is the key's, which is not read yet: such a node is named to be joined.
    path = running_node(local_id) if named or arguments.key is None else None
    if path is not None:
        check_joins(arguments, local_id)
        wanted = "\n".join(f"{each.service}={each.target}" for each in services)
    arguments.id = named

    async def work(stop: Stop) -> int:
        if path is not None:
            return await join(path, local_id, "expose", stop, wanted=wanted)
        return await serve_until_stopped(arguments, Plan(local_id, listen=[DEFAULT_LISTEN], expose=services), stop)

    return run(work)


def _node_of(services: list[Exposed], given: str | None) -> str | None:
    nodes = sorted(
        {each.node for each in services if each.node is not None} | ({given} if given is not None else set())
    )
    if len(nodes) > 1:
        raise UsageError(f"one command is for one node, and these are {', '.join(nodes)}")
    return nodes[0] if nodes else None
