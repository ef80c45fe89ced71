"""How tests make a user meet an error: what they share, and the triggers of errors about who may be reached."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from litz import errors
from litz.retry import Retry
from outproc import Redial
from outproc.security import Ed25519Authenticator
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.outproc_nodes import LOOPBACK, QUICK, Manager, key_pair, node

Trigger = Callable[[], Awaitable[BaseException]]


async def raised(awaitable: Awaitable[Any]) -> BaseException:
    """What the awaitable raises; it must."""
    try:
        async with asyncio.timeout(120):
            result = await awaitable
    except Exception as error:
        return error
    raise AssertionError(f"nothing was raised, but {result!r} returned")


@contextlib.asynccontextmanager
async def two(options: dict[str, Any] | None = None) -> AsyncIterator[tuple[Manager, Manager]]:
    """a has a session with b, through nothing."""
    async with (
        node("b", listen=LOOPBACK) as b,
        node("a", knows={"b": b.endpoints}, options={**QUICK, **(options or {})}) as a,
    ):
        await a.send("b", b"meet", confirm="received")
        yield a, b


async def attempt_at(url: str) -> BaseException:
    """The error of the one attempt to reach b at `url`."""
    async with node("a", knows={"b": [url]}) as a:
        error = await raised(a.send("b", b""))
        assert isinstance(error, errors.ConnectError)
        return error.attempts[0].error


# -- wrong use -------------------------------------------------------------------------------------------


async def gave_up() -> BaseException:
    patient = Retry(attempts=10)
    options = {**QUICK, "redial": {"b": Redial(attempts=2)}}
    async with node("a", knows={"b": ["ws://127.0.0.1:9"]}, options=options) as a:
        return await raised(a.send("b", b"", when_down=patient))


async def proxy_refused() -> BaseException:
    builder = WebSocketWireBuilder(proxy="http://127.0.0.1:9")
    async with node("a", knows={"b": ["ws://127.0.0.1:8"]}, builders=[builder]) as a:
        error = await raised(a.send("b", b""))
        assert isinstance(error, errors.ConnectError)
        return error.attempts[0].error


async def untrusted_peer() -> BaseException:
    a_key, _ = key_pair("a", "b")
    other_b = Ed25519Authenticator(b"another".ljust(32, b"."))
    other_b.ring.trust("a", a_key.public_key)
    async with (
        node("b", listen=LOOPBACK, authenticator=other_b) as b,
        node("a", knows={"b": b.endpoints}, authenticator=a_key) as a,
    ):
        error = await raised(a.send("b", b""))
        assert isinstance(error, errors.ConnectError)
        return error.attempts[0].error


async def forbidden() -> BaseException:
    async with (
        node("b", listen=LOOPBACK) as b,
        node("a", knows={"b": b.endpoints}, authorize=lambda peer, what, verb: False) as a,
    ):
        error = await raised(a.send("b", b""))
        assert isinstance(error, errors.ConnectError)
        return error.attempts[0].error
