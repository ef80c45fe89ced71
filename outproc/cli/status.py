"""`litz status`: how the running nodes of this user stand with their dests."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Any

from litz.dest import validate_dest
from outproc.cli.commands import NewParser
from outproc.cli.control_socket import ask, reachable_nodes
from outproc.cli.outcome import DONE, EXIT_CODES, CommandError

if TYPE_CHECKING:
    from litz.manager import TransportManager
    from outproc.cli.passages import Passages


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Asks the nodes that litz up, litz recv and litz chat run here, over their control sockets. "
        "Without DEST a line for each dest: its state, by which wires, and if there is none why, and what next. With "
        "DEST its wires, endpoints, lanes and history.",
        epilog=f"examples: litz status; litz status bob; litz status --node alice --json\n{EXIT_CODES}; 1 also when no "
        "node runs, or none knows DEST",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dest", metavar="DEST", nargs="?", help="this dest in detail")
    parser.add_argument("--json", action="store_true", help='print {"nodes": [...]} with all there is')
    parser.add_argument("--node", metavar="ID", help="only this node")
    parser.set_defaults(run=_run)


def status_of(manager: TransportManager, passages: Passages | None = None) -> dict[str, Any]:
    """The answer to the question `status`: the snapshot as JSON can hold it, and what the node exposes and forwards."""
    tables = passages.tables() if passages is not None else {}
    return {**asdict(manager.snapshot(), dict_factory=_plain), **tables}


def _plain(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in fields}


def _run(arguments: argparse.Namespace) -> int:
    if arguments.dest is not None:
        validate_dest(arguments.dest)
    nodes = []
    for path in reachable_nodes(arguments.node):
        try:
            nodes.append(ask(path, "status"))
        except OSError as error:
            print(f"litz: the node behind {path} does not answer: {error}", file=sys.stderr)
    if not nodes:
        raise CommandError("no node of yours answers")
    from outproc.cli.status_views import show_detail, show_overview

    if arguments.dest is None:
        print(json.dumps({"nodes": nodes}, indent=2)) if arguments.json else show_overview(nodes)
        return DONE
    if arguments.json:
        nodes = [about for node in nodes if (about := _about(node, arguments.dest)) is not None]
        known = bool(nodes)
        print(json.dumps({"nodes": nodes}, indent=2))
    else:
        known = show_detail(nodes, arguments.dest)
    if not known:
        raise CommandError(
            f"no node of yours that runs here knows {arguments.dest!r}; litz status shows whom they know"
        )
    return DONE


def _about(node: dict[str, Any], dest: str) -> dict[str, Any] | None:
    """What a node tells of `dest`, with the same keys; None: nothing."""
    about = {
        key: [each for each in node.get(key, ()) if each["dest"] == dest]
        for key in ("dests", "departed", "history", "forwards")
    }
    return {**node, **about, "exposed": []} if any(about.values()) else None
