"""`litz outbox list|retry|purge`: what waits in an outbox file, and its dead letters."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from outproc.cli.commands import NewParser
from outproc.cli.outcome import DONE, EXIT_CODES, FAILED, UsageError
from outproc.cli.status_tables import size_text
from outproc.outbox.sqlite_upkeep import DeadLetter, OutboxUpkeep

_EXAMPLE = """\
example:
  litz outbox list alice.outbox
  litz outbox retry alice.outbox 17 18
  litz outbox purge alice.outbox --all --dest bob
"""


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    text = argparse.RawDescriptionHelpFormatter
    parser = new_parser(
        description="FILE is the path that Outbox(...) was given. It may be in use: its process takes notice.",
        epilog=f"{_EXAMPLE}{EXIT_CODES}",
        formatter_class=text,
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    listing = verbs.add_parser(
        "list",
        help="what waits for whom, and the dead letters",
        epilog="example: litz outbox list alice.outbox --json",
        formatter_class=text,
    )
    listing.add_argument("file", type=Path, help="the outbox")
    listing.add_argument("--dest", help="only of this dest")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    listing.set_defaults(run=_list)
    for name, run, what in (
        ("retry", _retry, "send dead letters again, marked as redelivered"),
        ("purge", _purge, "delete dead letters for good"),
    ):
        verb = verbs.add_parser(
            name, help=what, epilog=f"example: litz outbox {name} alice.outbox 17", formatter_class=text
        )
        verb.add_argument("file", type=Path, help="the outbox")
        verb.add_argument("sequence", nargs="*", type=int, help="which, as litz outbox list shows them")
        verb.add_argument("--all", action="store_true", help="all of them")
        verb.add_argument("--dest", help="with --all: only those of this dest")
        verb.set_defaults(run=run)


def _list(arguments: argparse.Namespace) -> int:
    with OutboxUpkeep(arguments.file) as outbox:
        waiting = [each for each in outbox.waiting() if arguments.dest in (None, each.dest)]
        dead = outbox.dead(arguments.dest)
    if arguments.json:
        print(json.dumps({"waiting": [each._asdict() for each in waiting], "dead": [each._asdict() for each in dead]}))
        return DONE
    now = time.time()
    print(f"{sum(each.messages for each in waiting)} messages wait, {len(dead)} dead letters")
    for each in waiting:
        print(f"  {each.dest}: {each.messages} messages, {size_text(each.size)}, oldest {_ago(now - each.oldest)}")
    for letter in dead:
        print(_line(letter, now))
    return DONE


def _line(letter: DeadLetter, now: float) -> str:
    key = f", key {letter.key!r}" if letter.key else ""
    again = ", to be sent again" if letter.retry else ""
    return (
        f"  dead {letter.sequence} to {letter.dest}: {letter.reason}, {_ago(now - letter.died)}, "
        f"{size_text(letter.size)}{key}{again}"
    )


def _ago(seconds: float) -> str:
    """A time in words; clocks may have been set."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"


def _chosen(outbox: OutboxUpkeep, arguments: argparse.Namespace) -> list[int]:
    if arguments.all == bool(arguments.sequence) or (arguments.dest and not arguments.all):
        raise UsageError("name dead letters by their numbers, or all with --all (of one dest: --all --dest DEST)")
    if arguments.all:
        return [letter.sequence for letter in outbox.dead(arguments.dest)]
    chosen: list[int] = list(dict.fromkeys(arguments.sequence))
    return chosen


def _retry(arguments: argparse.Namespace) -> int:
    told = f"are sent again, as new messages, by the process that owns {arguments.file}"
    return _treat(arguments, OutboxUpkeep.retry, told)


def _purge(arguments: argparse.Namespace) -> int:
    return _treat(arguments, OutboxUpkeep.purge, "deleted")


def _treat(arguments: argparse.Namespace, treatment: Callable[[OutboxUpkeep, Sequence[int]], int], told: str) -> int:
    """Treat the chosen dead letters; 0 if all of them were there."""
    with OutboxUpkeep(arguments.file) as outbox:
        chosen = _chosen(outbox, arguments)
        done = treatment(outbox, chosen)
    print(f"{done} dead letters {told}")
    if done == len(chosen):
        return DONE
    print(f"{len(chosen) - done} of the numbers are no dead letters of this file; see litz outbox list")
    return FAILED
