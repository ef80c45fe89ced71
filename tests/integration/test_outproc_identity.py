"""Who may talk to a manager on real sockets: wrong keys, ids, origins and addresses are refused, and the cure named."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import ConnectError, HandshakeError, InsecureListenError, UnauthenticatedError
from litz.events import PeerViolation
from litz.payload import PayloadType
from outproc.security import Ed25519Authenticator, SharedKeyAuthenticator
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.outproc_nodes import LOOPBACK, Manager, dest_of, key_pair, next_of, node, take
from tests.unit.outproc_websocket.certificates import client_context, server_context

MARK = b"the words that nobody on the way may read " * 3


async def refused(a: Manager, cure: str) -> UnauthenticatedError:
    """Sending to b fails because of an id or a key, and the error names the cure."""
    with pytest.raises(ConnectError, match=cure) as caught:
        await a.send("b", b"?", timeout=120)
    errors = [attempt.error for attempt in caught.value.attempts]
    assert errors, "the error names no attempt"
    assert isinstance(errors[0], UnauthenticatedError), repr(errors[0])
    assert a.dest_count == 0, "a failed first dial left a dest"
    return errors[0]


async def test_an_untrusted_key_is_refused_and_the_command_that_helps_is_named() -> None:
    a_key, b_key = key_pair("a", "b")
    stranger = Ed25519Authenticator(b"stranger".ljust(32))
    stranger.ring.trust("b", b_key.public_key)
    async with node("b", listen=LOOPBACK, authenticator=b_key) as b:
        events = b.events()
        async with node("a", knows={"b": b.endpoints}, authenticator=stranger) as a:
            await refused(a, "check that it trusts this node's key")
            violation = await next_of(events, PeerViolation)
            assert violation.dest == "a"
            assert "litz key trust a" in violation.detail
            assert b.dest_count == 0, "a stranger made a dest"
        async with node("a", knows={"b": b.endpoints}, authenticator=a_key) as a:
            await a.send("b", b"welcome", confirm="received")
            (message,) = await take(b, 1)
            assert (message.sender, message.verified) == ("a", True)
            assert dest_of(b, "a").verified


async def test_an_acceptor_with_another_key_is_refused() -> None:
    a_key, _ = key_pair("a", "b")
    impostor = Ed25519Authenticator(b"impostor".ljust(32), {"a": a_key.public_key})
    async with (
        node("b", listen=LOOPBACK, authenticator=impostor) as b,
        node("a", knows={"b": b.endpoints}, authenticator=a_key) as a,
    ):
        error = await refused(a, "litz key trust b")
        assert "not the one trusted" in str(error)


async def test_an_endpoint_of_somebody_else_is_refused() -> None:
    a_key, _, c_key = key_pair("a", "b", "c")
    async with (
        node("c", listen=LOOPBACK, authenticator=c_key) as c,
        node("a", knows={"b": c.endpoints}, authenticator=a_key) as a,
    ):
        await refused(a, "I am not the dest you want")


async def test_no_key_against_a_key_is_refused_on_both_sides() -> None:
    _, b_key = key_pair("a", "b")
    async with node("b", listen=LOOPBACK, authenticator=b_key) as b, node("a", knows={"b": b.endpoints}) as a:
        await refused(a, "I prove ids by ed25519")
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}, authenticator=b_key) as a:
        await refused(a, "I prove ids by none")


async def test_two_shared_secrets_do_not_match() -> None:
    async with (
        node("b", listen=LOOPBACK, authenticator=SharedKeyAuthenticator(b"s" * 32)) as b,
        node("a", knows={"b": b.endpoints}, authenticator=SharedKeyAuthenticator(b"t" * 32)) as a,
    ):
        await refused(a, "give both the same one")


async def test_a_node_that_dials_itself_is_told_so() -> None:
    async with node("a", listen=LOOPBACK) as a:
        a.add_endpoints("b", a.endpoints)
        with pytest.raises(ConnectError) as caught:
            await a.send("b", b"")
        assert isinstance(caught.value.attempts[0].error, HandshakeError)


async def test_without_a_key_ids_are_claims() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": b.endpoints}) as a:
        await a.send("b", b"")
        (message,) = await take(b, 1)
        assert not message.verified


class Sniffer:
    """A TCP forwarder that keeps every byte."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self.seen = bytearray()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, other_writer), (other_reader, writer)):
            self._tasks.append(asyncio.create_task(self._copy(source, sink)))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            self.seen += data
            sink.write(data)
        sink.close()

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()


@pytest.mark.both_loops
@pytest.mark.parametrize("policy", ["always", "never"])
async def test_a_sealed_plain_socket_shows_nothing(policy: str) -> None:
    """`always` on loopback is what `auto` does on plain ws:// beyond it. `never` shows that the sniffer sees."""
    a_key, b_key = key_pair("a", "b")
    options = {"seal": policy}
    async with node("b", listen=LOOPBACK, authenticator=b_key, options=options) as b:
        sniffer = Sniffer(int(b.endpoints[0].rpartition(":")[2]))
        async with (
            sniffer as where,
            node("a", knows={"b": [f"ws://{where}"]}, authenticator=a_key, options=options) as a,
        ):
            for size in (1, 500, 20_000):
                await a.send("b", MARK * size, confirm="received")
            await a.send("b", MARK, payload_type=PayloadType.STREAM_LATENCY_FIRST)
            got = [m for m in await take(b, 4) if m.payload_type is PayloadType.RPC_RELIABLE]
            assert [len(m.data) for m in got] == [len(MARK) * size for size in (1, 500, 20_000)]
            # Frames from the dialler are masked as WebSocket asks, so the echo is what could be read.
            await b.send("a", MARK * 100, confirm="received")
            assert (await take(a, 1))[0].data == MARK * 100
        assert (MARK in sniffer.seen) == (policy == "never")


async def test_sealing_on_one_side_only_is_refused_with_its_cure() -> None:
    a_key, b_key = key_pair("a", "b")
    async with (
        node("b", listen=LOOPBACK, authenticator=b_key, options={"seal": "never"}) as b,
        node("a", knows={"b": b.endpoints}, authenticator=a_key, options={"seal": "always"}) as a,
    ):
        await refused(a, "one of us seals this wire and the other does not")


async def test_seal_always_without_an_authenticator_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="needs an authenticator: pass one"):
        async with node("a", options={"seal": "always"}):
            pass


@pytest.mark.parametrize("url", ["ws://0.0.0.0:0", "ws://[::]:0", "ws://192.0.2.1:0", "ws://example.test:0"])
async def test_listening_beyond_loopback_without_an_authenticator_is_refused(url: str) -> None:
    async with node("a") as a:
        with pytest.raises(InsecureListenError, match="authenticator=Ed25519Authenticator"):
            await a.listen(url)
        assert a.endpoints == []


async def test_a_browser_is_refused_unless_its_origin_is_allowed() -> None:
    evil = WebSocketWireBuilder(headers={"Origin": "https://evil.example"})
    async with node("b") as b:
        await b.listen(LOOPBACK, origins=["https://app.example"])
        async with node("a", knows={"b": b.endpoints}, builders=[evil]) as a:
            await refused(a, "allow this origin with origins=")
        good = WebSocketWireBuilder(headers={"Origin": "https://app.example"})
        async with node("a", knows={"b": b.endpoints}, builders=[good]) as a:
            await a.send("b", b"", confirm="received")


async def test_a_certificate_nobody_signed_is_refused_with_its_cure() -> None:
    a_key, b_key = key_pair("a", "b")
    async with node("b", authenticator=b_key) as b:
        await b.listen("wss://127.0.0.1:0", ssl=server_context())
        async with node("a", knows={"b": b.endpoints}, authenticator=a_key) as a:
            await refused(a, "WebSocketWireBuilder")
        trusting = WebSocketWireBuilder(ssl=client_context())
        async with node("a", knows={"b": b.endpoints}, authenticator=a_key, builders=[trusting]) as a:
            await a.send("b", b"", confirm="received")
