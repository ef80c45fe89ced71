"""`litz key new|show|trust|distrust`: the private key of a node, and the keys it trusts."""

from __future__ import annotations

import argparse
from pathlib import Path

from outproc.cli.commands import NewParser
from outproc.cli.node_options import config_dir
from outproc.cli.outcome import DONE, EXIT_CODES, UsageError
from outproc.security.key_text import derived_id, parse_public_key, public_key_text
from outproc.security.keys import add_trust, load_key, new_key, remove_trust

_EXAMPLE = """\
example, on the host of alice:
  litz key new
  litz key show
and on the host of bob, with the line that show printed:
  litz key trust alice ed25519-public:...
"""


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    text = argparse.RawDescriptionHelpFormatter
    parser = new_parser(epilog=f"{_EXAMPLE}{EXIT_CODES}", formatter_class=text)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)

    new = verbs.add_parser(
        "new", help="make a private key", epilog="example: litz key new ./alice.key", formatter_class=text
    )
    new.add_argument("file", nargs="?", type=Path, help="where to (default: key in the configuration directory)")
    new.set_defaults(run=_new)

    show = verbs.add_parser(
        "show", help="show the public key and its id", epilog="example: litz key show", formatter_class=text
    )
    show.add_argument("file", nargs="?", type=Path, help="the private key (default: as for new)")
    show.set_defaults(run=_show)

    trust = verbs.add_parser(
        "trust",
        help="trust a public key for an id",
        epilog="example: litz key trust alice ed25519-public:...",
        formatter_class=text,
    )
    trust.add_argument("id", help="the id that the key may prove")
    trust.add_argument("key", help="the public key in one line, as litz key show prints it")
    trust.add_argument(
        "--trust", type=Path, metavar="FILE", help="the trust file (default: trust in the configuration directory)"
    )
    trust.set_defaults(run=_trust)

    distrust = verbs.add_parser(
        "distrust",
        help="trust no key for an id any more",
        description="Takes every key of ID out of the trust file. Nodes that run read it when they start.",
        epilog="example: litz key distrust alice",
        formatter_class=text,
    )
    distrust.add_argument("id", help="the id that no key may prove any more")
    distrust.add_argument("--trust", type=Path, metavar="FILE", help="the trust file (default: as for trust)")
    distrust.set_defaults(run=_distrust)


def _new(arguments: argparse.Namespace) -> int:
    path = arguments.file or config_dir() / "key"
    public_key = new_key(path)
    print(f"made {path}, which only you can read; its public key:\n{public_key}")
    print(f"its own id:\n{derived_id(parse_public_key(public_key))}")
    return DONE


def _show(arguments: argparse.Namespace) -> int:
    public_key = load_key(arguments.file or config_dir() / "key").public_key().public_bytes_raw()
    print(public_key_text(public_key))
    print(derived_id(public_key))
    return DONE


def _trust(arguments: argparse.Namespace) -> int:
    path = arguments.trust or config_dir() / "trust"
    try:
        new = add_trust(path, arguments.id, arguments.key)
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(f"{arguments.id} is trusted with this key, as {path} says" if new else f"{path} says so already")
    return DONE


def _distrust(arguments: argparse.Namespace) -> int:
    path = arguments.trust or config_dir() / "trust"
    if not remove_trust(path, arguments.id):
        raise UsageError(f"{path} trusts no key for {arguments.id!r}")
    print(f"{arguments.id} is not trusted any more, as {path} says; nodes that run read it when they start")
    return DONE
