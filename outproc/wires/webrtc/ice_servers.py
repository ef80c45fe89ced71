"""Which ICE servers the next connection asks: those configured, with fresh credentials, without those found dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from litz.errors import ConnectError
from outproc.wires.webrtc.engine import IceServer
from outproc.wires.webrtc.options import WebRtcOptions


class IceServers:
    """Remembers which servers did not answer: one that is dead costs the whole `gather_timeout` of every dial."""

    def __init__(self, options: WebRtcOptions, now: Callable[[], float]) -> None:
        self._options = options
        self._now = now
        self._dead_until: dict[str, float] = {}

    async def current(self, dest: str) -> tuple[IceServer, ...]:
        """The servers to ask now. If all are thought dead they are asked all the same. Raises `ConnectError` when only
        a relay will do and there is none."""
        options = self._options
        servers = list(options.ice_servers)
        problem: Exception | None = None
        if options.credentials is not None:
            try:
                async with asyncio.timeout(options.gather_timeout):
                    servers += await options.credentials()
            except Exception as error:  # the callback is the user's; without it the rest may do
                problem = error
        now = self._now()
        self._dead_until = {url: end for url, end in self._dead_until.items() if end > now}
        alive = tuple(server for server in servers if server.url not in self._dead_until)
        chosen = alive or tuple(servers)
        if options.relay_only and not any(server.url.startswith("turn") for server in chosen):
            raise ConnectError(
                f"only a relay may lead to {dest} (relay_only) and no TURN server is known", dest=dest
            ) from problem
        return chosen

    def failed(self, urls: tuple[str, ...]) -> None:
        """These did not answer: they rest for `server_rest`."""
        until = self._now() + self._options.server_rest
        self._dead_until.update(dict.fromkeys(urls, until))
