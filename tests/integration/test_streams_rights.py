"""Who may open a stream or a pipe, who is asked, and what that costs. On real wires, judged by counts.

Covers `outproc.streams.offers`, `outproc.streams.traffic`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest

from litz import Stream
from litz.errors import ConnectError, StreamRefusedError
from litz.stream_port import Abort, Later, Offer, Refusal, Refused
from tests.integration.outproc_nodes import LOOPBACK, node, proxy_to, until, url_of
from tests.integration.stream_nodes import nothing_left, opened, streams_of, two_nodes
from tests.integration.stream_users import Service, User


async def test_unknown_and_forbidden_services_look_the_same_and_withdrawn_rights_abort() -> None:
    allowed = {"mail", "nobody-listens"}
    asked: list[tuple[str, str]] = []

    def authorize(peer: str, what: str, verb: str) -> bool:
        if verb == "stream":
            asked.append((peer, what))
            return what in allowed
        return True

    async with two_nodes(of_bob={"authorize": authorize}) as (alice, bob):
        mail, secret = Service(bob, "mail"), Service(bob, "secret")
        user = await opened(alice, service="mail")
        told = []
        for service in ("secret", "nobody-listens", "unheard-of"):
            with pytest.raises(StreamRefusedError) as refused:
                await opened(alice, service=service)
            told.append((refused.value.why, str(refused.value).replace(service, "it")))
        assert all(one == other for one, other in pairwise(told))
        assert not secret.offers
        assert asked == [("alice", each) for each in ("mail", "secret", "nobody-listens", "unheard-of")]
        assert await bob.reauthorize() == ()
        allowed.clear()
        assert await bob.reauthorize() == ("alice",)
        assert mail.users[0].end == ("aborted", Abort.REJECTED)
        await until(lambda: user.end == ("aborted", Abort.REJECTED), "the peer hears")


async def test_nobody_goes_for_a_stream_that_is_not_taken() -> None:
    def authorize(peer: str, what: str, verb: str) -> bool:
        return verb != "stream" or what != "secret"

    async with (
        node("bob", listen=LOOPBACK, options={"max_streams": 2}, authorize=authorize) as bob,
        node("alice", knows={"bob": bob.endpoints}) as alice,
    ):
        mail = Service(bob, "mail")
        Service(bob, "secret")
        for _ in range(2):
            await opened(alice, service="mail")
        unused = mail.users[:2]
        for user in unused:
            user.side.attach(False)
        mail.answer = Refused(Refusal.REJECTED, "not now")
        for service, why in (("secret", 1), ("unheard-of", 1), ("mail", 3), ("secret", 1)):
            with pytest.raises(StreamRefusedError) as refused:
                await opened(alice, service=service)
            assert refused.value.why == why
            assert [user.end for user in unused] == [None, None]
        mail.answer = None
        await opened(alice, service="mail")
        assert [user.end for user in unused] == [("aborted", Abort.IDLE), None]


async def test_an_offer_that_waits_while_rights_are_withdrawn_is_refused_like_a_forbidden_one() -> None:
    allowed = {"mail"}

    def authorize(peer: str, what: str, verb: str) -> bool:
        return verb != "stream" or what in allowed

    async with two_nodes(of_bob={"authorize": authorize}) as (alice, bob):
        mail = Service(bob, "mail")
        mail.answer = Later.LATER
        waiting = asyncio.create_task(opened(alice, service="mail"))
        await until(lambda: bool(mail.users), "it is offered")
        allowed.clear()
        assert await bob.reauthorize() == ("alice",)
        told = []
        for opening in (waiting, opened(alice, service="mail")):
            with pytest.raises(StreamRefusedError) as refused:
                await opening
            told.append((refused.value.why, str(refused.value), refused.value.retry_after))
        assert told[0] == told[1]
        assert told[0][0] == Refusal.REFUSED
        assert mail.users[0].end == ("aborted", Abort.REJECTED)


async def test_rights_that_are_withdrawn_while_the_peer_has_no_wire_end_its_streams() -> None:
    allowed = {"mail"}

    def authorize(peer: str, what: str, verb: str) -> bool:
        return verb != "stream" or what in allowed

    async with (
        node("bob", listen=LOOPBACK, authorize=authorize) as bob,
        proxy_to(bob) as proxy,
        node("alice", knows={"bob": [url_of(proxy)]}) as alice,
    ):
        mail = Service(bob, "mail")
        user = await opened(alice, service="mail")
        proxy.refusing = True
        proxy.reset(proxy.links[max(proxy.links)])
        await mail.users[0].heard("down", 1)
        allowed.clear()
        assert await bob.reauthorize() == ("alice",)
        assert mail.users[0].end == ("aborted", Abort.REJECTED)
        proxy.refusing = False
        with suppress(ConnectError):  # one that was under way may have been refused still
            await alice.reconnect("bob")
        await until(lambda: user.end == ("aborted", Abort.REJECTED), "the peer hears")


async def test_rights_on_many_services_are_judged_again_side_by_side() -> None:
    names = ("a", "b", "c")
    again = asyncio.Event()
    asked: set[str] = set()
    all_asked = asyncio.Event()

    async def authorize(peer: str, what: str, verb: str) -> bool:
        if verb == "stream" and again.is_set():
            asked.add(what)
            if asked == set(names):
                all_asked.set()
            await all_asked.wait()  # one after the other nobody would get an answer
            return what != "b"
        return True

    async with two_nodes(of_bob={"authorize": authorize}, handshake_timeout=60.0) as (alice, bob):
        services = {name: Service(bob, name) for name in names}
        for name in names:
            await opened(alice, service=name)
        again.set()
        assert await bob.reauthorize() == ("alice",)
        ends = {name: service.users[0].end for name, service in services.items()}
        assert ends == {"a": None, "b": ("aborted", Abort.REJECTED), "c": None}


async def test_an_authorize_that_takes_its_time_or_fails_decides_as_well() -> None:
    gate = asyncio.Event()

    async def authorize(peer: str, what: str, verb: str) -> bool:
        if verb == "stream":
            await gate.wait()
            if what == "broken":
                raise ValueError("no database")
            if what == "cancelled":
                raise asyncio.CancelledError("its own")
            return what == "mail"
        return True

    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(repr(context["exception"])))
    async with two_nodes(of_bob={"authorize": authorize}, handshake_timeout=60.0) as (alice, bob):
        names = ("mail", "broken", "forbidden", "cancelled")
        for name in names:
            Service(bob, name)
        opening = [asyncio.create_task(opened(alice, service=name)) for name in names]
        await until(lambda: alice._running().streams.of("bob") is not None, "the session stands")
        await until(lambda: streams_of(alice, "bob").table.live == 4, "they are asked for")
        gate.set()
        answers = await asyncio.gather(*opening, return_exceptions=True)
        assert isinstance(answers[0], User)
        assert [type(each) for each in answers[1:]] == [StreamRefusedError] * 3
        assert sorted(errors) == ["CancelledError('its own')", "ValueError('no database')"]


async def test_errors_about_what_a_peer_asks_for_are_told_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    def authorize(peer: str, what: str, verb: str) -> bool:
        if what == "unjudged":
            raise ValueError("no database")
        return True

    def accept(offer: Offer) -> Any:
        raise LookupError(offer.metadata.decode())

    async def handler(stream: Stream) -> None:
        """Never called."""

    told: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["message"]))
    async with two_nodes(of_bob={"authorize": authorize}) as (alice, bob):
        bob.listen_streams("streams", handler, accept=accept)
        bob.listen_pipe_connections("pipes", accept)
        for service in ("unjudged", "streams", "pipes"):
            for number in range(20):
                with pytest.raises(StreamRefusedError):
                    await alice.open_pipe("bob", service) if service == "pipes" else await alice.open_stream(
                        "bob", service, metadata=b"%d" % number
                    )
    assert len(told) == 3, told
    assert "a stream that alice wants" in told[0]
    assert "accept of the service 'streams'" in told[1]
    logged = [record.getMessage() for record in caplog.records if record.name == "litz.pipes"]
    assert told[2] == "litz: the service 'streams' is over; 19 more of its errors were not told"
    assert logged == [
        "the service 'pipes' could not decide about a pipe of 'alice'",
        "the service 'pipes' is over; 19 more of its errors were not told",
    ]


async def test_opens_that_are_given_up_do_not_pile_up_before_authorize() -> None:
    gate = asyncio.Event()
    thinking = 0

    async def authorize(peer: str, what: str, verb: str) -> bool:
        nonlocal thinking
        if verb == "stream":
            thinking += 1
            await gate.wait()
            thinking -= 1
        return True

    async with two_nodes(of_bob={"authorize": authorize}, handshake_timeout=60.0, max_offers=2) as (alice, bob):
        Service(bob, "echo")

        def asked() -> bool:
            streams = bob._running().streams.of("alice")
            return streams is not None and streams.table.live == 1

        for times in range(1, 6):
            opening = asyncio.create_task(opened(alice))
            await until(lambda: opening.done() or asked(), "it is asked for, or refused")  # noqa: B023 - awaited here
            assert opening.done() == (times > 2)
            opening.cancel()
            answer = await asyncio.gather(opening, return_exceptions=True)
            assert isinstance(answer[0], StreamRefusedError if times > 2 else asyncio.CancelledError)
            await nothing_left(alice, bob)
        assert thinking == 2
        gate.set()
        await until(lambda: not thinking, "they have decided")
        await opened(alice)
