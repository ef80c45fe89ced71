"""The security list: every row of docs/security.md has its negative test here, on real sockets, for every authenticator
to which it applies."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import asdict, replace
from os import urandom
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from websockets.exceptions import ConnectionClosed, InvalidStatus

from litz.errors import ConnectError, LitzError
from litz.events import PeerViolation
from outproc.cli.status import status_of
from outproc.handshake import Initiator, Link, NeedsVerification, Refused
from outproc.security import MutualTlsAuthenticator
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.frame_proxy import frame_proxy
from tests.integration.identities import authority, dialling, issuer_key, node_key, serving, token, tokens
from tests.integration.outproc_nodes import Manager, dest_of, next_of, node, take, until
from tests.integration.outproc_raw_peer import TERMS, RawPeer, raw_peer
from tests.integration.proof_methods import METHODS, PLAIN, SECRET, Method, proving, raw

each_method = pytest.mark.parametrize("method", METHODS, ids=str)
each_plain_method = pytest.mark.parametrize("method", PLAIN, ids=str)
WORDS = b"words that only a and b may know"


async def is_refused(a: Manager, dest: str = "b") -> BaseException:
    """Nothing of what a sends to `dest` gets there. Returns why."""
    with pytest.raises(ConnectError) as caught:
        await a.send(dest, WORDS, timeout=120)
    assert caught.value.attempts
    return caught.value.attempts[0].error


async def is_unharmed(a: Manager, b: Manager) -> None:
    """The session of a and b goes on over the one wire it has."""
    session = dest_of(b, "a").session
    await a.send("b", b"after", confirm="received", timeout=120)
    assert [message.data for message in await take(b, 1)] == [b"after"]
    assert dest_of(b, "a").session == session == 0
    assert len(dest_of(b, "a").wires) == 1


# -- wrong key ----------------------------------------------------------------------------------------------


@each_method
async def test_wrong_key_of_a_dialler(method: Method) -> None:
    async with proving(method, "b", listen=True) as b:
        events = b.events()
        async with proving(method, "a", knows={"b": b.endpoints}, forged=True) as a:
            await is_refused(a)
        assert (await next_of(events, PeerViolation)).dest == "a"
        assert b.dest_count == 0


@each_method
async def test_wrong_key_of_an_acceptor(method: Method) -> None:
    async with (
        proving(method, "b", listen=True, forged=True) as b,
        proving(method, "a", knows={"b": b.endpoints}) as a,
    ):
        await is_refused(a)
        assert (a.dest_count, b.dest_count) == (0, 0)


# -- expired or replayed proof ------------------------------------------------------------------------------


async def test_expired_token() -> None:
    method = METHODS[3]
    old = tokens("a", lambda audience: token("a", audience, holder=node_key("a"), expires_in=-60))
    async with proving(method, "b", listen=True) as b:
        events = b.events()
        async with proving(method, "a", knows={"b": b.endpoints}, authenticator=old) as a:
            await is_refused(a)
        assert "expired" in (await next_of(events, PeerViolation)).detail
        assert b.dest_count == 0


async def test_expired_certificate() -> None:
    method = METHODS[2]
    old = [WebSocketWireBuilder(ssl=dialling(authority().issue("a", days=-1)))]
    async with (
        proving(method, "b", listen=True) as b,
        proving(method, "a", knows={"b": b.endpoints}, builders=old) as a,
    ):
        await is_refused(a)
        assert b.dest_count == 0


@each_method
async def test_replayed_proof(method: Method) -> None:
    """Every byte that a said, said again by somebody else on another wire."""
    async with proving(method, "b", listen=True) as b:
        events = b.events()
        async with raw(method, b.endpoints[0], "b", "a") as a:
            hello = a.machine.hello()
            await a.send(hello)
            await a.take()
            join = a.machine.join(a.session.mine, None, TERMS)
            await a.send(join)
            await a.take()
            assert len(dest_of(b, "a").wires) == 1
            async with raw(method, b.endpoints[0], "b", "a", forged=True) as thief:
                await thief.send(hello)
                await thief.receive()
                await thief.send(join)
                await thief.gone()
            await next_of(events, PeerViolation)
            assert len(dest_of(b, "a").wires) == 1


# -- downgrade ----------------------------------------------------------------------------------------------


def _set(kind: str, **fields: Any) -> Callable[[bytes], bytes]:
    def change(frame: bytes) -> bytes:
        body, line_feed, proof = frame.partition(b"\n")
        if not body.startswith(b'{"type":"' + kind.encode()):
            return frame
        return json.dumps({**json.loads(body), **fields}, separators=(",", ":")).encode() + line_feed + proof

    return change


NO_PROOF = {"auth": {"method": "none", "credential": ""}}


@each_plain_method
@pytest.mark.parametrize(
    "change",
    [
        _set("hello", versions=[1, 2]),
        _set("hello", **NO_PROOF),
        _set("challenge", **NO_PROOF),
        _set("hello", seal="never", x25519=None),
        _set("hello", seal="offer"),
        _set("challenge", x25519=None),
        _set("hello", limits={"max_frame": "1024", "max_message": "1"}),
        _set("challenge", limits={"max_frame": "1024", "max_message": "1"}),
        _set("hello", features=["invented"]),
        _set("challenge", features=["invented"]),
    ],
    ids=["version", "method", "their method", "seal", "seal asked", "their seal", "limits", "their limits", "features",
         "their features"],
)  # fmt: skip
async def test_downgrade_by_somebody_in_the_middle(method: Method, change: Callable[[bytes], bytes]) -> None:
    options = {"seal": "always", "handshake_timeout": 10.0}
    async with (
        proving(method, "b", listen=True, options=options) as b,
        frame_proxy(b.endpoints[0], change) as between,
        proving(method, "a", knows={"b": [between]}, options=options) as a,
    ):
        await is_refused(a)
        assert b.dest_count == 0


@each_plain_method
async def test_the_proxy_of_the_downgrades_is_no_harm_when_it_changes_nothing(method: Method) -> None:
    options = {"seal": "always"}
    async with (
        proving(method, "b", listen=True, options=options) as b,
        frame_proxy(b.endpoints[0], lambda frame: frame) as between,
        proving(method, "a", knows={"b": [between]}, options=options) as a,
    ):
        await a.send("b", WORDS, confirm="received")


@each_plain_method
async def test_tls_ended_by_somebody_in_the_middle_whom_both_trust(method: Method) -> None:
    """Channel binding: a proof made for one certificate is worth nothing behind another."""
    context = serving(authority().issue("b"))
    context.verify_mode = ssl.CERT_NONE
    proxy_context = serving(authority().issue("proxy"))
    proxy_context.verify_mode = ssl.CERT_NONE
    async with proving(method, "b") as b:
        await b.listen("wss://127.0.0.1:0", ssl=context)
        builders = [WebSocketWireBuilder(ssl=dialling(None))]
        async with (
            frame_proxy(b.endpoints[0], lambda frame: frame, server=proxy_context, client=dialling(None)) as between,
            proving(method, "a", knows={"b": [between]}, builders=builders) as a,
        ):
            await is_refused(a)
            assert b.dest_count == 0


# -- wrong dest ---------------------------------------------------------------------------------------------


@each_method
async def test_wrong_dest(method: Method) -> None:
    async with (
        proving(method, "b", listen=True) as b,
        proving(method, "a", knows={"c": b.endpoints}) as a,
    ):
        await is_refused(a, "c")
        assert b.dest_count == 0


# -- stolen session id, older incarnation -------------------------------------------------------------------


@each_method
async def test_stolen_session_id(method: Method) -> None:
    """Whoever knows both halves of a session, and not the key, joins nothing."""
    async with (
        proving(method, "b", listen=True) as b,
        proving(method, "a", knows={"b": b.endpoints}) as a,
    ):
        await a.send("b", b"before", confirm="received")
        await take(b, 1)
        pair = a._running().dests.transports()[0].session.pair
        assert pair is not None
        born = pair.mine.incarnation
        async with raw(method, b.endpoints[0], "b", "a", forged=True) as thief:
            await _pass_over_proof(thief, born)
            await thief.send(thief.machine.join(pair.mine, pair.yours, TERMS))
            await thief.gone()
        await is_unharmed(a, b)


async def _pass_over_proof(thief: RawPeer, born: Any) -> None:
    """HELLO as the life of a that has the session, and CHALLENGE, whose proof does not interest the thief."""
    thief.machine = Initiator(replace(thief.node, incarnation=born), "b", Link("websocket"), urandom)
    await thief.send(thief.machine.hello())
    assert isinstance(thief.machine.receive(await thief.receive()), NeedsVerification)
    thief.machine.verified()


@each_method
async def test_older_incarnation(method: Method) -> None:
    """A copy of a from yesterday, key and all, does not take over from the a that lives."""
    async with (
        proving(method, "b", listen=True) as b,
        proving(method, "a", knows={"b": b.endpoints}) as a,
    ):
        await a.send("b", b"before", confirm="received")
        await take(b, 1)
        async with raw(method, b.endpoints[0], "b", "a", born=1) as old:
            await old.prove()
            await old.send(old.machine.join(old.session.mine, None, TERMS))
            step = await old.take()
            assert isinstance(step, Refused)
            assert step.code in ("busy", "replaced")
        await is_unharmed(a, b)


# -- cross-origin, oversized hello --------------------------------------------------------------------------


@each_method
async def test_cross_origin(method: Method) -> None:
    async with proving(method, "b", listen=True) as b:
        tls = method.client("a")
        for origin in ("https://evil.example", "null", b.endpoints[0].replace("ws", "http")):
            with pytest.raises(InvalidStatus) as caught:
                async with raw_peer(b.endpoints[0], "b", tls=tls, headers={"Origin": origin}):
                    pass
            assert caught.value.response.status_code == 403
        assert not b._running().node.links


@each_method
@pytest.mark.parametrize(
    "hello",
    [
        b'{"type":"hello","pad":"' + b"x" * 16_384 + b'"}',
        b'{"type":"hello","pad":' + b"[" * 7 + b"]" * 7 + b"}",
        b'{"type":"hello","versions":[1],"pad":[' + b"1," * 1_100 + b"1]}",
        b'{"type":"hello","versions":[' + b"1," * 17 + b"1]}",
        b"{" * 16_000,
    ],
    ids=["long", "deep", "wide", "versions", "open"],
)
async def test_oversized_hello(method: Method, hello: bytes) -> None:
    async with proving(method, "b", listen=True, options={"handshake_timeout": 120.0}) as b:
        events = b.events()
        async with raw(method, b.endpoints[0], "b", "a") as peer, asyncio.timeout(100):
            await peer.send(hello)
            await peer.gone()
            await next_of(events, PeerViolation)
        assert b.dest_count == 0
        await until(lambda: not b._running().node.links, "its link is gone")


# -- forbidden ----------------------------------------------------------------------------------------------


@each_method
async def test_forbidden_and_unknown_look_the_same(method: Method) -> None:
    """Who has a right key and no right to be here hears what somebody hears whose key nobody knows."""

    async def heard(**how: Any) -> list[bytes]:
        async with (
            proving(method, "b", listen=True, **how) as b,
            raw(method, b.endpoints[0], "b", "a", forged="authorize" not in how) as peer,
            asyncio.timeout(100),
        ):
            # A forger cannot check b's proof where a secret is shared, so both pass over it.
            await _pass_over_proof(peer, peer.node.incarnation)
            await peer.send(peer.machine.join(peer.session.mine, None, TERMS))
            return [frame async for frame in _rest(peer)]

    unknown = await heard()
    forbidden = await heard(authorize=lambda peer, what, verb: False)
    assert forbidden == unknown
    assert b'"code":"unauthenticated"' in forbidden[0]


async def _rest(peer: RawPeer) -> Any:
    try:
        while True:
            yield await peer.receive()
    except ConnectionClosed as error:
        yield repr(error.rcvd).encode()


# -- planted secrets ----------------------------------------------------------------------------------------


def spellings(secret: bytes) -> list[str]:
    found = [secret.hex(), b64encode(secret).decode().rstrip("="), urlsafe_b64encode(secret).decode().rstrip("=")]
    if secret.isascii():
        found.append(secret.decode())
    return [*found, repr(secret)[2:-1]]


@each_method
async def test_planted_secrets_show_nowhere(method: Method, caplog: pytest.LogCaptureFixture) -> None:
    """All loggers at DEBUG, the loop's debug mode, reprs, errors with their causes, snapshots, events, the status of
    the control socket: after good handshakes and all kinds of bad ones."""
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    said: list[str] = []
    issued: list[str] = []

    def make(name: str) -> Any:
        def one(audience: str) -> str:
            issued.append(token(name, audience, holder=node_key(name)))
            return issued[-1]

        return tokens(name, one) if method.name == "token" else method.true(name)

    async with proving(method, "b", listen=True, authenticator=make("b")) as b:
        followed = b.events()
        async with proving(method, "a", knows={"b": b.endpoints, "c": b.endpoints}, authenticator=make("a")) as a:
            await a.send("b", b"hello", confirm="received")
            said += [_error_of(await is_refused(a, "c"))]
            await b.reauthorize()
            for manager in (a, b):
                node_, transports = manager._running().node, manager._running().dests.transports()
                said += [
                    repr(manager),
                    repr(node_.authenticator),
                    repr(manager.snapshot()),
                    str(asdict(manager.snapshot())),
                ]
                said += [repr(transports), repr([t.links for t in transports]), repr([t.session for t in transports])]
                said += [repr(node_.handshake_node), repr(node_), json.dumps(status_of(manager), default=repr)]
                said += [repr([vars(link) for link in node_.links]), repr(node_.tasks)]
        async with proving(method, "a", knows={"b": b.endpoints}, forged=True) as forger:
            said += [_error_of(await is_refused(forger))]
    said += [repr(event) async for event in followed]
    assert any("PeerViolation" in each for each in said), "the events were not looked at"
    text = "\n".join([*said, caplog.text, *(repr(record.args) for record in caplog.records)])
    raw_key = serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    secrets = [SECRET, SECRET[::-1], bytes(32), *(node_key(name).private_bytes(*raw_key) for name in ("a", "b"))]
    secrets += [issuer_key().private_bytes(*raw_key), *(made.split(".")[2].encode() for made in issued)]
    assert method.name != "token" or issued
    for secret in secrets:
        for spelling in spellings(secret):
            assert spelling not in text, f"a secret shows: {text[max(0, text.index(spelling) - 200) :][:300]}"


def _error_of(error: BaseException) -> str:
    assert isinstance(error, LitzError | OSError)
    return "".join(traceback.format_exception(error)) + repr(error)


async def test_the_scan_for_secrets_finds_what_is_there() -> None:
    assert all(SECRET.decode() in text or len(text) > 32 for text in spellings(SECRET))
    assert repr(MutualTlsAuthenticator()) == "<mutual TLS>"
    async with node("x") as x:
        assert "x" in repr(x)
