"""What a browser gets from a node: `/litz.js`, `/litz.d.ts` and the page `/tab`, each only under the node's own names.

A page of another site can make a browser ask for these (by a name of its own that leads here: DNS rebinding), so a
request whose Host is not one of a loopback address is refused. Which pages may open wires is the business of
`outproc.wires.websocket.upgrade`.
"""

from __future__ import annotations

import gzip
import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from aiohttp import web

from outproc.node.web.bundle import HERE
from outproc.wires.websocket.address import DEFAULT_PATH
from outproc.wires.websocket.own_origin import is_own_host

FILES: Final = {
    "/litz.js": ("litz.js", "text/javascript"),
    "/litz_webrtc.js": ("litz_webrtc.js", "text/javascript"),
    "/litz.d.ts": ("litz.d.ts", "text/plain"),
    "/tab": ("tab.html", "text/html"),
    "/tab.js": ("tab.js", "text/javascript"),
    "/tab_file.js": ("tab_file.js", "text/javascript"),
    "/tab_sha256.js": ("tab_sha256.js", "text/javascript"),
    "/tab.svg": ("tab.svg", "image/svg+xml"),
    "/tab.css": ("tab.css", "text/css"),
}

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws://{host}; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: nothing inline, nothing from elsewhere, nobody may frame it."""

NOT_OURS: Final = "open this page by a loopback name, such as http://127.0.0.1 and the port\n"


@dataclass(frozen=True, slots=True)
class _Served:
    """One file as it goes out."""

    plain: bytes
    packed: bytes
    kind: str
    tag: str

    @classmethod
    def of(cls, plain: bytes, kind: str) -> _Served:
        return cls(plain, gzip.compress(plain, 9, mtime=0), kind, f'"{sha256(plain).hexdigest()[:32]}"')


def add_pages(app: web.Application, node_id: str, wires_at: str = DEFAULT_PATH) -> None:
    """Let `app` serve them. The page sends to `node_id` by default, and dials `wires_at`. Call it before the app
    starts."""
    for path, (name, kind) in FILES.items():
        text = (HERE / name).read_text("utf-8")
        if kind == "text/html":
            text = text.replace("{{node}}", html.escape(node_id)).replace("{{path}}", html.escape(wires_at))
        app.router.add_get(path, _handler(_Served.of(text.encode(), kind)))


def _handler(served: _Served) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if not is_own_host(request.host):
            return web.Response(status=403, text=NOT_OURS)
        headers = {
            "Content-Security-Policy": POLICY.format(host=request.host),
            "Content-Type": f"{served.kind}; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding",
            "ETag": served.tag,
        }
        if request.headers.get("If-None-Match") == served.tag:
            return web.Response(status=304, headers=headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=served.packed, headers={**headers, "Content-Encoding": "gzip"})
        return web.Response(body=served.plain, headers=headers)

    return handle
