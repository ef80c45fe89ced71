"""WebSocket wires through real proxies on loopback: `outproc.wires.websocket.proxied`."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import traceback
from dataclasses import asdict

import pytest

from litz.errors import ConnectError, InvalidEndpointError, ProxyError
from litz.events import ConnectFailed
from litz.testing.manager_case import take
from litz.testing.manager_life import next_of
from litz.wire import Wire
from outproc.retry.classify import Verdict, classify
from outproc.wires.websocket import WebSocketWireBuilder
from outproc.wires.websocket.address import parse
from outproc.wires.websocket.proxied import check_setting, proxy_for
from outproc.wires.websocket.tuning import NOTSENT_LOWAT
from tests.integration.outproc_nodes import LOOPBACK, dest_of, node, port_of, until
from tests.integration.small_proxies import SmallHttpProxy, SmallProxy, SmallSocksProxy
from tests.unit.outproc_websocket.certificates import client_context, server_context
from tests.unit.outproc_websocket.kit import Listening, endpoint, listening, works

SECRET = "hunter2-and-more"
BOTH = pytest.mark.parametrize("kind", [SmallHttpProxy, SmallSocksProxy])


async def pair(port: Listening, builder: WebSocketWireBuilder, url: str = "") -> tuple[Wire, Wire]:
    """A wire through the builder's proxy, and its other end."""
    dialled = await builder.build("peer", endpoint(url or str(port.endpoint)))
    return dialled, await port.accepted.get()


@pytest.mark.both_loops
@BOTH
async def test_a_wire_through_a_proxy(kind: type[SmallProxy]) -> None:
    async with kind(user="me", password=SECRET) as proxy, listening() as port:
        builder = WebSocketWireBuilder(proxy=proxy.url)
        dialled, accepted = await pair(port, builder)
        assert proxy.asked == [("127.0.0.1", port.port)]
        assert dialled.path.remote == f"127.0.0.1:{port.port} via {proxy.address}"
        assert not dialled.secure, "the proxy may lead out of this host"
        sock: socket.socket = dialled._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # its options
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        lowat = getattr(socket, "TCP_NOTSENT_LOWAT", 25)
        assert sock.getsockopt(socket.IPPROTO_TCP, lowat) == NOTSENT_LOWAT
        await works(dialled, accepted)


@pytest.mark.both_loops
@pytest.mark.parametrize("kind", ["http", "https", "socks"])
async def test_tls_with_the_peer_through_a_proxy(kind: str) -> None:
    tls = server_context() if kind == "https" else None
    proxy = SmallSocksProxy() if kind == "socks" else SmallHttpProxy(tls=tls)
    async with proxy, listening("wss://127.0.0.1:0", ssl=server_context()) as port:
        builder = WebSocketWireBuilder(proxy=proxy.url, ssl=client_context(), proxy_ssl=client_context())
        dialled, accepted = await pair(port, builder)
        assert dialled.secure
        assert dialled.channel_binding is not None
        assert dialled.channel_binding == accepted.channel_binding
        await works(dialled, accepted)


@pytest.mark.both_loops
async def test_tls_that_ends_at_the_proxy_is_none_with_the_peer() -> None:
    async with SmallHttpProxy(tls=server_context()) as proxy, listening() as port:
        dialled, accepted = await pair(port, WebSocketWireBuilder(proxy=proxy.url, proxy_ssl=client_context()))
        assert not dialled.secure
        assert dialled.channel_binding is None
        await works(dialled, accepted)
        with pytest.raises(ProxyError, match=f"{proxy.address} is not trusted"):
            await WebSocketWireBuilder(proxy=proxy.url).build("peer", port.endpoint)


@BOTH
async def test_names_are_left_to_the_proxy_unless_it_leaves_them_to_us(kind: type[SmallProxy]) -> None:
    async with kind() as proxy, listening() as port:
        url = f"ws://localhost:{port.port}"
        dialled, accepted = await pair(port, WebSocketWireBuilder(proxy=proxy.url), url)
        assert proxy.asked == [("localhost", port.port)]
        await works(dialled, accepted)
        if kind is SmallSocksProxy:
            here = WebSocketWireBuilder(proxy=proxy.url.replace("socks5h", "socks5"))
            dialled, accepted = await pair(port, here, f"ws://127.0.0.1:{port.port}")
            assert proxy.asked[-1] == ("127.0.0.1", port.port)
            await works(dialled, accepted)


REFUSALS = [
    (SmallHttpProxy, b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"),
    (SmallHttpProxy, b"SSH-2.0-OpenSSH\r\n\r\n", "does not answer as an HTTP proxy"),
    (SmallHttpProxy, b"HTTP/1.1 200 OK", "closed the connection"),
    (SmallHttpProxy, b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 9000, "does not answer as an HTTP proxy"),
    (SmallSocksProxy, b"\x02", "not allowed"),
    (SmallSocksProxy, b"\x05", "refused"),
]


@pytest.mark.both_loops
@pytest.mark.parametrize(("kind", "answer", "text"), REFUSALS)
async def test_a_proxy_that_refuses_is_named(kind: type[SmallProxy], answer: bytes, text: str) -> None:
    async with kind(refuse=answer) as proxy, listening() as port:
        with pytest.raises(ProxyError, match=text) as caught:
            await WebSocketWireBuilder(proxy=proxy.url).build("peer", port.endpoint)
        assert proxy.address in str(caught.value)
        assert classify(caught.value).verdict is Verdict.RETRY


@BOTH
async def test_a_wrong_password_is_told_without_repeating_it(
    kind: type[SmallProxy], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with kind(user="me", password="another") as proxy, node("bob", listen=LOOPBACK) as bob:
        builder = WebSocketWireBuilder(proxy=proxy.url.replace("another", SECRET))
        with pytest.raises(ProxyError) as caught:
            await builder.build("peer", endpoint(bob.endpoints[0]))
        if kind is SmallHttpProxy:
            assert "give its user name and password in its URL" in str(caught.value)
        assert classify(caught.value).verdict is not Verdict.RETRY, "asked fast, some proxies lock the account"
        async with node("alice", knows={"bob": bob.endpoints}, builders=[builder]) as alice:
            with alice.events() as events:
                alice.send_nowait("bob", b"waits")
                failure = await next_of(events, ConnectFailed)
                snapshot = json.dumps(asdict(alice.snapshot()), default=str)
                assert proxy.address in snapshot
        told = [snapshot, repr(failure), repr(builder), repr(alice), str(caught.value), caplog.text]
        told.append("".join(traceback.format_exception(caught.value)))
        assert not [text for text in told if SECRET in text]


@BOTH
async def test_a_cut_wire_heals_through_the_proxy_also_when_that_was_down(kind: type[SmallProxy]) -> None:
    async with kind() as proxy, node("bob", listen=LOOPBACK) as bob:
        builder = WebSocketWireBuilder(proxy=proxy.url)
        async with node("alice", knows={"bob": bob.endpoints}, builders=[builder]) as alice:
            for number in range(10):
                await alice.send("bob", b"%d" % number)
            await alice.drain()
            proxy.cut()
            for number in range(10, 20):
                await alice.send("bob", b"%d" % number)
            await alice.drain()
            tunnels = proxy.tunnels
            assert tunnels >= 2
            await proxy.stop()
            await until(lambda: dest_of(alice, "bob").slots[0].failures, "nothing failed while the proxy was down")
            assert f"cannot reach the proxy {proxy.address}" in dest_of(alice, "bob").slots[0].last_error
            alice.send_nowait("bob", b"20")
            await proxy.start()
            await alice.drain()
            assert proxy.tunnels > tunnels
            assert dest_of(alice, "bob").session == 0, "the session outlived all of that"
        received = [bytes(message.data) for message in await take(bob, 21)]
        assert received == [b"%d" % number for number in range(21)]


class Silent(SmallHttpProxy):
    """Takes what comes, and says nothing."""

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()


@pytest.mark.both_loops
async def test_a_silent_proxy_costs_no_more_than_the_timeout() -> None:
    async with Silent() as proxy:
        builder = WebSocketWireBuilder(proxy=proxy.url, open_timeout=0.1)
        with pytest.raises(TimeoutError, match="did not open"):
            await builder.build("peer", endpoint("ws://127.0.0.1:1"))


async def test_a_dead_proxy_is_named() -> None:
    async with node("bob", listen=LOOPBACK) as bob:
        endpoints = bob.endpoints
        dead = f"http://127.0.0.1:{port_of(endpoints[0])}"
    async with node("alice", knows={"bob": endpoints}, builders=[WebSocketWireBuilder(proxy=dead)]) as alice:
        with pytest.raises(ConnectError, match=f"cannot reach the proxy {dead}"):
            await alice.get_or_create_transport("bob")


def test_which_proxy_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ws_proxy", "wss_proxy", "http_proxy", "https_proxy", "socks_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def taken(url: str, setting: object = True) -> str:
        via = proxy_for(check_setting(setting), parse(url))  # type: ignore[arg-type]  # what users may give
        return str(via) if via is not None else ""

    assert taken("ws://peer.example:1") == ""
    monkeypatch.setenv("https_proxy", "http://me:pw@proxy.example:3128")
    assert taken("wss://peer.example:1") == "http://proxy.example:3128"
    assert taken("ws://127.0.0.1:1") == taken("ws://[::1]:1") == taken("ws://localhost:1") == taken("unix:/x") == ""
    monkeypatch.setenv("no_proxy", "peer.example")
    assert taken("wss://peer.example:1") == ""
    assert taken("wss://other.example:1") == "http://proxy.example:3128"
    monkeypatch.setenv("wss_proxy", "socks5h://socks.example:1080")
    assert taken("wss://other.example:1") == "socks5h://socks.example:1080"
    assert taken("wss://other.example:1", None) == ""
    assert taken("ws://127.0.0.1:1", "http://proxy.example:1") == "http://proxy.example:1", (
        "what is given always counts"
    )
    assert taken("unix:/x", "http://proxy.example:1") == ""


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:pw-secret@proxy.example:1",
        "http://me@proxy.example:1",
        "http://me:pw-secret@proxy.example:1/path",
        "http://me:pw-secret@proxy.example:port",
        "me:pw-secret@proxy.example",
        "",
    ],
)
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidEndpointError, match="no URL of a proxy") as caught:
        WebSocketWireBuilder(proxy=url)
    assert "pw-secret" not in "".join(traceback.format_exception(caught.value))


async def test_without_python_socks_the_error_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "python_socks", None)
    with pytest.raises(ProxyError, match=r"pip install 'litz\[socks\]'"):
        WebSocketWireBuilder(proxy="socks5://proxy.example:1080")
    monkeypatch.setenv("ws_proxy", "socks5://proxy.example:1080")
    builder = WebSocketWireBuilder()  # only who needs it is told
    with pytest.raises(ProxyError, match=r"pip install 'litz\[socks\]'"):
        await builder.build("peer", endpoint("ws://peer.example:1"))
