"""A command that has a running node of this user do something for it, as long as the command runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from litz.event_words import printable
from outproc.cli.control_socket import follow, reachable_nodes
from outproc.cli.outcome import DONE, FAILED, CommandError, UsageError
from outproc.cli.running import Stop, StoppedError

_ITS_OWN: Final = (
    *("listen", "dest", "key", "trust", "shared_key_file", "cert", "cert_key", "ca", "mtls", "token_file", "bearer"),
    *("allow", "proxy", "returning_in"),
)
"""Options that say how a node is made: one that runs has been made."""


def running_node(local_id: str) -> Path | None:
    """The control socket of the node, if it runs here."""
    try:
        return reachable_nodes(local_id)[0]
    except CommandError:
        return None


def check_joins(arguments: argparse.Namespace, local_id: str) -> None:
    """Raises `UsageError` if there are options that a running node cannot follow."""
    given = [f"--{name.replace('_', '-')}" for name in _ITS_OWN if getattr(arguments, name, None)]
    if given:
        raise UsageError(
            f"node {local_id} runs here already, and does it: leave out {', '.join(given)}, or give another --id"
        )


async def join(path: Path, local_id: str, question: str, stop: Stop, **given: str) -> int:
    """Ask the node, and print what it says until a signal comes: then 0. 1 if the node ended first."""

    async def listen() -> None:
        async for line in follow(path, question, **given):
            say(printable(str(line)))

    say(f"node {local_id} does it, as long as this command runs")
    try:
        await stop.unless(listen())
    except StoppedError:
        return DONE
    say(f"node {local_id} has ended")
    return FAILED


def say(text: str) -> None:
    """A line for people."""
    print(text, file=sys.stderr, flush=True)
