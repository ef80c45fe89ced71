"""Listening for WebSocket wires at one address."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from aiohttp import web

from litz.errors import InvalidEndpointError
from litz.wire import AcceptWire, Endpoint, WireListener
from outproc.wires.websocket.address import Address
from outproc.wires.websocket.driver import MAX_FRAME
from outproc.wires.websocket.health import add_health_route
from outproc.wires.websocket.port import HttpPort, PortLimits
from outproc.wires.websocket.tuning import DEAD_AFTER
from outproc.wires.websocket.upgrade import Admit, add_litz_route


class WebSocketListener(WireListener):
    """One listening address; made by `listen`."""

    def __init__(self, port: HttpPort) -> None:
        self._port = port
        self._closing: asyncio.Task[None] | None = None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return self._port.endpoints

    async def aclose(self) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._port.aclose())
        await asyncio.shield(self._closing)

    def __repr__(self) -> str:
        return f"<websocket listener at {', '.join(map(str, self.endpoints))}>"


async def listen(
    address: Address,
    accept: AcceptWire,
    *,
    ssl: ssl.SSLContext | None = None,
    origins: Sequence[str] = (),
    admit: Admit | None = None,
    app: web.Application | None = None,
    limits: PortLimits | None = None,
    max_frame: int = MAX_FRAME,
    dead_after: float = DEAD_AFTER,
) -> WebSocketListener:
    """Listen at `address` and call `accept` for each wire.

    ssl      the server's context; needed for `wss://`, refused elsewhere
    origins  browsers' origins that may connect (see `add_litz_route`)
    admit    asked before each upgrade (see `upgrade.Admit`)
    app      an aiohttp application whose routes are served on the same port; it must not have been started.
             `/health` is added unless it has that route
    limits   what peers may cost before they are wires

    Raises `InvalidEndpointError` for a URL that cannot be listened at, `OSError` when the address is taken.
    """
    if address.tls != (ssl is not None):
        wrong = "wss:// needs ssl=, the server's SSLContext" if address.tls else "ssl= needs a wss:// URL"
        raise InvalidEndpointError(f"cannot listen at {address}: {wrong}")
    if "?" in address.path:
        raise InvalidEndpointError(f"cannot listen at {address}: the path must not have a query")
    app = app if app is not None else web.Application()
    add_litz_route(
        app, accept, path=address.path, origins=origins, admit=admit, max_frame=max_frame, dead_after=dead_after
    )
    add_health_route(app)
    port = HttpPort(app, limits)
    try:
        await port.open()
        await port.bind(address, ssl=ssl)
    except BaseException:
        await port.aclose()
        raise
    return WebSocketListener(port)
