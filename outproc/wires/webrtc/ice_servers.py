"""Which ICE servers the next connection asks: those configured, with fresh credentials, without those found dead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from litz.errors import ConnectError
from outproc.wires.webrtc.engine import IceServer
from outproc.wires.webrtc.options import WebRtcOptions


class IceServers:
    """Remembers which servers did not answer: one that is dead costs the whole `gather_timeout` of every dial.

    problem  told of a credentials callback that fails: it is the user's, and nobody else would say so
    """

    def __init__(
        self,
        options: WebRtcOptions,
        now: Callable[[], float],
        problem: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._options = options
        self._now = now
        self._problem = problem
        self._given: tuple[IceServer, ...] = ()
        self._dead_until: dict[IceServer, float] = {}

    async def current(self, dest: str) -> tuple[IceServer, ...]:
        """The servers to ask now. If all are thought dead they are asked all the same. Raises `ConnectError` when only
        a relay will do and there is none."""
        options = self._options
        servers = list(options.ice_servers)
        problem: Exception | None = None
        if options.credentials is not None:
            try:
                async with asyncio.timeout(options.gather_timeout):
                    servers += _checked(await options.credentials())
            except Exception as error:  # the callback is the user's; without it the rest may do
                problem = error
                self._problem(error)
        if options.relay_only:  # of no use otherwise, and that one of them lives says nothing of the others
            servers = [server for server in servers if server.relays]
        now = self._now()
        self._dead_until = {server: end for server, end in self._dead_until.items() if end > now}
        alive = tuple(server for server in servers if server not in self._dead_until)
        self._given = alive or tuple(servers)
        if options.relay_only and not self._given:
            raise ConnectError(
                f"only a relay may lead to {dest} (relay_only) and no TURN server is known", dest=dest
            ) from problem
        return self._given

    def failed(self, urls: tuple[str, ...]) -> None:
        """These did not answer: they rest for `server_rest`, unless there are other credentials for them."""
        until = self._now() + self._options.server_rest
        self._dead_until.update({server: until for server in self._given if server.url in urls})


def _checked(given: object) -> list[IceServer]:
    if not isinstance(given, Sequence) or not all(isinstance(each, IceServer) for each in given):
        raise TypeError("the credentials callback of WebRtcOptions gave something else than a list of IceServer")
    return list(given)
