"""A `FaultProxy` in a process of its own.

    Worker("tests.prove.proxy_worker:serve", host="127.0.0.1", port=8400, seed=7)

Commands: `where` (the address it listens on), `torment(seed, weights=None)`, `calm`, `reset_all`, `retarget(host,
port)`, `counts`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.prove.control import Control
from tests.prove.fault_proxy import FaultProxy
from tests.prove.torment import WEIGHTS, Torment


async def serve(control: Control, *, host: str, port: int, seed: int, at: str = "127.0.0.1", listen: int = 0) -> None:
    """Serve commands until the control socket closes."""
    async with FaultProxy(host, port, seed=seed, at=at, listen=listen) as proxy:
        desk = _Desk(proxy)
        for verb in ("where", "torment", "calm", "reset_all", "retarget", "counts"):
            control.commands[verb] = getattr(desk, verb)
        control.emit("ready")
        try:
            await control.gone()
        finally:
            await desk.calm()


class _Desk:
    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._torment: asyncio.Task[None] | None = None

    async def where(self) -> list[Any]:
        return [self._proxy.host, self._proxy.port]

    async def torment(self, seed: int, weights: dict[str, int] | None = None) -> None:
        await self.calm()
        nemesis = Torment(self._proxy, seed, weights=weights or WEIGHTS)
        self._torment = asyncio.get_running_loop().create_task(nemesis.run())

    async def calm(self) -> None:
        if self._torment is not None:
            self._torment.cancel()
            await asyncio.gather(self._torment, return_exceptions=True)
            self._torment = None

    async def reset_all(self) -> int:
        links = list(self._proxy.links.values())
        for link in links:
            self._proxy.reset(link)
        return len(links)

    async def retarget(self, host: str, port: int) -> None:
        self._proxy.target = (host, port)

    async def counts(self) -> dict[str, int]:
        return dict(self._proxy.counts)
