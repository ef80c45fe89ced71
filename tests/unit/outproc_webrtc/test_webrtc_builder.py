"""Dialling and answering WebRTC wires, with real connections on loopback: `outproc.wires.webrtc.builder`,
`outproc.signaling.desk`, `outproc.wires.webrtc.options` and `outproc.wires.webrtc.ice_servers`."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import Any

import pytest

from litz.errors import BusyError, ConnectError, IncompatibleError, InvalidEndpointError
from litz.testing.recording import RecordingSink
from litz.wire import Endpoint, LossReason, WireLoss
from outproc.signaling.messages import (
    Offer,
    body_of,
    open_envelope,
    read_body,
    seal_envelope,
)
from outproc.wires.webrtc.builder import WebRtcWireBuilder
from outproc.wires.webrtc.options import WebRtcOptions
from tests.unit.outproc_webrtc.signaling_town import LOCAL, Town, town_of

SHORT = LOCAL.model_copy(update={"answer_timeout": 0.3, "open_timeout": 0.5, "session_wait": 0.2})


def kind_of(data: bytes) -> str:
    return read_body(open_envelope(data)[0]).type


def forged(town: Town, sender: str, dest: str, **changes: Any) -> bytes:
    """An offer as `sender` would sign it."""
    fields: dict[str, Any] = {
        "version": 1,
        "sender": sender,
        "dest": dest,
        "session": town.ports[sender].session_name(dest),
        "attempt": os.urandom(16).hex(),
        "expires": 4_000_000_000,
        "fingerprint": ":".join(["AB"] * 32),
        "sdp": "v=0\r\n",
    }
    body = body_of(Offer(**(fields | changes)))
    return seal_envelope(body, town.ports[sender].sign("webrtc", dest, body.encode()))


async def test_a_dialled_wire_meets_the_accepted_one() -> None:
    async with town_of("ann", "bob") as town:
        dialled = await town.dial("ann", "bob")
        accepted = await town.ports["bob"].accepted.get()
        assert dialled.secure and accepted.secure
        assert dialled.channel_binding is not None
        assert dialled.channel_binding == accepted.channel_binding
        assert dialled.path.route == "direct"
        assert dialled.path.local == accepted.path.remote
        assert dialled.path.local.startswith("127.0.0.1:"), "a node that proves nothing stays on this host"
        for port in town.ports.values():
            assert ("127.0.0.1", "sdp") in port.asked, "the manager's filter was not asked about what the peer named"
            assert {host for host, _ in port.asked} == {"127.0.0.1"}
        ours, theirs = RecordingSink(), RecordingSink()
        dialled.start(ours)
        accepted.start(theirs)
        dialled.write([b"hello"])
        await theirs.until(lambda: theirs.frames == [b"hello"], "a frame")
        dialled.close()
        await theirs.until(lambda: theirs.loss is not None, "the end")


async def test_another_connection_has_another_binding() -> None:
    async with town_of("ann", "bob") as town:
        first, second = await town.dial("ann", "bob"), await town.dial("ann", "bob")
        assert first.channel_binding != second.channel_binding
        first.abort()
        second.abort()


@pytest.mark.parametrize("bystander_late", [0.0, 0.02], ids=["together", "a little later"])
async def test_of_two_that_dial_each_other_the_smaller_id_counts(bystander_late: float) -> None:
    async with town_of("ann", "bob") as town:

        async def bob() -> BaseException | None:
            await asyncio.sleep(bystander_late)
            try:
                await town.dial("bob", "ann")
            except BusyError as error:
                return error
            return None

        dialled, error = await asyncio.gather(town.dial("ann", "bob"), bob())
        assert isinstance(error, BusyError), "whoever does not count is told to wait for the peer's wire"
        accepted = await town.ports["bob"].accepted.get()
        assert accepted.channel_binding == dialled.channel_binding
        assert town.ports["ann"].accepted.empty()
        assert not town.builders["ann"]._desk.attempts._pairs  # type: ignore[union-attr]  # it is attached
        assert not town.builders["bob"]._desk.attempts._pairs  # type: ignore[union-attr]  # it is attached
        dialled.abort()


async def test_without_a_session_it_fails_soon_and_says_so() -> None:
    async with town_of("ann", options=SHORT) as town:
        with pytest.raises(TimeoutError, match="no session with bob"):
            await town.dial("ann", "bob")


async def test_without_a_manager_it_says_so() -> None:
    with pytest.raises(ConnectError, match="manager"):
        await WebRtcWireBuilder().build("bob", Endpoint("webrtc", "webrtc:bob"))


async def test_an_endpoint_of_somebody_else_is_refused() -> None:
    async with town_of("ann", "bob") as town:
        with pytest.raises(InvalidEndpointError, match="webrtc:bob"):
            await town.builders["ann"].build("bob", Endpoint("webrtc", "webrtc:eve"))


async def test_every_peer_that_speaks_webrtc_has_an_endpoint_unless_told_otherwise() -> None:
    async with town_of("ann", "bob", "deaf") as town:
        town.ports["deaf"].announced.clear()
        town.meet("ann", "deaf")
        ann, port = town.builders["ann"], town.ports["ann"]
        changes = port.changes
        town.meet("ann", "bob")
        assert list(await ann.endpoints("bob")) == [], "what is over in a moment needs no second wire"
        async with asyncio.timeout(120):
            while port.changes == changes:  # noqa: ASYNC110 - the port has no event for this
                await asyncio.sleep(0.005)
        assert [str(each) for each in await ann.endpoints("bob")] == ["webrtc:bob"], "whoever dials bob asks anew"
        assert list(await ann.endpoints("deaf")) == []
        town.part("ann", "bob")
        assert list(await ann.endpoints("bob")) == []
        with pytest.raises(IncompatibleError, match="does not speak WebRTC"):
            await town.dial("ann", "deaf")
    async with town_of("ann", "bob", options=WebRtcOptions(every_peer=False, upgrade_after=0.01)) as town:
        await asyncio.sleep(0.05)
        assert list(await town.builders["ann"].endpoints("bob")) == []


async def test_a_peer_that_does_not_answer_costs_the_deadline_and_is_told_that_it_is_over() -> None:
    async with town_of("ann", "bob", options=SHORT) as town:
        town.carries = lambda sender, receiver, data: sender == "ann" and kind_of(data) != "offer"
        with pytest.raises(TimeoutError, match="did not answer"):
            await town.dial("ann", "bob")
        assert [kind_of(data) for _, data in town.ports["ann"].posted] == ["offer", "withdraw"]


async def test_a_cancelled_dial_leaves_nothing_at_either_end() -> None:
    async with town_of("ann", "bob") as town:
        for turns in range(0, 60, 3):
            dial = asyncio.create_task(town.dial("ann", "bob"))
            for _ in range(turns):
                await asyncio.sleep(0)
            dial.cancel()
            await asyncio.wait([dial])
            if not dial.cancelled():
                dial.result().abort()
            await _settled(town)


async def test_a_session_that_ends_fails_the_dial_at_once() -> None:
    async with town_of("ann", "bob") as town:
        town.carries = lambda sender, receiver, data: False
        dial = asyncio.create_task(town.dial("ann", "bob"))
        async with asyncio.timeout(120):
            while not town.ports["ann"].posted:  # noqa: ASYNC110 - the port has no event for this
                await asyncio.sleep(0.01)
        town.part("ann", "bob")
        with pytest.raises(ConnectError, match="ended"):
            await dial


async def test_a_replayed_offer_is_dropped() -> None:
    async with town_of("ann", "bob") as town:
        (await town.dial("ann", "bob")).abort()
        await town.ports["bob"].accepted.get()
        await _settled(town)
        offer = town.ports["ann"].posted[0][1]
        posted = len(town.ports["bob"].posted)
        desk = town.builders["bob"]._desk
        assert desk is not None
        for _ in range(5):
            town.ports["bob"].deliver("ann", offer)
        await _settled(town)
        assert desk.counters.dropped == 5
        assert len(town.ports["bob"].posted) == posted, "neither an answer nor a refusal"


async def test_what_is_not_proved_or_not_for_this_session_is_dropped() -> None:
    async with town_of("ann", "bob", "eve") as town:
        desk = town.builders["bob"]._desk
        assert desk is not None
        good = forged(town, "ann", "bob")
        changed = json.loads(good)
        changed["body"] = changed["body"].replace('"expires":4', '"expires":3')
        for sender, data in (
            ("eve", good),  # not hers
            ("ann", json.dumps(changed).encode()),
            ("ann", forged(town, "ann", "eve")),  # for somebody else
            ("ann", forged(town, "ann", "bob", session="session|99")),
            ("ann", b"not an envelope"),
        ):
            town.ports["bob"].deliver(sender, data)
            await _settled(town)
        assert desk.counters.dropped == 5
        assert not town.ports["bob"].posted


async def test_an_authenticator_that_fails_costs_the_message_and_not_those_behind_it() -> None:
    async with town_of("ann", "bob") as town:
        bob, desk = town.ports["bob"], town.builders["bob"]._desk
        assert desk is not None
        verify, fails = bob.verify, [True]

        async def verify_or_fail(topic: str, sender: str, data: bytes, proof: bytes) -> bool:
            if fails:
                raise RuntimeError(f"{fails.pop()}: the authenticator is the user's")
            return await verify(topic, sender, data, proof)

        bob.verify = verify_or_fail  # type: ignore[method-assign]  # one that fails once
        for _ in range(2):
            bob.deliver("ann", forged(town, "ann", "bob"))
        await _settled(town)
        assert (desk.counters.dropped, desk.counters.offers) == (1, 1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"sdp": "nonsense"}, "unfit"), ({"expires": 1_000}, "expired"), ({}, "unfit")],
    ids=["no description", "expired", "no section"],
)
async def test_offers_that_cannot_be_taken_are_refused(change: dict[str, Any], reason: str) -> None:
    soon = {"expires": int(time.time()) + 10}
    async with town_of("ann", "bob") as town:
        town.ports["bob"].deliver("ann", forged(town, "ann", "bob", **(soon | change)))
        await _settled(town)
        ((_, data),) = town.ports["bob"].posted
        assert f'"reason":"{reason}"' in open_envelope(data)[0]


async def test_a_fingerprint_that_is_not_the_signed_one_is_refused() -> None:
    async with town_of("ann", "bob") as town:
        ann = town.ports["ann"]

        def swap(sender: str, receiver: str, data: bytes) -> bool:
            message = read_body(open_envelope(data)[0])
            if sender == "ann" and isinstance(message, Offer):
                other = message.model_copy(update={"fingerprint": ":".join(["CD"] * 32)})
                body = body_of(other)
                town.ports["bob"].deliver("ann", seal_envelope(body, ann.sign("webrtc", "bob", body.encode())))
                return False
            return True

        town.carries = swap
        with pytest.raises(IncompatibleError):
            await town.dial("ann", "bob")
        assert town.ports["bob"].accepted.empty()


async def test_closing_ends_dials_and_answers_under_way() -> None:
    async with town_of("ann", "bob") as town:
        town.carries = lambda sender, receiver, data: kind_of(data) == "offer"
        dial = asyncio.create_task(town.dial("ann", "bob"))
        async with asyncio.timeout(120):
            while not town.ports["bob"].posted:  # noqa: ASYNC110 - the port has no event for this
                await asyncio.sleep(0.01)
        dial.cancel()
        await asyncio.wait([dial])


async def test_a_builder_belongs_to_one_manager() -> None:
    async with town_of("ann") as town:
        with pytest.raises(RuntimeError, match="one manager"):
            town.builders["ann"].attach(town.ports["ann"])  # type: ignore[arg-type]  # it is enough


async def test_a_silent_connection_is_found_dead() -> None:
    options = LOCAL.model_copy(update={"heartbeat": 0.1, "dead_after": 1.5})
    async with town_of("ann", "bob", options=options) as town:
        dialled = await town.dial("ann", "bob")
        sink = RecordingSink()
        dialled.start(sink)
        accepted: Any = await town.ports["bob"].accepted.get()
        for _ in range(5):
            heard = dialled.received_bytes
            async with asyncio.timeout(120):
                while dialled.received_bytes == heard:
                    assert sink.loss is None, "a live peer answers"
                    await asyncio.sleep(0.01)
        accepted.connection._ice.knows = lambda address: False
        dialled.connection._ice.knows = lambda address: False  # type: ignore[attr-defined]  # it is aiortc's
        assert (await _end_of(sink)).reason is LossReason.TIMEOUT


async def _end_of(sink: RecordingSink) -> WireLoss:
    await sink.until(lambda: sink.loss is not None, "the end")
    assert sink.loss is not None
    return sink.loss


async def _settled(town: Town) -> None:
    """Until no attempt is left anywhere and every connection of an ended wire is freed."""
    async with asyncio.timeout(120):
        while True:
            await asyncio.sleep(0.01)
            if not any(
                builder._desk is not None
                and (builder._desk._readers or len(builder._desk.attempts) or builder._answering or builder._freeing)
                for builder in town.builders.values()
            ):
                return
