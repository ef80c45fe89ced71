"""Mutual TLS on real sockets: ids are in certificates, on listeners, dials and the one-port service.

Covers `outproc.security.mutual_tls`, `outproc.security.certificate_ids`, `outproc.wires.websocket.peer_certificates`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from litz.errors import ConnectError, UnauthenticatedError
from litz.events import PeerViolation
from outproc.node.service import NodeService
from outproc.security import MutualTlsAuthenticator, SharedKeyAuthenticator
from outproc.wires.relay.builder import RelayWireBuilder
from outproc.wires.websocket import WebSocketWireBuilder
from tests.integration.identities import authority, dialling, serving, stranger_authority
from tests.integration.outproc_nodes import LOOPBACK, Manager, dest_of, next_of, node, take, until

WSS = "wss://127.0.0.1:0"


@asynccontextmanager
async def tls_node(
    name: str,
    *,
    shows: tuple[bytes, bytes] | None = None,
    by: MutualTlsAuthenticator | None = None,
    listen: ssl.SSLContext | None = None,
    **more: Any,
) -> AsyncIterator[Manager]:
    """A node with mutual TLS; it shows `shows` where it dials."""
    pair = shows or authority().issue(name)
    builders = [WebSocketWireBuilder(ssl=dialling(pair)), *more.pop("beside", ())]
    async with node(name, builders=builders, authenticator=by or MutualTlsAuthenticator(), **more) as manager:
        if listen is not None:
            await manager.listen(WSS, ssl=listen)
        yield manager


async def refusal(a: Manager, dest: str = "b") -> BaseException:
    with pytest.raises(ConnectError) as caught:
        await a.send(dest, b"?", timeout=120)
    return caught.value.attempts[0].error


@pytest.mark.both_loops
async def test_certificates_prove_both_ends() -> None:
    async with (
        tls_node("b", listen=serving(authority().issue("b"))) as b,
        tls_node("a", knows={"b": b.endpoints}) as a,
    ):
        await a.send("b", b"hello", confirm="received")
        (message,) = await take(b, 1)
        assert (message.sender, message.verified) == ("a", True)
        assert dest_of(a, "b").verified


async def test_one_certificate_may_name_several_ids_and_ids_may_be_of_any_script() -> None:
    pair = authority().issue("x", "ünï/b%20", uris=["spiffe://trust.example/b", "litz:%ff", "litz:with space%20"])
    async with (
        tls_node("ünï/b%20", listen=serving(pair)) as b,
        tls_node("a", knows={"ünï/b%20": b.endpoints}) as a,
    ):
        await a.send("ünï/b%20", b"hello", confirm="received")


async def test_an_id_of_ones_own_scheme() -> None:
    def spiffe(certificate: object) -> list[str]:
        return ["a", "b"]  # what a user's function would find in the certificate

    by = MutualTlsAuthenticator(ids_of=spiffe)
    bare = authority().issue()
    async with (
        tls_node("b", by=by, listen=serving(bare)) as b,
        tls_node("a", by=by, shows=bare, knows={"b": b.endpoints}) as a,
    ):
        await a.send("b", b"hello", confirm="received")


async def test_a_certificate_of_another_id_is_refused_at_both_ends() -> None:
    async with tls_node("b", listen=serving(authority().issue("b"))) as b:
        events = b.events()
        async with tls_node("a", shows=authority().issue("c"), knows={"b": b.endpoints}) as a:
            assert isinstance(await refusal(a), UnauthenticatedError)
        detail = (await next_of(events, PeerViolation)).detail
        assert "names 'c' and not 'a'" in detail
        assert "URI:litz:a" in detail
        assert b.dest_count == 0
    async with (
        tls_node("b", listen=serving(authority().issue("c"))) as b,
        tls_node("a", knows={"b": b.endpoints}) as a,
    ):
        assert "names 'c' and not 'b'" in str(await refusal(a))


async def test_a_dialler_without_a_certificate_is_told_that_one_is_wanted() -> None:
    by = MutualTlsAuthenticator()
    async with tls_node("b", listen=serving(authority().issue("b"))) as b:
        bare = [WebSocketWireBuilder(ssl=dialling(None))]
        async with node("a", builders=bare, authenticator=by, knows={"b": b.endpoints}) as a:
            error = await refusal(a)
            assert isinstance(error, UnauthenticatedError | OSError), repr(error)
        assert b.dest_count == 0


async def test_a_listener_that_asks_for_no_certificates_lets_nobody_in() -> None:
    lax = serving(authority().issue("b"))
    lax.verify_mode = ssl.CERT_NONE
    async with tls_node("b", listen=lax) as b:
        events = b.events()
        async with tls_node("a", knows={"b": b.endpoints}) as a:
            assert isinstance(await refusal(a), UnauthenticatedError)
        assert "verify_mode=CERT_REQUIRED" in (await next_of(events, PeerViolation)).detail


async def test_a_certificate_that_the_dialler_did_not_verify_proves_nothing() -> None:
    careless = dialling(authority().issue("a"))
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    async with tls_node("b", listen=serving(authority().issue("b"))) as b:
        builders = [WebSocketWireBuilder(ssl=careless)]
        async with node("a", builders=builders, authenticator=MutualTlsAuthenticator(), knows={"b": b.endpoints}) as a:
            assert "showed no certificate" in str(await refusal(a))


async def test_an_authority_that_the_context_trusts_and_the_authenticator_does_not() -> None:
    """A context may trust more than may name ids: the system's authorities, say."""
    both = authority().pem + stranger_authority().pem
    only = MutualTlsAuthenticator(authorities=authority().pem)
    async with tls_node("b", by=only, listen=serving(authority().issue("b"), trusts=both)) as b:
        events = b.events()
        async with tls_node("a", shows=stranger_authority().issue("a"), knows={"b": b.endpoints}) as a:
            assert isinstance(await refusal(a), UnauthenticatedError)
        assert "no authority that may name ids" in (await next_of(events, PeerViolation)).detail
        async with tls_node("a", knows={"b": b.endpoints}) as a:
            await a.send("b", b"hello", confirm="received")


async def test_a_plain_wire_is_refused_unless_a_second_authenticator_proves_it() -> None:
    async with tls_node("b", listen=serving(authority().issue("b"))) as b:
        await b.listen(LOOPBACK)
        async with tls_node("a", knows={"b": b.endpoints[1:]}) as a:
            assert "showed no certificate on this websocket wire" in str(await refusal(a))
    second = MutualTlsAuthenticator(otherwise=SharedKeyAuthenticator(b"s" * 32))
    async with tls_node("b", by=second) as b:
        await b.listen(LOOPBACK)
        async with tls_node("a", by=second, knows={"b": b.endpoints}) as a:
            await a.send("b", b"hello", confirm="received")


async def test_a_relayed_wire_needs_the_second_authenticator() -> None:
    from outproc.relay_options import RelayOptions

    async def relayed(by: MutualTlsAuthenticator | None) -> None:
        context = serving(authority().issue("hub"))
        async with tls_node("hub", by=by, listen=context, beside=[RelayWireBuilder()], relay=RelayOptions()) as hub:
            at = {"hub": hub.endpoints}
            async with (
                tls_node("b", by=by, knows=at, beside=[RelayWireBuilder()]) as b,
                tls_node("a", by=by, knows=at, beside=[RelayWireBuilder()]) as a,
            ):
                await b.get_or_create_transport("hub")
                await a.get_or_create_transport("hub")
                if by is None:
                    with pytest.raises(ConnectError, match=r"showed no certificate on this relay wire.*otherwise="):
                        await a.send("b", b"?", timeout=120)
                else:
                    await a.send("b", b"hello", confirm="received")

    await relayed(None)
    await relayed(MutualTlsAuthenticator(otherwise=SharedKeyAuthenticator(b"s" * 32)))


async def test_the_one_port_service_carries_it() -> None:
    service = NodeService()
    async with tls_node("b") as b:
        service.add_wires(b.accept)
        async with service:
            at = await service.listen(WSS, ssl=serving(authority().issue("b")))
            async with tls_node("a", knows={"b": [str(at)]}) as a:
                await a.send("b", b"hello", confirm="received")
                (message,) = await take(b, 1)
                assert message.verified


async def test_an_authority_taken_out_of_use_drops_its_wires_when_they_are_looked_at() -> None:
    by = MutualTlsAuthenticator(authorities=authority().pem + stranger_authority().pem)
    trusts = authority().pem + stranger_authority().pem
    async with (
        tls_node("b", by=by, listen=serving(authority().issue("b"), trusts=trusts)) as b,
        tls_node("a", knows={"b": b.endpoints}) as a,
        tls_node("s", shows=stranger_authority().issue("s"), knows={"b": b.endpoints}) as s,
    ):
        await a.send("b", b"hello", confirm="received")
        await s.send("b", b"hello", confirm="received")
        assert await b.reauthorize() == ()
        by.trust_only(authority().pem)
        assert await b.reauthorize() == ("s",)
        await until(lambda: not s.is_connected("b"), "the wire of s is gone")
        assert dest_of(b, "a").wires
        assert not dest_of(b, "s").wires
        await a.send("b", b"still here", confirm="received")
