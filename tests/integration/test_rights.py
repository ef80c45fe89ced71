"""`authorize` and `reauthorize` on real sockets: who may open, resume, use and relay, and who is dropped.

Covers `outproc.rights`, `outproc.reauthorize`, `outproc.wire_proof`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from litz.errors import ConnectError, ForbiddenError, SessionEndedError, UnauthenticatedError
from litz.events import EndReason, PeerViolation, SessionEnded
from outproc.manager_port import ManagerPort
from outproc.relay_options import RelayOptions
from outproc.wires.relay.builder import RelayWireBuilder
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.outproc_nodes import (
    LOOPBACK,
    QUICK,
    Manager,
    dest_of,
    key_pair,
    next_of,
    node,
    proxy_to,
    until,
    url_of,
)
from tests.integration.outproc_nodes import take as take_messages
from tests.prove.fault_link import Link
from tests.prove.fault_proxy import FaultProxy


class Judge:
    """An `authorize` that notes what it is asked; `forbidden` are (peer, what, verb) or parts of that."""

    def __init__(self, *forbidden: Any) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.forbidden: list[Any] = list(forbidden)

    def __call__(self, peer: str, what: str, verb: str) -> bool:
        self.asked.append((peer, what, verb))
        return not any(each in (peer, (peer, verb), (what, verb), (peer, what, verb)) for each in self.forbidden)

    async def later(self, peer: str, what: str, verb: str) -> bool:
        await asyncio.sleep(0)
        return self(peer, what, verb)

    def verbs(self, peer: str) -> list[str]:
        return [verb for who, _, verb in self.asked if who == peer and verb != "use"]


async def refused(a: Manager, dest: str = "b") -> BaseException:
    with pytest.raises(ConnectError) as caught:
        await a.send(dest, b"?", timeout=120)
    return caught.value.attempts[0].error


def linked(proxy: FaultProxy) -> Link:
    link = proxy.any_link()
    assert link is not None
    return link


async def reconnected(a: Manager, dest: str) -> None:
    """A round that was under way may still fail for what was so before."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await a.reconnect(dest)
            except ConnectError:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("late", [False, True])
async def test_it_is_asked_at_open_and_at_each_resume_at_both_ends(late: bool) -> None:
    at_a, at_b = Judge(), Judge()
    async with (
        node("b", listen=LOOPBACK, authorize=at_b.later if late else at_b) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}, authorize=at_a.later if late else at_a) as a,
    ):
        await a.send("b", b"1", confirm="received")
        assert (at_a.verbs("b"), at_b.verbs("a")) == (["open"], ["open"])
        assert ("a", "b", "open") in at_b.asked
        proxy.reset(linked(proxy))
        await a.send("b", b"2", confirm="received")
        for verbs in (at_a.verbs("b"), at_b.verbs("a")):
            assert (verbs[0], set(verbs[1:])) == ("open", {"resume"})
        assert [message.data for message in await take_messages(b, 2)] == [b"1", b"2"]


async def test_who_may_not_open_is_refused_and_leaves_nothing() -> None:
    judge = Judge("a")
    async with node("b", listen=LOOPBACK, authorize=judge) as b:
        events = b.events()
        async with node("a", knows={"b": b.endpoints}) as a:
            assert isinstance(await refused(a), UnauthenticatedError)
            violation = await next_of(events, PeerViolation)
            assert "authorize('a', 'b', 'open') refused it" in violation.detail
            assert b.dest_count == 0
            judge.forbidden.clear()
            await a.send("b", b"now", confirm="received")


async def test_whom_this_side_dials_is_judged_too() -> None:
    async with (
        node("b", listen=LOOPBACK) as b,
        node("a", knows={"b": b.endpoints}, authorize=Judge(("b", "open"))) as a,
    ):
        assert isinstance(await refused(a), ForbiddenError)
        await until(lambda: not b._running().node.links, "the wire is gone at b")
        assert b.dest_count == 0


async def test_who_may_not_resume_keeps_its_session_until_it_may() -> None:
    judge = Judge()
    async with (
        node("b", listen=LOOPBACK, authorize=judge) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}) as a,
    ):
        await a.send("b", b"1", confirm="received")
        judge.forbidden.append(("a", "resume"))
        proxy.reset(linked(proxy))
        await until(lambda: "resume" in judge.verbs("a"), "it asked to resume")
        await a.send("b", b"2")
        judge.forbidden.clear()
        await reconnected(a, "b")
        assert [message.data for message in await take_messages(b, 2)] == [b"1", b"2"]
        assert dest_of(b, "a").session == 0


@pytest.mark.parametrize("answer", [None, 1, "yes", [True]])
async def test_only_true_allows(answer: Any) -> None:
    async with node("b", listen=LOOPBACK, authorize=lambda peer, what, verb: answer) as b:
        async with node("a", knows={"b": b.endpoints}) as a:
            await refused(a)
        assert b.dest_count == 0


async def test_one_that_raises_or_hangs_costs_that_wire_only() -> None:
    async def authorize(peer: str, what: str, verb: str) -> bool:
        if peer == "bug":
            raise KeyError(peer)
        if peer == "slow":
            await asyncio.Event().wait()
        return True

    options = {**QUICK, "handshake_timeout": 3.0}
    async with node("b", listen=LOOPBACK, authorize=authorize, options=options) as b:
        at = {"b": b.endpoints}
        async with node("a", knows=at) as a, node("bug", knows=at) as bug, node("slow", knows=at) as slow:
            waits = asyncio.create_task(refused(slow))
            await refused(bug)
            await a.send("b", b"meanwhile", confirm="received")
            await waits
            assert b.list_dests() == ["a"]
            await a.send("b", b"after", confirm="received")
            assert dest_of(b, "a").session == 0


class Listens:
    """A subscriber of a topic."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []

    def received(self, sender: str, data: memoryview) -> None:
        self.heard.append((sender, bytes(data)))

    def session_began(self, dest: str) -> None: ...

    def session_ended(self, dest: str) -> None: ...

    def wires_changed(self, dest: str) -> None: ...

    def writable(self, dest: str) -> None: ...


def port_of(manager: Manager) -> ManagerPort:
    running = manager._running()
    return ManagerPort(running.node, running.dests, running.reception.accept, "test", {})


async def test_a_forbidden_service_and_one_that_is_not_there_look_the_same() -> None:
    judge = Judge(("vault", "use"))
    async with node("b", listen=LOOPBACK, authorize=judge) as b:
        vault, bell = Listens(), Listens()
        port_of(b).subscribe("vault", vault)
        port_of(b).subscribe("bell", bell)
        async with node("a", knows={"b": b.endpoints}) as a:
            await a.send("b", b"1", confirm="received")
            assert ("a", "vault", "use") in judge.asked
            internal = b._running().node.internal
            for count, topic in enumerate(("vault", "nobody"), start=1):
                assert port_of(a).post("b", topic, b"let me in")
                assert port_of(a).post("b", "bell", topic.encode())
                await until(lambda: len(bell.heard) == count, "what was allowed arrives")  # noqa: B023 - awaited here
                assert internal.unknown_topics == count
            assert vault.heard == []
            judge.forbidden.clear()
            assert await b.reauthorize() == ()
            assert port_of(a).post("b", "vault", b"now")
            await until(lambda: vault.heard == [("a", b"now")], "what is allowed by now arrives")


@pytest.mark.parametrize("late", [False, True])
async def test_a_forbidden_relay_looks_like_a_dest_that_is_not_there(late: bool) -> None:
    judge = Judge(("a", "b", "relay"))
    authorize = judge.later if late else judge

    def builders() -> list[Any]:
        return [WebSocketWireBuilder(), RelayWireBuilder()]

    keys = dict(zip(("a", "b", "hub"), key_pair("a", "b", "hub"), strict=True))
    async with node(
        "hub",
        listen=LOOPBACK,
        builders=builders(),
        relay=RelayOptions(),
        authorize=authorize,
        authenticator=keys["hub"],
    ) as hub:
        at = {"hub": hub.endpoints}
        async with (
            node("a", knows=at, builders=builders(), authenticator=keys["a"]) as a,
            node("b", knows=at, builders=builders(), authenticator=keys["b"]) as b,
        ):
            await a.get_or_create_transport("hub")
            await b.get_or_create_transport("hub")
            forbidden, unknown = await refused(a, "b"), await refused(a, "nobody")
            assert type(forbidden) is type(unknown)
            assert str(forbidden).replace("'b'", "'nobody'").replace(" b ", " nobody ") == str(unknown) or late
            assert ("a", "b", "relay") in judge.asked
            judge.forbidden.clear()
            await hub.reauthorize()
            await b.send("a", b"hello", timeout=120, when_down="queue")
            assert [message.data for message in await take_messages(a, 1)] == [b"hello"]


async def test_reauthorize_ends_the_session_of_who_may_not_be_here_any_more() -> None:
    judge = Judge()
    async with node("b", listen=LOOPBACK, authorize=judge) as b:
        at = {"b": b.endpoints}
        async with node("a", knows=at) as a, node("c", knows=at) as c:
            await a.send("b", b"1", confirm="received")
            await c.send("b", b"1", confirm="received")
            assert await b.reauthorize() == ()
            events = b.events()
            judge.forbidden.append("a")
            assert await b.reauthorize("c") == ()
            assert await b.reauthorize() == ("a",)
            ended = await next_of(events, SessionEnded)
            assert (ended.dest, ended.reason) == ("a", EndReason.CLOSED_HERE)
            assert "refused" in ended.detail
            assert b.list_dests() == ["c"]
            await c.send("b", b"still here", confirm="received")
            await until(lambda: judge.verbs("a").count("open") > 1, "a asks to come back")
            with pytest.raises((SessionEndedError, ConnectError, TimeoutError)):
                await a.send("b", b"2", confirm="received", timeout=1.0)
            assert b.list_dests() == ["c"]


@pytest.mark.parametrize("only", [None, "a"])
async def test_a_verdict_of_before_lets_nobody_in_after_reauthorize(only: str | None) -> None:
    revoked, opens, go_on = False, 0, asyncio.Event()

    async def authorize(peer: str, what: str, verb: str) -> bool:
        nonlocal opens
        verdict = not revoked
        if verb == "open":
            opens += 1
            await go_on.wait()
        return verdict

    async with (
        node("b", listen=LOOPBACK, authorize=authorize) as b,
        node("a", knows={"b": b.endpoints}) as a,
    ):
        await a.send("b", b"1", when_down="queue")
        await until(lambda: opens, "it is asked")
        revoked = True
        assert await b.reauthorize(only) == ()
        go_on.set()
        await until(lambda: opens > 1 or b.is_connected("a"), "a is in, or asks again")
        assert not b.is_connected("a")


async def test_a_revoked_key_loses_its_wires_at_the_next_look_and_a_new_one_resumes() -> None:
    a_key, b_key = key_pair("a", "b")
    async with (
        node("b", listen=LOOPBACK, authenticator=b_key) as b,
        node("a", knows={"b": b.endpoints}, authenticator=a_key) as a,
    ):
        await a.send("b", b"1", confirm="received")
        assert await b.reauthorize() == ()
        b_key.ring.forget("a")
        assert await b.reauthorize() == ("a",)
        await until(lambda: not a.is_connected("b"), "a has noticed")
        await a.send("b", b"2")
        assert b.list_dests() == ["a"], "its session waits for a better proof"
        b_key.ring.trust("a", a_key.public_key)
        await reconnected(a, "b")
        assert [message.data for message in await take_messages(b, 2)] == [b"1", b"2"]
        assert dest_of(b, "a").session == 0


async def test_an_authorize_that_fails_when_it_is_asked_again_costs_the_wires_which_come_back() -> None:
    broken = False

    def authorize(peer: str, what: str, verb: str) -> bool:
        if broken:
            raise OSError("the database is away")
        return True

    async with node("b", listen=LOOPBACK, authorize=authorize) as b, node("a", knows={"b": b.endpoints}) as a:
        await a.send("b", b"1", confirm="received")
        broken = True
        assert await b.reauthorize() == ("a",)
        broken = False
        await a.send("b", b"2", confirm="received")
        assert dest_of(b, "a").session == 0
        assert [message.data for message in await take_messages(b, 2)] == [b"1", b"2"]


async def test_what_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="authorize= takes a function"):
        async with node("a", authorize={"b": True}):
            pass
