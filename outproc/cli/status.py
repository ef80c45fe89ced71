"""`litz status`: what the running nodes of this user have: dests, wires, lanes, slots."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from enum import Enum
from typing import Any

from litz.manager import TransportManager
from outproc.cli.control_socket import ask, reachable_nodes
from outproc.cli.outcome import DONE, EXIT_CODES, CommandError
from outproc.cli.status_tables import show


def add(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "status",
        help="show the dests, wires, lanes and slots of running nodes",
        description="Asks the nodes that litz up and litz recv run here, over their control sockets.",
        epilog=f"example: litz status --node alice --json\n{EXIT_CODES}; 1 also when no node runs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help='print {"nodes": [...]} instead of tables')
    parser.add_argument("--node", metavar="ID", help="only this node")
    parser.set_defaults(run=_run)


def status_of(manager: TransportManager) -> dict[str, Any]:
    """The answer to the question `status`: the snapshot as JSON can hold it."""
    return asdict(manager.snapshot(), dict_factory=_plain)


def _plain(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in fields}


def _run(arguments: argparse.Namespace) -> int:
    nodes = []
    for path in reachable_nodes(arguments.node):
        try:
            nodes.append(ask(path, "status"))
        except OSError as error:
            print(f"litz: the node behind {path} does not answer: {error}", file=sys.stderr)
    if not nodes:
        raise CommandError("no node of yours answers")
    if arguments.json:
        print(json.dumps({"nodes": nodes}, indent=2))
    else:
        show(nodes)
    return DONE
