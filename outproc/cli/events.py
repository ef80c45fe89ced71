"""`litz events`: what happened at the running nodes of this user, and what happens."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from litz.dest import validate_dest
from litz.event_words import printable
from outproc.cli.commands import NewParser
from outproc.cli.control_socket import follow, reachable_nodes
from outproc.cli.dest_words import clock_text, times_text
from outproc.cli.outcome import DONE, EXIT_CODES, FAILED, text_of
from outproc.cli.running import Stop, StoppedError, run

_STYLES = (
    ("failed", "yellow"),
    ("down", "yellow"),
    ("ended", "red"),
    ("missed", "red"),
    ("cold", "yellow"),
    ("given up", "red"),
    ("up", "green"),
    ("started", "green"),
    ("connected", "green"),
)


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Asks the nodes that litz up, litz recv and litz chat run here: what happened lately, how each "
        "dest stands now, and with --follow what happens from now on, until the node ends (exit code 0), dies (1), or "
        "Ctrl-C (0).",
        epilog=f"example: litz events bob --follow --json\n{EXIT_CODES}; 1 also when no node runs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dest", metavar="DEST", nargs="?", default="", help="only of this dest")
    parser.add_argument("--follow", "-f", action="store_true", help="go on with what happens from now on")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--node", metavar="ID", help="only this node")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.dest:
        validate_dest(arguments.dest)
    paths = reachable_nodes(arguments.node)

    async def work(stop: Stop) -> int:
        loop = asyncio.get_running_loop()
        readers = [loop.create_task(_tell(path, arguments, named=len(paths) > 1)) for path in paths]
        with suppress(StoppedError):
            return await stop.unless(_worst(readers))
        return DONE

    return run(work)


async def _worst(readers: list[asyncio.Task[int]]) -> int:
    """The highest exit code, once all have ended."""
    try:
        return max(await asyncio.gather(*readers))
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)


async def _tell(path: Path, arguments: argparse.Namespace, *, named: bool) -> int:
    """Print what one node tells; the exit code as far as it is concerned."""
    console = Console(highlight=False, soft_wrap=True)
    node = ""
    given = {"dest": arguments.dest, "follow": "yes" if arguments.follow else ""}
    try:
        async for item in follow(path, "events", **given):
            node = item["node"]
            if arguments.json:
                print(json.dumps(item), flush=True)
            else:
                console.print(line_of(item, time.time(), named=named))
    except BrokenPipeError:
        raise  # whoever reads what this prints has left
    except ConnectionResetError:
        _say(f"litz: node {node or path} died, or was killed: it left without a goodbye")
        return FAILED
    except OSError as error:
        _say(f"litz: the node behind {path} does not answer: {text_of(error)}")
        return FAILED
    if arguments.follow:
        _say(f"litz: node {node or path} has ended")
    return DONE


def line_of(item: dict[str, Any], now: float, *, named: bool) -> str:
    """One line for people, as markup. Names and causes come from peers, so nothing in them is markup."""
    when = "now" if item["when"] == "now" else clock_text(item["at"], now)
    who = " ".join(filter(None, (item["node"] if named else "", item["dest"])))
    what, cause = item["what"], item["cause"]
    if item["when"] == "past" and item["times"] > 1:
        cause = "; ".join(filter(None, (cause, times_text(item["times"], item["since"], item["at"]))))
    if item["when"] == "now" and item["wires"]:
        cause = "; ".join(filter(None, (f"by {', '.join(item['wires'])}", cause)))
    style = next((style for word, style in _STYLES if word in what), "default")
    said = f": {escape(printable(cause))}" if cause else ""
    return f"[dim]{when:>8}[/dim]  {escape(printable(who)):<8}  [{style}]{escape(printable(what))}[/{style}]{said}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
