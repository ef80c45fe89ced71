"""Every authenticator with what nodes need to use it on real sockets: the true ones, and those who are not them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from outproc.security import Authenticator, Ed25519Authenticator, MutualTlsAuthenticator, SharedKeyAuthenticator
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.identities import authority, dialling, node_key, serving, token, tokens
from tests.integration.outproc_nodes import LOOPBACK, QUICK, Manager, node
from tests.integration.outproc_raw_peer import RawPeer, raw_node, raw_peer

NAMES = ("a", "b", "c")
SECRET = b"the secret that all members share"


def _ed25519(name: str, key: bytes) -> Ed25519Authenticator:
    public = {other: Ed25519Authenticator(_key_of(other)).public_key for other in NAMES}
    return Ed25519Authenticator(key, public)


def _key_of(name: str) -> bytes:
    return sha256(f"the key of {name}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Method:
    """One way to prove ids.

    true    what the node of that name has
    forged  what somebody has who is not that node, and calls itself so
    tls     ids are in certificates
    """

    name: str
    true: Callable[[str], Authenticator]
    forged: Callable[[str], Authenticator]
    tls: bool = False

    def certificate(self, name: str, *, forged: bool = False) -> tuple[bytes, bytes] | None:
        return authority().issue("mallory" if forged else name) if self.tls else None

    def client(self, name: str, *, forged: bool = False) -> ssl.SSLContext | None:
        """The context of a dialler of that name."""
        return dialling(self.certificate(name, forged=forged)) if self.tls else None

    def __str__(self) -> str:
        return self.name


METHODS = (
    Method("ed25519", lambda name: _ed25519(name, _key_of(name)), lambda name: _ed25519(name, bytes(32))),
    Method(
        "shared-key", lambda name: SharedKeyAuthenticator(SECRET), lambda name: SharedKeyAuthenticator(SECRET[::-1])
    ),
    Method("mtls", lambda name: MutualTlsAuthenticator(), lambda name: MutualTlsAuthenticator(), tls=True),
    Method(
        "token",
        tokens,
        lambda name: tokens(
            name, lambda audience: token(name, audience, holder=node_key(name)), private_key=node_key("mallory")
        ),
    ),
)
"""The forger of tokens has got a true one, and not its key; the one with a certificate has one of its own."""

PLAIN = tuple(method for method in METHODS if not method.tls)


@asynccontextmanager
async def proving(
    method: Method,
    name: str,
    *,
    knows: Mapping[str, Sequence[str]] | None = None,
    listen: bool = False,
    forged: bool = False,
    options: Mapping[str, Any] = QUICK,
    **more: Any,
) -> AsyncIterator[Manager]:
    """A node that proves itself by `method`, or tries to."""
    by = (method.forged if forged else method.true)(name)
    builders = [WebSocketWireBuilder(ssl=method.client(name, forged=forged))]
    more = {"authenticator": by, "builders": builders, **more}
    async with node(name, knows=knows, options=options, **more) as manager:
        if listen and method.tls:
            pair = method.certificate(name, forged=forged)
            assert pair is not None
            await manager.listen("wss://127.0.0.1:0", ssl=serving(pair))
        elif listen:
            await manager.listen(LOOPBACK)
        yield manager


@asynccontextmanager
async def raw(
    method: Method, url: str, dest: str, name: str, *, forged: bool = False, born: int | None = None, halves: int = 1
) -> AsyncIterator[RawPeer]:
    """A raw peer that proves itself by `method`, or tries to."""
    by = (method.forged if forged else method.true)(name)
    tls = method.client(name, forged=forged)
    async with raw_peer(url, dest, node=raw_node(name, by, born=born), halves=halves, tls=tls) as peer:
        yield peer
