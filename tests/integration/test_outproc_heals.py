"""The manager on real sockets: wires are cut, peers restart and leave, and what was sent arrives once and in order.

Covers `outproc.dest_transport`, `outproc.link` and `outproc.joining`; more of them is in the simulation.
"""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import ConnectError, PeerClosedError, PeerRestartedError, UnknownDestError
from litz.events import EndReason, Outcome, SessionEnded, SessionStarted, WireDown, WireUp
from litz.payload import PayloadType
from litz.snapshot import DestState
from outproc import pool
from tests.integration.outproc_nodes import (
    LOOPBACK,
    Manager,
    dest_of,
    dials,
    lane_of,
    next_of,
    node,
    proxy_to,
    take,
    until,
    url_of,
)
from tests.prove.fault_link import Way
from tests.prove.fault_proxy import FaultProxy

LANES = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here wires break more often in a row than they are dialled at once: the pool's own tests have the rest."""
    monkeypatch.setattr(pool, "AT_ONCE", 10_000)


async def talk_while(a: Manager, b: Manager, harm: asyncio.Task[None]) -> None:
    """Both send on all reliable lanes until `harm` is done; then all must have arrived once and in order."""

    async def flood(sender: Manager, dest: str) -> int:
        count = 0
        while not harm.done() or count < 300:
            await sender.send(dest, b"%d" % count, payload_type=LANES[count % 3])
            count += 1
            if count % 20 == 0:
                await asyncio.sleep(0.001)
        return count

    flooding = asyncio.gather(flood(a, "b"), flood(b, "a"))
    from_a: list[bytes] = []
    from_b: list[bytes] = []
    reading = [asyncio.create_task(collect(b, from_a)), asyncio.create_task(collect(a, from_b))]
    counts = await flooding
    await harm
    await asyncio.gather(a.drain(timeout=120), b.drain(timeout=120))
    await until(lambda: [len(from_a), len(from_b)] == list(counts), "all that was drained is consumed")
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)
    for got, count in zip((from_a, from_b), counts, strict=True):
        for lane in range(3):
            assert [n for n in map(int, got) if n % 3 == lane] == list(range(lane, count, 3))


async def collect(manager: Manager, into: list[bytes]) -> None:
    stream = manager.messages()
    while True:
        into.append((await stream.__anext__()).data)


@pytest.mark.both_loops
@pytest.mark.parametrize("fault", ["reset", "cut up", "cut down", "blackhole", "one way", "half-close"])
async def test_heals_and_loses_nothing(fault: str) -> None:
    async def harm(proxy: FaultProxy, a: Manager) -> None:
        for round_ in range(3 if fault in ("blackhole", "one way") else 12):
            await until(lambda: proxy.links and a.is_connected("b"), "a wire through the proxy")
            heals = dest_of(a, "b").heals
            link = proxy.links[max(proxy.links)]
            match fault:
                case "reset":
                    proxy.reset(link)
                case "cut up" | "cut down":
                    proxy.cut_after(link, Way(fault[4:]), 1 + 777 * round_)
                case "blackhole":
                    proxy.blackhole(link)
                case "one way":
                    proxy.blackhole(link, [Way.UP if round_ % 2 else Way.DOWN])
                case _:
                    proxy.half_close(link, Way.UP if round_ % 2 else Way.DOWN)
            await until(lambda: dest_of(a, "b").heals > heals, "it heals")  # noqa: B023 - awaited in this round

    async with node("b", listen=LOOPBACK) as b, proxy_to(b) as proxy, node("a", knows={"b": [url_of(proxy)]}) as a:
        events = a.events()
        await a.send("b", b"meet")
        await take(b, 1)
        # The meeting took number 0 of the lane; the session is never renewed.
        await b.send("a", b"meet")
        await take(a, 1)
        await talk_while(a, b, asyncio.create_task(harm(proxy, a)))
        assert dest_of(a, "b").session == 0
        await a.aclose()
        (started,) = [e for _, e in [pair async for pair in events] if isinstance(e, SessionStarted)]
        assert (started.dest, started.session, started.verified) == ("b", 0, False)


async def test_of_two_endpoints_only_the_broken_one_is_dialled_again() -> None:
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as first,
        proxy_to(b) as second,
        node("a", knows={"b": [url_of(first), url_of(second)]}) as a,
    ):
        await a.send("b", b"0", confirm="received")
        await until(lambda: dials(a, "b") == [1, 1] and len(dest_of(a, "b").wires) == 2, "a wire to each endpoint")
        for round_ in range(1, 11):
            first.reset(first.links[max(first.links)])
            await a.send("b", b"%d" % round_, confirm="received")
            await until(lambda: dials(a, "b")[0] == round_ + 1 and len(first.links) == 1, "redialled")  # noqa: B023 - awaited in this round
            await until(lambda: len(dest_of(a, "b").wires) == 2, "two wires again")
        assert dials(a, "b") == [11, 1]
        assert dest_of(a, "b").heals == 0, "with another wire up the dest was never down"
        assert [m.data for m in await take(b, 11)] == [b"%d" % n for n in range(11)]


async def test_a_peer_that_only_accepts_sends_through_the_others_wires() -> None:
    async with node("b", listen=LOOPBACK) as b, proxy_to(b) as proxy, node("a", knows={"b": [url_of(proxy)]}) as a:
        with pytest.raises(UnknownDestError, match="let it dial this node"):
            await b.send("a", b"too early")
        early = await b.send("a", b"0", when_down="queue")
        await a.get_or_create_transport("b")
        for number in range(1, 6):
            proxy.reset(proxy.links[max(proxy.links)])
            await b.send("a", b"%d" % number, confirm="received", timeout=120)
        assert [m.data for m in await take(a, 6)] == [b"%d" % n for n in range(6)]
        assert (early[1], dest_of(b, "a").slots) == (0, ())


async def test_a_restarted_peer_ends_the_session_with_the_exact_list_of_the_lost() -> None:
    async with node("a") as a:
        events = a.events()
        async with node("b", listen=LOOPBACK) as b, proxy_to(b) as proxy:
            a.add_endpoints("b", [url_of(proxy)])
            for number in range(5):
                await a.send("b", b"%d" % number, confirm="received")
            # Frozen by a blackhole, so that what follows is written and never acknowledged.
            proxy.blackhole(proxy.links[max(proxy.links)])
            unknown = [await a.send("b", b"u%d" % number) for number in range(3)]
            await until(lambda: lane_of(a, "b").sent == 8, "accepted")
            proxy.refusing = True
            await until(lambda: not a.is_connected("b"), "the silent wire is given up")
            never = [await a.send("b", b"n%d" % number) for number in range(2)]
            port = b.endpoints[0]
            asking = asyncio.create_task(a.drain("b"))
            # b vanishes without a goodbye that a could hear, and starts anew at the same address.
            await b.aclose()
            async with node("b", listen=port) as restarted:
                proxy.refusing = False
                ended = await next_of(events, SessionEnded)
                assert (ended.reason, ended.session) == (EndReason.PEER_RESTARTED, 0)
                outcomes = {item.receipt: item.outcome for item in ended.lost}
                assert list(outcomes) == unknown + never
                assert {outcomes[receipt] for receipt in unknown} == {Outcome.UNKNOWN}
                assert {outcomes[receipt] for receipt in never} == {Outcome.NEVER_ACCEPTED}
                with pytest.raises(PeerRestartedError) as caught:
                    await asking
                assert caught.value.lost == ended.lost
                receipt = await a.send("b", b"again", timeout=120)
                assert (receipt[0].session, receipt[1]) == (1, 0)
                assert [m.data for m in await take(restarted, 1)] == [b"again"]


async def test_a_peer_that_said_goodbye_is_not_dialled_again() -> None:
    async with node("b", listen=LOOPBACK) as b, proxy_to(b) as proxy, node("a", knows={"b": [url_of(proxy)]}) as a:
        events = a.events()
        await a.send("b", b"0", confirm="received")
        answer = asyncio.create_task(a.send("b", b"1", confirm="processed"))
        await until(lambda: lane_of(b, "a").received == 2, "arrived, and nobody consumes it")
        accepted = proxy.counts["accepted"]
        await b.close_transport("a", reason="enough")
        ended = await next_of(events, SessionEnded)
        assert (ended.reason, ended.detail, ended.lost) == (EndReason.CLOSED_BY_PEER, "enough", ())
        with pytest.raises(PeerClosedError, match="goodbye"):
            await answer
        assert a.has_dest("b") is None
        await asyncio.sleep(0.3)  # longer than the largest backoff: a redial would have come
        assert proxy.counts["accepted"] == accepted
        with pytest.raises(PeerClosedError, match=r"enough.*reopen=True"):
            await a.send("b", b"not by chance")
        assert proxy.counts["accepted"] == accepted
        await a.send("b", b"but the user may", confirm="received", reopen=True)
        assert proxy.counts["accepted"] == accepted + 1


@pytest.mark.both_loops
async def test_simultaneous_dials_converge_to_one_wire() -> None:
    for _ in range(15):
        async with node("a", listen=LOOPBACK) as a, node("b", listen=LOOPBACK) as b:
            a.add_endpoints("b", b.endpoints)
            b.add_endpoints("a", a.endpoints)
            await asyncio.gather(*(s.send(d, b"%d" % n) for n in range(20) for s, d in ((a, "b"), (b, "a"))))
            assert [m.data for m in await take(a, 20)] == [b"%d" % n for n in range(20)]
            assert [m.data for m in await take(b, 20)] == [b"%d" % n for n in range(20)]
            await until(lambda: len(dest_of(a, "b").wires) == len(dest_of(b, "a").wires) == 1, "one wire is left")
            await a.send("b", b"", confirm="received")
            assert dest_of(a, "b").session == dest_of(b, "a").session == 0
            total = sum(dials(a, "b")) + sum(dials(b, "a"))
            assert total <= 2, f"the loser of a tie was dialled again: {total} dials"


async def test_reconnect_dials_now_and_once() -> None:
    slow = {"backoff_base": 50.0, "backoff_cap": 50.0}
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}, options=slow) as a,
    ):
        await a.send("b", b"0", confirm="received")
        proxy.refusing = True
        proxy.reset(proxy.links[max(proxy.links)])
        await until(lambda: dials(a, "b") == [2] and not a.is_connected("b"), "the first redial failed")
        await until(lambda: dest_of(a, "b").slots[0].retry_in, "it waits for its backoff")
        with pytest.raises(ConnectError, match="cannot reach b; ws://"):
            await a.reconnect("b")
        proxy.refusing = False
        await asyncio.gather(*(a.reconnect("b") for _ in range(100)))
        assert dials(a, "b") == [4]
        assert a.has_dest("b") is DestState.CONNECTED
        await a.reconnect("b")
        assert dials(a, "b") == [4], "a healthy wire was touched"


async def test_reconnect_with_one_endpoint_down_ends() -> None:
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [*b.endpoints, url_of(proxy)]}) as a,
    ):
        proxy.refusing = True
        await a.send("b", b"0", confirm="received")
        await a.reconnect("b")
        with pytest.raises(ConnectError, match="of kind tin-can"):
            await a.reconnect("b", "tin-can")


async def test_events_tell_the_life_of_wires() -> None:
    async with node("b", listen=LOOPBACK) as b, proxy_to(b) as proxy, node("a", knows={"b": [url_of(proxy)]}) as a:
        events = a.events()
        await a.send("b", b"0", confirm="received")
        up = await next_of(events, WireUp)
        assert (up.dest, up.kind, up.dialled) == ("b", "websocket", True)
        proxy.reset(proxy.links[max(proxy.links)])
        down = await next_of(events, WireDown)
        assert (down.dest, down.wires_left) == ("b", 0)
        assert "connection lost" in down.cause
        assert (await next_of(events, WireUp)).dialled


async def test_a_wire_that_carried_an_answer_is_redialled_at_once() -> None:
    """The answer may come together with the OK, before the dial has ended: it counts all the same. A wire that counted
    as failed would wait for its backoff, which is longer here than this test may take."""
    slow = {"backoff_base": 100.0, "backoff_cap": 100.0}
    async with (
        node("b", listen=LOOPBACK) as b,
        proxy_to(b) as proxy,
        node("a", knows={"b": [url_of(proxy)]}, options=slow) as a,
    ):
        proxy.latency = 0.005
        await a.send("b", b"0", confirm="received")
        for number in range(1, 16):
            proxy.reset(proxy.links[max(proxy.links)])
            await a.send("b", b"%d" % number, confirm="received", timeout=120)
        assert dials(a, "b") == [16]
        assert len(await take(b, 16)) == 16
