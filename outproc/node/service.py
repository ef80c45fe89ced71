"""One aiohttp port (or several) that carries litz wires and any other HTTP routes."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from aiohttp import web

from litz.errors import InvalidEndpointError
from litz.wire import AcceptWire, Endpoint
from outproc.node.web.pages import add_pages
from outproc.wires.websocket.address import DEFAULT_PATH, parse
from outproc.wires.websocket.health import add_health_route
from outproc.wires.websocket.port import HttpPort, PortLimits
from outproc.wires.websocket.upgrade import Admit, add_litz_route


class NodeService:
    """An aiohttp application that is served at any number of addresses, with `/health` built in.

        service = NodeService()
        service.add_wires(manager.accept)
        service.app.router.add_get("/hello", hello)
        async with service:
            await service.listen("ws://127.0.0.1:8400")
            await service.listen("unix:/run/node.sock")

    app     an application to add to; default: a new one. Add routes before entering
    health  called for each request of `/health`; what it returns is merged into the answer
    limits  what peers may cost before their connection is a wire (`PortLimits`)

    Listening beyond loopback is decided by whoever owns the wires' proof (P8): this class does not know whether
    there is an authenticator, and refuses nothing.
    """

    def __init__(
        self,
        app: web.Application | None = None,
        *,
        health: Callable[[], Mapping[str, object]] | None = None,
        limits: PortLimits | None = None,
    ) -> None:
        self.app = app if app is not None else web.Application()
        self._health = health
        self._port = HttpPort(self.app, limits)

    def add_wires(
        self,
        accept: AcceptWire,
        *,
        path: str = DEFAULT_PATH,
        origins: Sequence[str] = (),
        admit: Admit | None = None,
    ) -> None:
        """Take litz wires at `path`; see `add_litz_route`. Call it before entering."""
        add_litz_route(self.app, accept, path=path, origins=origins, admit=admit)

    def add_pages(self, node_id: str, *, path: str = DEFAULT_PATH) -> None:
        """Serve `litz.js`, its types and the page `/tab`, whose wires to `node_id` go to `path`: give `add_wires`
        the origin "same" for it. Call it before entering."""
        add_pages(self.app, node_id, path)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where it listens, with real ports, in the order of the `listen` calls."""
        return self._port.endpoints

    async def listen(self, url: str, *, ssl: ssl.SSLContext | None = None) -> Endpoint:
        """Listen at one more address and return it with its real port. `ssl` serves TLS (`wss://`, HTTPS) there.

        Raises `InvalidEndpointError` for a URL that does not fit, `OSError` when the address is taken.
        """
        address = parse(url)
        if address.tls != (ssl is not None):
            wrong = "wss:// needs ssl=, the server's SSLContext" if address.tls else "ssl= needs a wss:// URL"
            raise InvalidEndpointError(f"cannot listen at {address}: {wrong}")
        await self._port.bind(address, ssl=ssl)
        return self.endpoints[-1]

    async def aclose(self) -> None:
        """Stop listening, free the addresses, end HTTP requests. Wires that were accepted live on. Idempotent."""
        await self._port.aclose()

    async def __aenter__(self) -> Self:
        add_health_route(self.app, self._health)
        await self._port.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
