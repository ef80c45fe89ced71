"""Every error class of `litz.errors` can be met by a user of real sockets, and says what to do about it."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from litz import errors
from litz.events import PeerDraining, PeerViolation
from litz.payload import PayloadType
from outproc import Overflow
from outproc.frames.records import Batch
from outproc.security.sealing import Opener, Sealer
from outproc.session.identity import Half
from tests.integration import flow_error_triggers as flow
from tests.integration.error_triggers import (
    Trigger,
    attempt_at,
    forbidden,
    gave_up,
    proxy_refused,
    raised,
    two,
    untrusted_peer,
)
from tests.integration.outproc_nodes import (
    LOOPBACK,
    QUICK,
    Manager,
    key_pair,
    lane_of,
    next_of,
    node,
    proxy_to,
    until,
    url_of,
)
from tests.integration.outproc_raw_peer import raw_node, raw_peer
from tests.unit.outproc_websocket.kit import fake_server


async def invalid_dest() -> BaseException:
    async with node("a") as a:
        return await raised(a.send("no spaces", b""))


async def invalid_endpoint() -> BaseException:
    async with node("a") as a:
        return await raised(a.listen("carrier-pigeon:coop"))


async def manager_state() -> BaseException:
    return await raised(Manager("a").send("b", b""))


async def consumer_conflict() -> BaseException:
    async with node("a") as a:
        stream = a.messages()
        error = await raised(a.serve(print))
        await stream.aclose()
        return error


async def not_a_request() -> BaseException:
    async with two() as (_, b):
        return await raised((await b.messages().__anext__()).reply(b""))


async def message_too_large() -> BaseException:
    async with two({"max_message": 1000}) as (a, _):
        return await raised(a.send("b", bytes(1001)))


async def payload() -> BaseException:
    async with two() as (a, _):
        return await raised(a.send("b", "text"))


async def backpressure() -> BaseException:
    async with two({"overflow": {PayloadType.STREAM_RELIABLE: Overflow.REJECT}, "log_messages": 2}) as (a, _):
        lane = PayloadType.STREAM_RELIABLE

        async def flood() -> None:
            for _ in range(4):
                a.send_nowait("b", b"", payload_type=lane)

        return await raised(flood())


async def insecure_listen() -> BaseException:
    async with node("a") as a:
        return await raised(a.listen("ws://0.0.0.0:0"))


# -- dialling --------------------------------------------------------------------------------------------


async def connect() -> BaseException:
    async with node("a", knows={"b": ["ws://127.0.0.1:9"]}) as a:
        return await raised(a.send("b", b""))


async def unknown_dest() -> BaseException:
    async with node("a") as a:
        return await raised(a.send("b", b""))


async def handshake() -> BaseException:
    async with fake_server(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as url:
        return await attempt_at(url)


async def incompatible() -> BaseException:
    async with fake_server(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n") as url:
        return await attempt_at(url)


async def unauthenticated() -> BaseException:
    _, b_key = key_pair("a", "b")
    async with node("b", listen=LOOPBACK, authenticator=b_key) as b:
        return await attempt_at(b.endpoints[0])


async def busy() -> BaseException:
    async with fake_server(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n") as url:
        error = await attempt_at(url)
        assert isinstance(error, errors.BusyError)
        assert error.retry_after == 7
        return error


async def protocol() -> BaseException:
    async with fake_server(None, b"\x82\x04{\x00\x00\x00") as url:
        return await attempt_at(url)


async def wire_closed() -> BaseException:
    async with fake_server(None, b"\x88\x02\x03\xe8") as url:
        return await attempt_at(url)


# -- sessions --------------------------------------------------------------------------------------------


async def session_ended() -> BaseException:
    lane = PayloadType.STREAM_RELIABLE
    async with two({"overflow": {lane: Overflow.FAIL}, "log_messages": 2}) as (a, _):

        async def flood() -> None:
            for _ in range(4):
                a.send_nowait("b", b"", payload_type=lane)

        return await raised(flood())


async def peer_restarted() -> BaseException:
    async with node("a") as a, node("b", listen=LOOPBACK) as b, proxy_to(b) as proxy:
        a.add_endpoints("b", [url_of(proxy)])
        await a.send("b", b"", confirm="received")
        waiting = asyncio.create_task(raised(a.send("b", b"", confirm="processed")))
        await until(lambda: lane_of(a, "b").sent == 2, "sent")
        async with node("b", listen=LOOPBACK) as second:
            proxy.target = ("127.0.0.1", int(second.endpoints[0].rpartition(":")[2]))
            proxy.reset(proxy.links[max(proxy.links)])
            return await waiting


async def session_expired() -> BaseException:
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}, options={**QUICK, "session_kept": 0.1}) as a,
    ):
        await a.send("b", b"", confirm="received")
        proxy.refusing = True
        proxy.reset(proxy.links[max(proxy.links)])
        await until(lambda: not a.is_connected("b"), "down")
        return await raised(a.send("b", b"", confirm="received"))


async def peer_closed() -> BaseException:
    async with two() as (a, b):
        waiting = asyncio.create_task(raised(a.send("b", b"", confirm="processed")))
        await until(lambda: lane_of(b, "a").received == 2, "sent")
        await b.close_transport("a")
        return await waiting


async def session_fault() -> BaseException:
    async with node("b", listen=LOOPBACK) as b:
        who = raw_node("mallory")
        theirs: Half | None = None
        waiting: asyncio.Task[BaseException] | None = None
        for epoch in range(1, 4):
            async with raw_peer(b.endpoints[0], "b", node=who) as peer, asyncio.timeout(120):
                await peer.prove()
                await peer.join(yours=theirs)
                theirs = peer.session.pair.yours if peer.session.pair else None
                if waiting is None:
                    waiting = asyncio.create_task(raised(b.send("mallory", b"", confirm="received")))
                    await until(lambda: lane_of(b, "mallory").sent == 1, "sent")
                await peer.records(Batch(0, epoch, 500, 0, 0, [b"too far"]))
                await peer.gone()
        assert waiting is not None
        return await waiting


async def replaced() -> BaseException:
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}) as old,
    ):
        await old.send("b", b"", confirm="received")
        waiting = asyncio.create_task(raised(old.send("b", b"", confirm="processed")))
        await until(lambda: lane_of(b, "a").received == 2, "sent")
        async with node("a", knows={"b": b.endpoints}) as new:
            await new.send("b", b"", confirm="received")
            return await waiting


async def message_dropped() -> BaseException:
    async with node(
        "a", options={"overflow": {PayloadType.RPC_RELIABLE: Overflow.DROP_OLDEST}, "log_messages": 2}
    ) as a:
        waiting = asyncio.create_task(raised(a.send("b", b"0", confirm="received", when_down="queue")))
        await until(lambda: a.dest_count == 1, "accepted")
        for _ in range(3):
            a.send_nowait("b", b"")
        return await waiting


# -- requests --------------------------------------------------------------------------------------------


async def remote() -> BaseException:
    def handler(message: object) -> None:
        raise KeyError("the drawer is empty")

    async with two() as (a, b):
        serving = asyncio.create_task(b.serve(handler))
        error = await raised(a.request("b", b""))
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return error


async def request_timeout() -> BaseException:
    async with two() as (a, _):
        return await raised(a.request("b", b"", timeout=0.05))


async def seal_broken() -> BaseException:
    """What costs a sealed wire: here without the wire, since between two honest sockets nobody changes a byte."""
    frame = bytearray(Sealer(bytes(32)).seal([b"hello"]))
    frame[0] ^= 1

    async def receive() -> bytes:
        return Opener(bytes(32)).open(bytes(frame))

    return await raised(receive())


async def outcome_unknown() -> BaseException:
    async with two() as (a, b):
        asking = asyncio.create_task(raised(a.request("b", b"")))
        await until(lambda: lane_of(b, "a").received == 2, "asked")
        await b.aclose()
        return await asking


async def draining() -> BaseException:
    async with two() as (a, _):
        await a.drain(final=True, timeout=60)
        return await raised(a.send("b", b""))


async def peer_draining() -> BaseException:
    async with two() as (a, b):
        events = a.events()
        await b.drain(final=True, timeout=60)
        await next_of(events, PeerDraining)
        return await raised(a.send("b", b""))


TRIGGERS: dict[type[BaseException], tuple[Trigger, str]] = {
    errors.InvalidDestError: (invalid_dest, "space"),
    errors.InvalidEndpointError: (invalid_endpoint, "schemes there are: unix, ws, wss"),
    errors.ManagerStateError: (manager_state, "use it inside `async with`"),
    errors.ConsumerConflictError: (consumer_conflict, "close that stream first"),
    errors.NotARequestError: (not_a_request, "does not wait for an answer"),
    errors.MessageTooLargeError: (message_too_large, "cut it into several, raise max_message"),
    errors.PayloadError: (payload, "encode it first"),
    errors.BackpressureError: (backpressure, "try again later"),
    errors.InsecureListenError: (insecure_listen, "pass authenticator="),
    errors.ConnectError: (connect, "cannot reach b; ws://127.0.0.1:9: ConnectionRefusedError"),
    errors.GaveUpError: (gave_up, r"ask for it again with reconnect\(\), or send to it"),
    errors.ProxyError: (proxy_refused, "cannot reach the proxy"),
    errors.UntrustedPeerError: (untrusted_peer, "then reconnect|correct|trust"),
    errors.ForbiddenError: (forbidden, "change that if it may"),
    errors.DrainingError: (draining, "send from another node"),
    errors.PeerDrainingError: (peer_draining, "send elsewhere"),
    errors.UnknownDestError: (unknown_dest, r"name one with add_endpoints\(\) or in the directory"),
    errors.HandshakeError: (handshake, "check the URL"),
    errors.IncompatibleError: (incompatible, "does not speak litz.1"),
    errors.UnauthenticatedError: (unauthenticated, "I prove ids by ed25519"),
    errors.BusyError: (busy, "try again in 7 s"),
    errors.ProtocolError: (protocol, "JSON|json|object"),
    errors.SealBrokenError: (seal_broken, "reach the peer another way"),
    errors.WireClosedError: (wire_closed, "closed by the peer"),
    errors.SessionEndedError: (session_ended, "send less, or choose another"),
    errors.PeerRestartedError: (peer_restarted, "send again what it needs"),
    errors.SessionExpiredError: (session_expired, "no wire came up for as long as a session is kept"),
    errors.PeerClosedError: (peer_closed, "the peer said goodbye"),
    errors.SessionFaultError: (session_fault, "broke the session's rules"),
    errors.ReplacedError: (replaced, "stop one of them"),
    errors.MessageDroppedError: (message_dropped, "choose another policy, or send it again"),
    errors.RemoteError: (remote, "handler at b raised KeyError: 'the drawer is empty'"),
    errors.RequestTimeoutError: (request_timeout, "it may have run"),
    errors.OutcomeUnknownError: (outcome_unknown, "it may have run"),
    errors.StreamRefusedError: (flow.stream_refused, "nothing"),
    errors.StreamAbortedError: (flow.stream_aborted, "no more of this"),
    errors.StreamLostError: (flow.stream_lost, "open another"),
    errors.EndOfStreamError: (flow.end_of_stream, "the peer has finished"),
    errors.StreamStateError: (flow.stream_state, "open another stream"),
    errors.PipeResetError: (flow.pipe_reset, "reset|abort"),
    errors.ResumeImpossibleError: (flow.resume_impossible, "open a new pipe"),
    errors.OrderBrokenError: (flow.order_broken, "order"),
    errors.AdmissionRefusedError: (flow.admission_refused, "uploads"),
}


@pytest.mark.parametrize("kind", TRIGGERS, ids=lambda kind: kind.__name__)
async def test_a_user_can_meet_it_and_read_its_cure(kind: type[BaseException]) -> None:
    trigger, cure = TRIGGERS[kind]
    error = await trigger()
    assert type(error) is kind, repr(error)
    with pytest.raises(kind, match=cure):
        raise error


def test_no_error_class_is_left_out() -> None:
    """`LitzError` and `RequestError` are bases only."""
    classes = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.LitzError)}
    assert classes - set(TRIGGERS) == {errors.LitzError, errors.RequestError}


async def test_a_violation_names_the_wire_and_the_claim() -> None:
    async with node("b", listen=LOOPBACK) as b:
        events = b.events()
        async with raw_peer(b.endpoints[0], "b") as peer:
            await peer.send(b"\x00")
            await peer.gone()
        violation = await next_of(events, PeerViolation)
        assert "127.0.0.1" in violation.wire
        assert "before the handshake" in violation.detail
