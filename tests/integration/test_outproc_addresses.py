"""How a manager finds its peers on real sockets: directory, hints, builders of one's own, and wires handed in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from litz.errors import ConnectError, InvalidEndpointError, UnknownDestError
from litz.events import WireUnusable
from litz.testing.manager_case import serving
from litz.wire import AcceptWire, Endpoint, EndpointSource, Wire, WireBuilder
from outproc import OutprocTransportManager
from outproc.addressing import MAX_HINTS
from outproc.manager_port import ManagerPort
from outproc.node.service import NodeService
from outproc.wires.memory import memory_pair
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.outproc_nodes import LOOPBACK, dest_of, dials, node, proxy_to, take, until, url_of

NOBODY = "ws://127.0.0.1:9"


class Moving:
    """A directory whose answer changes; it counts how often it is asked."""

    def __init__(self, *urls: str) -> None:
        self.urls: Sequence[str] = urls
        self.asked = 0

    async def look_up(self, dest: str) -> Sequence[str]:
        self.asked += 1
        return self.urls


async def test_the_directory_is_asked_again_when_all_endpoints_failed() -> None:
    directory = Moving(NOBODY)
    async with node("b", listen=LOOPBACK) as b, node("a", knows=directory) as a:
        receipt = await a.send("b", b"patient", when_down="queue")
        await until(lambda: directory.asked >= 3, "asked again and again")
        assert a.list_dests() == ["b"]
        directory.urls = b.endpoints
        assert (await take(b, 1))[0].data == b"patient"
        assert receipt[1] == 0
        await until(lambda: a.is_connected("b"), "connected")
        asked = directory.asked
        await a.send("b", b"", confirm="received")
        assert directory.asked == asked, "asked although it is connected"


async def test_a_dest_that_moved_is_found_and_the_session_goes_on() -> None:
    directory = Moving()
    async with node("b", listen=LOOPBACK) as b, proxy_to(b) as old, proxy_to(b, seed=2) as new:
        directory.urls = [url_of(old)]
        async with node("a", knows=directory) as a:
            await a.send("b", b"0", confirm="received")
            directory.urls = [url_of(new)]
            old.refusing = True
            old.reset(old.links[max(old.links)])
            await a.send("b", b"1", confirm="received", timeout=120)
            assert [m.number for m in await take(b, 2)] == [0, 1]
            assert dest_of(a, "b").session == 0


async def test_a_directory_that_fails_is_named() -> None:
    class Broken:
        async def look_up(self, dest: str) -> Sequence[str]:
            raise OSError("the registry is on fire")

    class Hanging:
        async def look_up(self, dest: str) -> Sequence[str]:
            await asyncio.Event().wait()
            return ()

    async with node("a", knows=Broken()) as a:
        with pytest.raises(ConnectError, match="could not find out where b is; directory: OSError: the registry"):
            await a.send("b", b"")
    async with node("a", knows=Hanging(), options={"dial_timeout": 0.1}) as a:
        with pytest.raises(ConnectError, match="could not find out where b is; directory: TimeoutError: no answer"):
            await a.send("b", b"")


async def test_a_first_endpoint_that_answers_nothing_costs_only_the_stagger() -> None:
    """N13: the second endpoint is tried while the first still hangs."""
    async with node("b", listen=LOOPBACK) as b, proxy_to(b) as hole:
        hole.stalling = True
        patient = {"stagger": 0.05, "dial_timeout": 600.0}
        builders = [WebSocketWireBuilder(open_timeout=600.0)]
        async with node("a", knows={"b": [url_of(hole), *b.endpoints]}, options=patient, builders=builders) as a:
            await a.send("b", b"", confirm="received", timeout=120)  # the first hangs for much longer
            assert dials(a, "b") == [1, 1]


async def test_hints_are_checked_bounded_and_forgotten_with_the_dest() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a") as a:
        for wrong in (["pigeon:coop"], ["no url"], "ws://127.0.0.1:1"):
            with pytest.raises(InvalidEndpointError):
                a.add_endpoints("b", wrong)
        a.add_endpoints("b", [f"ws://127.0.0.1:{port}" for port in range(1, 200)])
        assert len(a._addressing._hints["b"]) == MAX_HINTS
        await a.close_transport("b")
        with pytest.raises(UnknownDestError):
            await a.send("b", b"")
        a.add_endpoints("b", b.endpoints)
        await a.send("b", b"", confirm="received")


async def test_a_hint_given_while_dialling_is_used() -> None:
    async with node("b", listen=LOOPBACK) as b, node("a", knows={"b": [NOBODY]}) as a:
        await a.send("b", b"0", when_down="queue")
        a.add_endpoints("b", b.endpoints)
        assert (await take(b, 1))[0].data == b"0"


class StringBuilder(WireBuilder):
    """Wires to whoever holds the other end of the string: found by the dest alone, handed to `accept`."""

    kind = "string"
    schemes = ("string",)

    def __init__(self) -> None:
        self.ends: dict[str, AcceptWire] = {}
        self.dials = 0

    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        return [Endpoint("string", f"string:{dest}")] if dest in self.ends else []

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        self.dials += 1
        dialled, accepted = memory_pair()
        dialled.kind = accepted.kind = "string"
        self.ends[dest](accepted)
        return dialled


async def test_a_builder_of_ones_own_and_wires_handed_in() -> None:
    """The embedding program accepts by itself and hands the wire over with `accept(wire)`."""
    string = StringBuilder()
    async with node("b", builders=[]) as b, node("a", builders=[string, WebSocketWireBuilder()]) as a:
        string.ends["b"] = b.accept
        async with serving(b, lambda message: b"4"):
            assert await a.request("b", b"2+2", timeout=120) == b"4"
        assert (string.dials, dest_of(a, "b").wires[0].kind) == (1, "string")
        assert not dest_of(b, "a").wires[0].dialled


async def test_a_manager_inside_an_application_of_ones_own() -> None:
    async def hello(request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async with node("b") as b:
        service = NodeService()
        service.add_wires(b.accept)
        service.app.router.add_get("/hello", hello)
        async with service:
            endpoint = await service.listen(LOOPBACK)
            async with node("a", knows={"b": [str(endpoint)]}) as a, ClientSession() as http:
                await a.send("b", b"through the same port", confirm="received")
                url = str(endpoint).replace("ws://", "http://")
                async with http.get(f"{url}/hello") as answer:
                    assert await answer.text() == "hello"
                assert (await take(b, 1))[0].data == b"through the same port"


async def test_installed_builders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry-point group `litz.wires`: the class is called without arguments."""
    info = tmp_path / "string_wires-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: string-wires\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[litz.wires]\nstring = {__name__}:StringBuilder\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    async with node("a", listen=LOOPBACK, builders=None) as a:
        a.add_endpoints("b", ["string:b"])
        with pytest.raises(InvalidEndpointError, match=r"schemes there are: .*string, unix, .*ws, wss"):
            a.add_endpoints("b", ["pigeon:coop"])


@pytest.mark.parametrize("target", ["no.such.module:Wire", f"{__name__}:StringBuilder.kind", "json:JSONDecoder"])
async def test_a_broken_wire_of_somebody_else_costs_nobody_who_does_not_need_it(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "acme_wires-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-wires\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[litz.wires]\nacme = {target}\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    async with node("b", listen=LOOPBACK, builders=None) as b, node("a", builders=None) as a:
        a.add_endpoints("b", b.endpoints)
        await a.send("b", b"over what works", confirm="received")
        events = a.events()
        _, told = await anext(events)
        assert isinstance(told, WireUnusable) and (told.name, told.distribution) == ("acme", "acme-wires")
        with pytest.raises(InvalidEndpointError, match=r"'acme' of acme-wires cannot be used.*uninstall acme-wires"):
            a.add_endpoints("b", ["acme:b"])


async def test_too_many_dests_are_refused_both_ways() -> None:
    async with (
        node("b", listen=LOOPBACK, options={"max_dests": 1}) as b,
        node("a", knows={"b": b.endpoints}) as a,
        node("c", knows={"b": b.endpoints}) as c,
    ):
        await a.send("b", b"", confirm="received")
        with pytest.raises(ConnectError, match="too many dests"):
            await c.send("b", b"")
        with pytest.raises(ConnectError, match="1 dests are open already; close some, or raise max_dests"):
            await b.send("d", b"")
        assert b.list_dests() == ["a"]


async def test_what_is_refused_stands_among_the_attempts() -> None:
    async with node("a", knows={"b": ["ws://169.254.169.254:80", NOBODY]}) as a:
        with pytest.raises(ConnectError) as failure:
            await a.get_or_create_transport("b")
        attempts = {each.endpoint: str(each.error) for each in failure.value.attempts}
        assert "allow_endpoint" in attempts["ws://169.254.169.254:80"]
        assert NOBODY in attempts


async def test_what_a_name_resolves_to_is_asked_about_too() -> None:
    asked: list[tuple[str, EndpointSource]] = []

    def allow(endpoint: Endpoint, source: EndpointSource) -> bool:
        asked.append((endpoint.address, source))
        return source != "name"

    async with node("b", listen=LOOPBACK) as b:
        port = b.endpoints[0].rpartition(":")[2]
        url = f"ws://localhost:{port}"
        async with OutprocTransportManager("a", directory={"b": [url]}, allow_endpoint=allow) as a:
            with pytest.raises(ConnectError, match="every address that localhost resolves to"):
                await a.get_or_create_transport("b")
        assert asked[0] == (url, "directory")
        assert {source for _, source in asked[1:]} == {"name"}
        assert f"websocket://127.0.0.1:{port}" in {address for address, _ in asked}
        async with OutprocTransportManager("a", directory={"b": [url]}) as a:
            await a.send("b", b"let in", confirm="received")


async def test_a_filter_of_endpoints_that_raises_allows_nothing_and_is_told_of_seldom() -> None:
    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))

    def fail(endpoint: Endpoint, source: EndpointSource) -> bool:
        raise LookupError(endpoint.address)

    async with node("a", listen=LOOPBACK) as a:
        running = a._running()
        port = ManagerPort(running.node, running.dests, running.reception.accept, "test", {}, allow=fail)
        assert not any(port.allows(f"10.0.0.{number}", 8400, "hello") for number in range(200))
    assert told == ["litz: an error in allow_endpoint"]
