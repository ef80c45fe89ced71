"""Where `litz up` serves the page `/tab`, and to whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from outproc.security.authenticator import Authenticator
from outproc.wires.websocket.address import parse
from outproc.wires.websocket.own_origin import SAME


def tab_options(url: str, local_id: str, authenticator: Authenticator | None) -> dict[str, Any]:
    """What `listen` is to be told so that the page is served at `url` and may open a wire there; nothing where there
    is none: beyond loopback, on Unix sockets, and where peers must prove who they are, because the page has no key."""
    if not _has_page(url, authenticator):
        return {}
    # Both need aiohttp, which nodes that do not listen go without.
    from aiohttp import web

    from outproc.node.web.pages import add_pages

    app = web.Application()
    add_pages(app, local_id, parse(url).path)
    return {"app": app, "origins": (SAME,)}


def page_urls(endpoints: Sequence[str], authenticator: Authenticator | None) -> list[str]:
    """Where the page is, for people, given where the node really listens."""
    return [
        f"http{url.removeprefix('ws').removesuffix(parse(url).path)}/tab"
        for url in endpoints
        if _has_page(url, authenticator)
    ]


def _has_page(url: str, authenticator: Authenticator | None) -> bool:
    return authenticator is None and url.startswith(("ws://", "wss://")) and parse(url).is_local
