"""`litz`: reads the command line and runs one of its commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from litz import __version__
from litz.errors import LitzError
from outproc.cli.commands import COMMANDS
from outproc.cli.outcome import EXIT_CODES, INTERRUPTED, CommandError, UsageError, code_of, text_of

_DEMO_NODE = "demo-node"
"""Started by `litz demo` for itself; nothing for the help text."""


def build_parser(asked: str | None = None) -> argparse.ArgumentParser:
    """The command line: all commands, and the options of the one that is `asked` for."""
    parser = argparse.ArgumentParser(
        prog="litz",
        description="Send by destination id over wires that break, and lose nothing.",
        epilog=f"example: litz demo\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"litz {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        new_parser = partial(commands.add_parser, name, help=text)
        if name == asked:
            import_module(f"outproc.cli.{name}").add(new_parser)
        else:
            new_parser()
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Wrong usage exits with 2, as argparse does."""
    _fill_descriptors()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == [_DEMO_NODE]:
        demo: Callable[[Sequence[str]], int] = import_module("outproc.cli.demo_node").main
        return demo(given[1:])
    parsed = build_parser(next((word for word in given if word in COMMANDS), None)).parse_args(given)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (LitzError, UsageError, CommandError, OSError, ValueError) as error:
        from litz.event_words import printable

        # A peer may have a say in it: one line, and nothing that does something to a terminal.
        print(f"litz: {printable(' '.join(text_of(error).splitlines()))}", file=sys.stderr)
        return code_of(error)


def _fill_descriptors() -> None:
    """Who starts us may have closed standard input, output or error. The next files opened would get their numbers, and
    libuv aborts the process when it has to close one of those."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
