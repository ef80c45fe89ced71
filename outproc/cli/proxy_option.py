"""The option `--proxy`: what WebSockets are dialled through."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from litz.errors import InvalidEndpointError, ProxyError
from litz.wire import WireBuilder
from outproc.cli.outcome import UsageError
from outproc.installed_wires import installed_wires
from outproc.wires.websocket.builder import WebSocketWireBuilder

NONE = "none"


def add_proxy_option(parser: argparse.ArgumentParser) -> None:
    """`--proxy`."""
    parser.add_argument(
        "--proxy",
        metavar="URL",
        help="dial ws:// and wss:// through this proxy: http://host:3128, https://..., or "
        "socks5h://user:password@host:1080 (SOCKS needs litz[socks]); none: go without. Default: what https_proxy, "
        "no_proxy and their like say, except to loopback; a password is safer there, where other users cannot see it",
    )


def through_proxy(arguments: argparse.Namespace, builders: Iterable[WireBuilder] | None) -> list[WireBuilder] | None:
    """The builders, whose WebSockets go through what `--proxy` says. None: all that are installed. Raises
    `UsageError`, which repeats no password."""
    chosen = list(builders) if builders is not None else None
    if arguments.proxy is None:
        return chosen
    chosen = chosen if chosen is not None else list(installed_wires().builders)
    try:
        for builder in chosen:
            if isinstance(builder, WebSocketWireBuilder):
                builder.use_proxy(None if arguments.proxy == NONE else arguments.proxy)
    except (InvalidEndpointError, ProxyError) as error:
        raise UsageError(f"--proxy: {error}") from None
    return chosen
