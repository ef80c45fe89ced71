"""From a verb of the manager to the log of a lane: which transport, which lane, and whether to wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from litz.departures import draining_error
from litz.dest import validate_dest
from litz.dest_watch import DestWatch
from litz.errors import BackpressureError, ConnectError, LitzError
from litz.events import LostReceipt
from litz.manager import Confirm, WhenDown
from litz.message import Receipt
from litz.payload import PayloadType
from litz.retry import Retry
from litz.send_arguments import check_when_down, checked_key
from litz.snapshot import DestState
from litz.stream_host import StreamHost
from litz.within import LATE_DRAIN, within
from outproc.addressing import Addressing
from outproc.begin_anew import ask_again, reopened, trust_changed
from outproc.body import body_of
from outproc.confirmations import all_of
from outproc.dest_table import DestTable
from outproc.dest_transport import DestTransport
from outproc.dial_gate import DialGate
from outproc.durable import Durable
from outproc.durable_port import DurablePort
from outproc.lame_duck import LameDuck
from outproc.leaving_talk import LeavingTalk
from outproc.leaving_words import TOPIC
from outproc.local_node import LocalNode
from outproc.manager_port import ManagerPort
from outproc.network_news import NetworkChange
from outproc.network_watch import NetworkWatch, adapt
from outproc.reauthorize import reauthorize
from outproc.reception import Reception
from outproc.relay_options import RelayOptions
from outproc.requesting import Requests
from outproc.session.fixed_lanes import RPC_LANE
from outproc.session.log import EntryDetail
from outproc.session.session import LOSSY_LANE
from outproc.streams.streams import Streams
from outproc.streams.traffic import StreamTraffic
from outproc.streams.words import TOPIC as STREAM_TOPIC
from outproc.transport_owner import TransportOwner
from outproc.wake_watch import WakeWatch, rouse


class Dispatch:
    """What an entered manager works with: the part of it that needs a loop."""

    stream_host: StreamHost
    """What the public verbs of streams stand on. Given by the manager at once."""

    def __init__(
        self, node: LocalNode, owner: TransportOwner, addressing: Addressing, durable: Durable, watch: DestWatch
    ) -> None:
        self.node = node
        self._durable = durable
        self._owner = owner
        self._addressing = addressing
        self._late: dict[DestTransport, deque[tuple[int, bytes, EntryDetail]]] = {}
        self._dial_gate = DialGate(node)
        base = int.from_bytes(node.environment.entropy(8), "little") >> 1
        self.requests = Requests(base, node.options.max_requests, node.inbox, self.append, self._append_now)
        self.dests = DestTable(node, self._make)
        self.reception = Reception(node, self.dests.of_peer)
        talk = LeavingTalk(node, self.dests.get)
        node.internal.subscribe(TOPIC, talk)
        self.lame_duck = LameDuck(node, self.dests, self.requests, talk)
        self.streams = Streams(node, self.dests, self._reach, watch)
        node.streams = StreamTraffic(node, self.dests, self.streams)
        node.internal.subscribe(STREAM_TOPIC, self.streams)
        node.rights.standing = self._has_session
        if node.environment.clocks is not None:
            node.health.wake_watch = WakeWatch(node.environment.clocks, node.ping_after, self._woke)
        if node.environment.network is not None and node.options.watch_network:
            node.network = NetworkWatch(node.loop, node.timers, node.environment.network, self._network_changed)
            addressing.leaving_host = node.network.needed

    def attach_builders(self, relay: RelayOptions | None) -> None:
        """Give each builder its port. `relay`: this node is a hub, within what `authorize` allows."""
        settings: dict[str, object] = {} if relay is None else {"relay": self._within_rights(relay)}
        for builder in self._addressing.builders:
            kind, allow = builder.kind, self._addressing.allow
            builder.attach(ManagerPort(self.node, self.dests, self.reception.accept, kind, settings, allow=allow))
        self._durable.attach(DurablePort(self.node, self.dests, self.reception.accept, "durable", settings))

    def _within_rights(self, relay: RelayOptions) -> RelayOptions:
        rights, allow = self.node.rights, relay.allow_relay
        if not rights.asks:
            return relay

        def allowed(sender: str, dest: str) -> bool:
            return (allow is None or allow(sender, dest)) and rights.may_relay(sender, dest)

        return relay.model_copy(update={"allow_relay": allowed})

    async def reauthorize(self, dest: str | None) -> tuple[str, ...]:
        """Judge everybody who is connected, or only `dest`, anew. The caller's cancel disturbs nothing."""
        transports = self.dests.transports(dest)
        for transport in transports:
            trust_changed(transport.dialler, self.node.now())
        work = reauthorize(self.node, transports, dest)
        return await asyncio.shield(self.node.spawn(work, "litz reauthorize"))

    def reopen(self, dest: str) -> None:
        """The goodbye of `dest` does not count any more, nor when it said that it would be back."""
        self.node.departures.back(dest)
        transport = self.dests.get(dest)
        if transport is not None:
            reopened(transport.dialler, self.node.now())

    def _has_session(self, dest: str) -> bool:
        transport = self.dests.get(dest)
        return transport is not None and transport.session.pair is not None

    def _make(self, dest: str) -> DestTransport:
        transport = DestTransport(
            self.node, dest, self._owner, self.requests, resolver=self._addressing, dial_gate=self._dial_gate
        )
        departure = self.node.departures.find(dest, self.node.now())
        if departure is not None and departure.mark is not None:
            transport.gate.resume(departure.mark)  # a late word of the life that said goodbye is no return
        transport.dialler.rests_until = self.node.departures.back_at(dest, self.node.now())
        if self.node.leaving is not None:
            transport.outbound.turn_away(draining_error(self.node.local_id))
        return transport

    def _woke(self, slept: float) -> None:
        rouse(self.node, self.dests.transports(), slept)

    def _network_changed(self, change: NetworkChange) -> None:
        adapt(self.node, self.dests.transports(), change, self._addressing.is_local)

    async def send(
        self,
        dest: str,
        data: Any,
        payload_type: PayloadType,
        *,
        confirm: Confirm | None,
        key: str | None,
        when_down: WhenDown | None,
    ) -> Receipt:
        """`TransportManager.send` without its fast path and its timeout."""
        if payload_type == PayloadType.RPC_DURABLE:
            if self.node.leaving is not None:
                raise draining_error(self.node.local_id)
            key = checked_key(key) if key is not None else None
            standing = self.dests.get(dest)
            if standing is not None and standing.dialler.supervisor.rests:
                ask_again(standing.dialler, waits=confirm is not None)
            return await self._durable.send(dest, data, confirm=confirm, key=key, when_down=when_down)
        lane = _lane_of(payload_type, confirm)
        body = body_of(data, self.node.options.max_message)
        detail = EntryDetail(key=checked_key(key)) if key is not None else None
        transport = await self._transport(dest, when_down, waits=confirm is not None)
        outbound = transport.outbound
        full = outbound.batch_is_full(lane)
        if self._durable.spills and lane == RPC_LANE:
            taken = self._durable.accept(outbound, dest, body, detail)
            if taken is None:
                return await self._durable.spill(outbound, dest, data, confirm=confirm, key=key)
            receipt = taken
        else:
            receipt = await outbound.accept_in_turn(lane, body, detail)
        if confirm is not None:
            future = outbound.confirmation(receipt, confirm)
            if future is not None:
                await future
        elif full:
            # A tight loop of sends lets the loop breathe once per flush.
            outbound.flush()
            await asyncio.sleep(0)
            outbound.begin_batch(lane)
        return receipt

    async def _transport(self, dest: str, when_down: WhenDown | None, *, waits: bool) -> DestTransport:
        """The one to send by. `waits`: what is sent will be waited for, so that a dest that rests is dialled."""
        if when_down is not None:
            check_when_down(when_down)
        transport = self.dests.get(dest)
        if transport is not None and not transport.closing:
            state = transport.state
            if state is DestState.CONNECTED:
                return transport
            if state is DestState.DETACHED and when_down != "fail":
                if transport.dialler.supervisor.rests:
                    ask_again(transport.dialler, waits=waits or when_down not in (None, "queue"))
                return transport
        validate_dest(dest)
        match when_down:
            case "queue":
                return self.dests.existing_or_new(dest)
            case "fail":
                raise ConnectError(f"no wire to {dest} is up; connect first, or let send wait", dest=dest)
            case _:
                return await self.dests.connect(dest, when_down if isinstance(when_down, Retry) else None)

    async def _reach(self, dest: str) -> DestTransport:
        """For a stream."""
        return await self._transport(dest, None, waits=True)

    def send_nowait(self, dest: str, data: Any, payload_type: PayloadType, key: str | None) -> Receipt:
        """`TransportManager.send_nowait` without its fast path."""
        lane = _lane_of(payload_type, None)
        body = body_of(data, self.node.options.max_message)
        detail = EntryDetail(key=checked_key(key)) if key is not None else None
        transport = self.dests.existing_or_new(validate_dest(dest))
        if transport.outbound.batch_is_full(lane):
            transport.outbound.flush()
        if self._durable.spills and lane == RPC_LANE:
            receipt = self._durable.accept(transport.outbound, dest, body, detail)
        else:
            receipt = transport.outbound.accept(lane, body, detail, first=False)
        if receipt is None:
            full = transport.outbound.what_is_full(lane, len(body))
            raise BackpressureError(f"{full}; await send() to wait for space, or try again later")
        return receipt

    async def drain(self, dest: str | None, timeout: float | None) -> tuple[LostReceipt, ...]:
        """`TransportManager.drain` that is not final."""
        async with within(timeout, *LATE_DRAIN):
            await self._drain(dest)
        return ()

    async def _drain(self, dest: str | None) -> None:
        if dest is not None:
            transport = self.dests.get(validate_dest(dest))
            transports = [transport] if transport is not None else []
        else:
            transports = self.dests.transports()
        futures = [future for transport in transports for future in transport.outbound.unconfirmed_ends()]
        futures += [future for transport in transports for future in self.node.streams.unconfirmed(transport)]
        for transport in transports:
            transport.outbound.arm()
        await all_of([*futures, *self._durable.unconfirmed(dest)])

    async def append(self, dest: str, lane: int, data: Any, detail: EntryDetail, when_down: WhenDown | None) -> Receipt:
        """Accept a request or a reply."""
        transport = await self._transport(dest, when_down, waits=True)
        receipt = await transport.outbound.accept_in_turn(lane, body_of(data, self.node.options.max_message), detail)
        transport.outbound.check_kept(receipt)
        return receipt

    def _append_now(self, dest: str, lane: int, data: bytes, detail: EntryDetail) -> None:
        transport = self.dests.get(dest)
        if transport is None or transport.closing:
            return
        if transport.outbound.accept(lane, data, detail, first=True) is None:
            late = self._late.setdefault(transport, deque())
            late.append((lane, data, detail))
            if len(late) == 1:
                self.node.spawn(self._append_late(transport, late), f"litz cancel at {dest}")

    async def _append_late(self, transport: DestTransport, late: deque[tuple[int, bytes, EntryDetail]]) -> None:
        """Cancellations that found their log full wait for space. They are of requests that the logs and windows of the
        session hold or held, so these bound them."""
        try:
            while late:
                await transport.outbound.accept_in_turn(*late[0])
                late.popleft()
        except LitzError:
            pass  # closed: there is nobody to be told
        finally:
            del self._late[transport]


def _lane_of(payload_type: PayloadType, confirm: Confirm | None) -> int:
    if payload_type is PayloadType.MEDIA:
        raise ValueError("MEDIA is reserved; choose another payload type")
    if payload_type == PayloadType.RPC_DURABLE:
        raise ValueError("a durable message is committed before it is accepted; await send()")
    lane = int(PayloadType(payload_type))
    if confirm is not None:
        if lane == LOSSY_LANE:
            raise ValueError("STREAM_LATENCY_FIRST is never acknowledged; confirm needs a reliable payload type")
        if confirm == "durable":
            raise ValueError("confirm='durable' needs a durable inbox there and an outbox here: send RPC_DURABLE")
        if confirm not in ("received", "processed"):
            raise ValueError(f"confirm is 'received', 'processed' or 'durable', not {confirm!r}")
    return lane
