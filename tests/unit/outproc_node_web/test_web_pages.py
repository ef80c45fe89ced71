"""`outproc.node.web.pages` and `outproc.cli.tab_page`: what a browser gets from a node, and what it is refused."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from outproc.cli.tab_page import page_urls, tab_options
from outproc.manager import OutprocTransportManager
from outproc.node.service import NodeService
from outproc.node.web.bundle import BUNDLE
from outproc.node.web.pages import FILES, add_pages
from outproc.security.shared_key import SharedKeyAuthenticator
from outproc.wires.websocket.refusal import SUBPROTOCOL

SMALL = 20 * 1024
"""What litz.js may weigh as it is served."""


@asynccontextmanager
async def served(node_id: str = "bob") -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    app = web.Application()
    add_pages(app, node_id)
    async with OutprocTransportManager(node_id) as manager, aiohttp.ClientSession(auto_decompress=False) as http:
        listener = await manager.listen("ws://127.0.0.1:0", app=app, origins=("same",))
        yield listener.endpoints[0].address.replace("ws://", ""), http


async def test_every_file_is_there_and_nothing_of_it_may_come_from_elsewhere() -> None:
    async with served() as (host, http):
        for path in FILES:
            async with http.get(f"http://{host}{path}") as answer:
                assert answer.status == 200, path
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; script-src 'self';")
                assert "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_litz_js_is_small_as_it_is_served() -> None:
    async with served() as (host, http), http.get(f"http://{host}/litz.js") as answer:
        packed = await answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == BUNDLE.read_bytes()
    assert len(packed) < SMALL


async def test_who_takes_no_gzip_gets_the_same_plain() -> None:
    async with served() as (host, http):
        async with http.get(f"http://{host}/litz.js", headers={"Accept-Encoding": "identity"}) as answer:
            assert "Content-Encoding" not in answer.headers
            assert await answer.read() == BUNDLE.read_bytes()
            tag = answer.headers["ETag"]
        async with http.get(f"http://{host}/litz.js", headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304


async def test_the_page_names_its_node_and_quotes_it() -> None:
    plain = {"Accept-Encoding": "identity"}
    async with served('b<"&') as (host, http), http.get(f"http://{host}/tab", headers=plain) as answer:
        text = await answer.text()
    assert '<meta name="litz-node" content="b&lt;&quot;&amp;">' in text
    assert 'b<"' not in text


async def test_a_foreign_name_for_this_host_gets_nothing() -> None:
    async with served() as (host, http):
        for path in FILES:
            async with http.get(f"http://{host}{path}", headers={"Host": "evil.example"}) as answer:
                assert answer.status == 403


def upgrade(**more: str) -> dict[str, str]:
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": SUBPROTOCOL,
        **more,
    }


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("{host}", "http://{host}", 101),
        ("localhost:{port}", "http://localhost:{port}", 101),
        ("{host}", "https://{host}", 403),
        ("{host}", "http://127.0.0.1:1", 403),
        ("{host}", "http://localhost:{port}", 403),
        ("{host}", "http://evil.example", 403),
        ("{host}", "null", 403),
        ("evil.example:{port}", "http://evil.example:{port}", 403),
        ("evil.example:{port}", "http://127.0.0.1:{port}", 403),
    ],
)
async def test_only_its_own_page_may_open_a_wire(host: str, origin: str, status: int) -> None:
    async with served() as (real, http):
        names = {"host": real, "port": real.rpartition(":")[2]}
        headers = upgrade(Host=host.format(**names), Origin=origin.format(**names))
        async with http.get(f"http://{real}/litz", headers=headers) as answer:
            assert answer.status == status


async def test_a_node_service_serves_it_too() -> None:
    service = NodeService()
    service.add_pages("bob")
    async with service, aiohttp.ClientSession() as http:
        at = await service.listen("ws://127.0.0.1:0")
        async with http.get(at.address.replace("ws:", "http:") + "/tab") as answer:
            assert 'content="bob"' in await answer.text()


def test_litz_up_serves_it_on_loopback_to_those_who_prove_nothing() -> None:
    assert tab_options("ws://127.0.0.1:8400", "bob", None)["origins"] == ("same",)
    assert tab_options("ws://192.0.2.1:8400", "bob", None) == {}
    assert tab_options("unix:/run/bob.sock", "bob", None) == {}
    assert tab_options("ws://127.0.0.1:8400", "bob", SharedKeyAuthenticator("sixteen bytes or more")) == {}
    listening = ["ws://127.0.0.1:8400", "wss://[::1]:8443/own", "unix:/run/bob.sock"]
    assert page_urls(listening, None) == ["http://127.0.0.1:8400/tab", "https://[::1]:8443/tab"]
