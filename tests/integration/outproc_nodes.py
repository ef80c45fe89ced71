"""What the tests of the outproc manager on real sockets share: nodes, proxies that harm their wires, and waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from litz.events import Event
from litz.manager import EventStream
from litz.message import Message
from litz.snapshot import DestSnapshot, LaneSnapshot
from outproc import Directory, OutprocTransportManager, TransportOptions
from outproc.security import Ed25519Authenticator
from outproc.wires.websocket import WebSocketWireBuilder
from tests.prove.fault_proxy import FaultProxy

Manager = OutprocTransportManager
Kind = TypeVar("Kind", bound=Event)

QUICK: Mapping[str, Any] = {"ping_after": 0.2, "dead_after": 0.3, "backoff_base": 0.01, "backoff_cap": 0.2}
"""Options under which a blackhole is found, and a broken wire redialled, in a fraction of a second."""

LOOPBACK = "ws://127.0.0.1:0"


@asynccontextmanager
async def node(
    name: str,
    *,
    knows: Mapping[str, Sequence[str]] | Directory | None = None,
    listen: str | None = None,
    options: Mapping[str, Any] = QUICK,
    **more: Any,
) -> AsyncIterator[Manager]:
    """An entered manager, listening at the URL `listen` if that is given. WebSockets only, unless `builders` says
    otherwise: most tests count wires, dials and heals."""
    more.setdefault("builders", [WebSocketWireBuilder()])
    async with Manager(name, directory=knows, options=TransportOptions(**options), **more) as manager:
        if listen is not None:
            await manager.listen(listen)
        yield manager


@asynccontextmanager
async def proxy_to(manager: Manager, *, seed: int = 1) -> AsyncIterator[FaultProxy]:
    """A fault proxy in front of the first address where `manager` listens."""
    async with FaultProxy("127.0.0.1", port_of(manager.endpoints[0]), seed=seed) as proxy:
        yield proxy


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def url_of(proxy: FaultProxy) -> str:
    return f"ws://{proxy.host}:{proxy.port}"


def dest_of(manager: Manager, dest: str) -> DestSnapshot:
    return next(entry for entry in manager.snapshot().dests if entry.dest == dest)


def lane_of(manager: Manager, dest: str, lane: int = 0) -> LaneSnapshot:
    return next(entry for entry in dest_of(manager, dest).lanes if entry.lane == lane)


def dials(manager: Manager, dest: str) -> list[int]:
    """How often each endpoint was dialled."""
    return [slot.dials for slot in dest_of(manager, dest).slots]


async def until(condition: Callable[[], object], story: str, *, seconds: float = 120.0) -> None:
    """Look at every few turns of the loop until it is so. Fails with `story`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"not within {seconds} s: {story}"
        await asyncio.sleep(0.002)


async def take(manager: Manager, count: int) -> list[Message]:
    """The next `count` messages."""
    got: list[Message] = []
    if count:
        async with asyncio.timeout(120):
            async for message in manager.messages():
                got.append(message)
                if len(got) == count:
                    break
    return got


async def next_of(events: EventStream, kind: type[Kind]) -> Kind:
    """The next event of that kind."""
    async with asyncio.timeout(120):
        async for _, event in events:
            if isinstance(event, kind):
                return event
    raise AssertionError(f"the events ended without a {kind.__name__}")


def key_pair(*names: str) -> list[Ed25519Authenticator]:
    """An authenticator for each name; all trust each other."""
    proofs = [Ed25519Authenticator(name.encode().ljust(32, b".")) for name in names]
    for proof in proofs:
        for name, other in zip(names, proofs, strict=True):
            if other is not proof:
                proof.ring.trust(name, other.public_key)
    return proofs
