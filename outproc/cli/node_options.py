"""The options that every command with a node has: its id, its keys, where it listens and where others are."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from outproc.cli.outcome import UsageError
from outproc.security.authenticator import Authenticator
from outproc.security.ed25519 import Ed25519Authenticator
from outproc.security.key_file_error import KeyFileError
from outproc.security.secret_file import read_secret_file
from outproc.security.shared_key import SharedKeyAuthenticator

DEFAULT_LISTEN = "ws://127.0.0.1:8400"
MAX_SECRET_FILE = 4096


def config_dir() -> Path:
    """Where key and trust files are by default: `$XDG_CONFIG_HOME/litz`, or `~/.config/litz`."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "litz"


def add_identity_options(parser: argparse.ArgumentParser, *, default_id: str) -> None:
    """`--id`, `--key`, `--trust`, `--shared-key-file`."""
    parser.add_argument("--id", metavar="ID", help=f"the id of this node (default: {default_id}; with --key the key's)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="prove this node by this private key (litz key new)")
    parser.add_argument(
        "--trust", type=Path, metavar="FILE", help="ids and keys of peers (litz key trust; default: with --key, yours)"
    )
    parser.add_argument(
        "--shared-key-file",
        type=Path,
        metavar="FILE",
        help="prove that this node belongs to the group that shares the secret in this file (mode 0600)",
    )


def add_listen_option(parser: argparse.ArgumentParser) -> None:
    """`--listen`, any number of times."""
    parser.add_argument(
        "--listen",
        action="append",
        metavar="URL",
        help="where to listen: ws://host:port, wss://host:port (with --cert) or unix:/file; may be repeated; port 0 "
        f"picks one (default: {DEFAULT_LISTEN})",
    )


def authenticator_of(arguments: argparse.Namespace) -> Authenticator | None:
    """What the key options ask for; None without any. Raises `UsageError`, `KeyFileError`."""
    if arguments.shared_key_file is not None:
        if arguments.key is not None or arguments.trust is not None:
            raise UsageError("give either --key and --trust, or --shared-key-file")
        return SharedKeyAuthenticator(read_secret(arguments.shared_key_file))
    if arguments.key is None:
        if arguments.trust is not None:
            raise UsageError("--trust needs --key FILE, the key of this node; make one with: litz key new")
        return None
    from outproc.security.keys import load_key, load_trust

    return Ed25519Authenticator(load_key(arguments.key), load_trust(arguments.trust or config_dir() / "trust"))


def local_id_of(arguments: argparse.Namespace, authenticator: Authenticator | None, default: str) -> str:
    """`--id`, else the id that the key proves by itself, else `default`."""
    if arguments.id is not None:
        return str(arguments.id)
    return authenticator.derived_id if isinstance(authenticator, Ed25519Authenticator) else default


def host_id() -> str:
    """The name of this host, as an id."""
    name = "".join(character for character in socket.gethostname() if character.isalnum() or character in "-._")
    return name[:200] or "node"


def directory_of(dests: Sequence[str] | None) -> dict[str, list[str]]:
    """`--dest ID=URL` options as a directory."""
    directory: dict[str, list[str]] = {}
    for entry in dests or ():
        dest, equals, url = entry.partition("=")
        if not equals or not dest or not url:
            raise UsageError(f"{entry!r} names no dest; write for example --dest bob=ws://127.0.0.1:8400")
        directory.setdefault(dest, []).append(url)
    return directory


def read_secret(path: Path) -> str:
    """The secret in `path`, without white space around it. Raises `KeyFileError`."""
    secret = read_secret_file(path, "shared key", MAX_SECRET_FILE, cure=f"(umask 077; openssl rand -hex 32 > {path})")
    try:
        SharedKeyAuthenticator(secret)
    except ValueError as error:
        raise KeyFileError(f"{path}: {error}") from None
    return secret
