"""The commands of `litz`, and a line of help for each. What they need is imported by the one that runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

COMMANDS: Final = {
    "demo": "three nodes, their wires killed one by one, nothing lost (ends by itself)",
    "up": "run a node until Ctrl-C or SIGTERM",
    "chat": "type lines to a dest, and see its lines",
    "send": "send a file to a node that runs litz recv",
    "recv": "take a file that litz send sends here",
    "expose": "let peers connect to a TCP port or Unix socket of here (they use litz forward)",
    "forward": "listen here for a service that a dest exposes (litz expose)",
    "status": "show how running nodes stand with their dests; one dest in detail",
    "events": "show what happened to dests lately, and follow what happens",
    "ping": "ping a dest over each of its wires, and show which wire carries what, and why",
    "key": "make, show and trust keys",
    "outbox": "what waits in an outbox file; retry and purge its dead letters",
}
"""Modules of this package. Each has `add(new_parser)`, which makes its parser and sets `run`, a function from arguments
to an exit code. Only the one that is asked for is imported: all of them take a second."""

NewParser = Callable[..., argparse.ArgumentParser]
"""Makes the parser of one command: `add_parser` of `argparse`, which knows the name and the line of help already."""
