"""`litz ping`: the round trip of each wire to a dest, and which lane rides on which wire and why."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from litz.errors import ConnectError
from outproc.cli.commands import NewParser
from outproc.cli.control_socket import ask, reachable_nodes
from outproc.cli.outcome import DONE, EXIT_CODES, FAILED, CommandError, UsageError
from outproc.cli.status_tables import LINE_WIDTH, lane_text, print_table, time_text

if TYPE_CHECKING:
    from rich.console import Console

    from outproc.manager import OutprocTransportManager

TIMEOUT = 1.5
"""Seconds for an answer: less than a client of the control socket waits."""

PAUSE = 1.0
"""Seconds between two pings of a wire."""


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Has the nodes that litz up and litz recv run here ping a dest they have a session with, over each "
        "wire on its own. Nothing is dialled for it.",
        epilog=f"example: litz ping bob --count 3\n{EXIT_CODES}; 1 also when no wire answers",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dest", metavar="DEST", help="the id of the dest")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="pings per wire, one a second (default: 1)")
    parser.add_argument("--json", action="store_true", help='print {"pings": [...]} instead of tables')
    parser.add_argument("--node", metavar="ID", help="only this node")
    parser.set_defaults(run=_run)


async def ping_of(manager: OutprocTransportManager, dest: str) -> dict[str, Any]:
    """The answer to the question `ping`: one ping on each wire to `dest`, and what rides on it.

    Raises `ConnectError` if there is no session with `dest`, `InvalidDestError`.
    """
    pings = {each.wire: each.round_trip for each in await manager.ping(dest, timeout=TIMEOUT)}
    found = next((each for each in manager.snapshot().dests if each.dest == dest), None)
    if found is None:
        raise ConnectError(f"the session with {dest} ended while it was pinged", dest=dest)
    wires = [
        {
            "wire": each.wire,
            "kind": each.kind,
            "route": each.route,
            "local": each.local,
            "remote": each.remote,
            "state": each.state,
            "dialled": each.dialled,
            "round_trip": each.round_trip,
            "throughput": each.throughput,
            "answered_in": pings.get(each.wire),
        }
        for each in found.wires
    ]
    kinds = {each.wire: each.kind for each in found.wires}
    lanes = [
        {"lane": each.lane, "wire": each.wire, "kind": kinds.get(each.wire, ""), "reason": each.reason}
        for each in sorted(found.lanes, key=lambda lane: lane.lane)
    ]
    return {"node": manager.local_id, "dest": dest, "wires": wires, "lanes": lanes}


def _run(arguments: argparse.Namespace) -> int:
    if arguments.count < 1:
        raise UsageError("--count is at least 1")
    paths = reachable_nodes(arguments.node)
    answers: list[dict[str, Any]] = []
    refused = ""
    for path in paths:
        try:
            answer = ask(path, "ping", dest=arguments.dest)
            trips: dict[str, list[float | None]] = {each["wire"]: [each["answered_in"]] for each in answer["wires"]}
            for _ in range(arguments.count - 1):
                time.sleep(PAUSE)
                answer = ask(path, "ping", dest=arguments.dest)
                for each in answer["wires"]:
                    trips.setdefault(each["wire"], []).append(each["answered_in"])
        except CommandError as error:
            refused = str(error)  # another node may have a session with it
            continue
        for each in answer["wires"]:
            each["round_trips"] = trips[each["wire"]]
            del each["answered_in"]
        answers.append(answer)
    if not answers:
        raise CommandError(refused)
    if arguments.json:
        print(json.dumps({"pings": answers}, indent=2))
    else:
        show(answers)
    answered = any(trip is not None for answer in answers for each in answer["wires"] for trip in each["round_trips"])
    return DONE if answered else FAILED


def show(answers: list[dict[str, Any]], console: Console | None = None) -> None:
    """Print what each node found. Names come from peers, so nothing in them is markup."""
    from rich.console import Console

    console = console or Console()
    if not console.is_terminal:
        console.width = LINE_WIDTH  # in a file or a pipe nothing has to fit a screen
    for answer in answers:
        title = f"{answer['node']} to {answer['dest']}"
        rows = []
        for each in answer["wires"]:
            trips = [trip for trip in each["round_trips"] if trip is not None]
            rows.append(
                (
                    each["kind"],
                    each["route"],
                    f"{each['local']} - {each['remote']}",
                    each["state"],
                    f"{len(trips)}/{len(each['round_trips'])}",
                    time_text(min(trips, default=None)),
                    time_text(sum(trips) / len(trips) if trips else None),
                    time_text(max(trips, default=None)),
                )
            )
        columns = ("kind", "route", "from - to", "state", "answered", "least", "mean", "most")
        print_table(console, f"{title}: {len(rows)} wires", columns, rows)
        lanes = [
            (lane_text(each["lane"]), each["kind"] or "-", each["wire"], each["reason"]) for each in answer["lanes"]
        ]
        print_table(console, f"{title}: lanes", ("lane", "kind", "wire", "why"), lanes)
