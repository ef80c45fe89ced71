"""The map of dests: what is connecting, what is there, and who waits for which (P3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from litz.departures import draining_error
from litz.errors import Attempt, ConnectError
from litz.events import Connecting as ConnectingEvent
from litz.events import EndReason
from litz.retry import Patience, Retry
from litz.snapshot import DestState
from outproc.begin_anew import ask_again
from outproc.connect_errors import patience_over
from outproc.dest_transport import DestTransport
from outproc.local_node import LocalNode
from outproc.retry.classify import is_retryable


@dataclass(slots=True, eq=False)
class Connecting:
    """The first dial is under way: everybody waits for `event`; `task` is the node's, not a caller's."""

    event: asyncio.Event
    task: asyncio.Task[None]
    transport: DestTransport
    calm: bool = False
    """Nobody of those who wait is in a hurry: the dials keep their own time."""
    patient: dict[Patience, None] = field(default_factory=dict)
    """Of those who may sit through a failure."""
    error: ConnectError | None = None


@dataclass(slots=True, eq=False)
class Connected:
    """The transport exists. Whether a wire is up is another question."""

    transport: DestTransport


class DestTable:
    """`dict[dest, Connecting | Connected]`, and the only place that changes it."""

    def __init__(self, node: LocalNode, make: Callable[[str], DestTransport]) -> None:
        self._node = node
        self._make = make
        self._dests: dict[str, Connecting | Connected] = {}
        self.closed = False
        """The node is closing: nothing new begins."""

    def __len__(self) -> int:
        return len(self._dests)

    def names(self) -> list[str]:
        return list(self._dests)

    def transports(self, only: str | None = None) -> list[DestTransport]:
        """All of them, or that of one dest if there is one."""
        return [entry.transport for dest, entry in self._dests.items() if only in (None, dest)]

    def get(self, dest: str) -> DestTransport | None:
        """The transport of `dest` in whatever state, None if there is nothing."""
        entry = self._dests.get(dest)
        return entry.transport if entry is not None else None

    def state(self, dest: str) -> DestState | None:
        entry = self._dests.get(dest)
        return entry.transport.state if entry is not None else None

    def of_peer(self, dest: str) -> DestTransport | None:
        """The transport for a peer that proved itself, made if there is none; None: too many dests, or closing."""
        transport = self.get(dest)
        if transport is None:
            if self.closed or len(self._dests) >= self._node.options.max_dests:
                return None
            transport = self._make(dest)
            transport.await_wires()
            self._dests[dest] = Connected(transport)
        return transport

    def existing_or_new(self, dest: str, *, by_right: bool = False) -> DestTransport:
        """The transport of `dest`, dialled in the background if it is new. `by_right`: also after its goodbye, which
        stands all the same for those who send. Raises ConnectError over `max_dests`, PeerClosedError,
        DrainingError."""
        transport = self.get(dest)
        if not by_right and (transport is None or transport.state is DestState.CONNECTING):
            self._check_open(dest)
        if transport is None:
            self._check_room(dest)
            transport = self._make(dest)
            self._dests[dest] = Connected(transport)
        dialler = transport.dialler
        if dialler.supervisor.rests:
            ask_again(dialler, waits=False)
        elif not dialler.wanted and transport.state is DestState.CONNECTING:
            dialler.start_round()
        return transport

    def _check_open(self, dest: str) -> None:
        """Whether users may begin something with `dest`. Raises DrainingError, PeerClosedError."""
        if self._node.leaving is not None:
            raise draining_error(self._node.local_id)
        self._node.departures.check(dest, self._node.now())

    def _check_room(self, dest: str) -> None:
        if self.closed:
            raise ConnectError(f"{dest} is not dialled any more, because this side is closing", dest=dest)
        limit = self._node.options.max_dests
        if len(self._dests) >= limit:
            raise ConnectError(f"{limit} dests are open already; close some, or raise max_dests", dest=dest)

    async def connect(self, dest: str, retry: Retry | None = None) -> DestTransport:
        """The transport of `dest` after its first session has begun. A thousand callers share one dial, and its
        error; cancelling any of them disturbs no other. Raises ConnectError, PeerClosedError after a goodbye.

        `retry`: how many failures this caller sits through. It then waits for the dials that are made in any case."""
        patience = Patience(retry, self._node.now()) if retry is not None else None
        waited = False
        while True:
            entry = self._dests.get(dest)
            if entry is None or entry.transport.state is DestState.CONNECTING:
                self._check_open(dest)
            if entry is None:
                entry = self._begin(dest)
            elif isinstance(entry, Connected):
                transport = entry.transport
                if transport.state is not DestState.CONNECTING and not transport.closing:
                    return transport
                if transport.closing:
                    await transport.gone_for_good.wait()
                    continue
                entry = self._begin(dest, transport)
            elif entry.calm and not waited:
                entry.calm = False
                entry.transport.dialler.start_round()
            waited = True
            if patience is not None:
                await self._wait_patiently(entry, patience)
                if entry.error is not None and not patience.lost:
                    continue
            await entry.event.wait()
            if entry.error is not None:
                # One error for all: without this each of a thousand would add its frames to those of all before it.
                raise entry.error.with_traceback(None)
            # Level-triggered: the state may have moved on since the event was set.
            if not entry.transport.closing:
                return entry.transport

    async def reconnect(self, dest: str, kind: str | None) -> None:
        """`TransportManager.reconnect`."""
        transport = self.get(dest)
        if transport is None or transport.state is DestState.CONNECTING:
            await self.connect(dest)
        else:
            await asyncio.shield(transport.dialler.start_round(kind))

    async def _wait_patiently(self, entry: Connecting, patience: Patience) -> None:
        """Wait for the end of this round, but not beyond the caller's own deadline."""
        entry.patient[patience] = None
        try:
            async with asyncio.timeout_at(patience.deadline):
                await entry.event.wait()
        except TimeoutError:
            if not entry.event.is_set():
                dest = entry.transport.dest
                raise patience_over(dest, entry.transport.dialler.latest_failure) from None
        finally:
            entry.patient.pop(patience, None)
            if entry.calm and not entry.patient and not entry.event.is_set():
                self._abandon(entry)

    def _begin(self, dest: str, transport: DestTransport | None = None, *, calm: bool = False) -> Connecting:
        if transport is None:
            self._check_room(dest)
            transport = self._make(dest)
        if not calm:
            self._node.emit(ConnectingEvent(dest))
        event = asyncio.Event()
        task = self._node.spawn(self._dial(dest, transport, event, calm), f"litz connect {dest}")
        entry = self._dests[dest] = Connecting(event, task, transport, calm)
        return entry

    async def _dial(self, dest: str, transport: DestTransport, event: asyncio.Event, calm: bool) -> None:
        error: ConnectError | None = None
        try:
            await (transport.dialler.next_round() if calm else transport.dialler.start_round())
        except ConnectError as failure:
            error = failure
        except asyncio.CancelledError:
            error = ConnectError(f"the dial of {dest} was given up because this side closed", dest=dest)
            raise
        finally:
            entry = self._dests.get(dest)
            if isinstance(entry, Connecting) and entry.event is event:
                entry.error = error
                self._settle(dest, entry)
            event.set()

    def _settle(self, dest: str, entry: Connecting) -> None:
        transport = entry.transport
        if entry.error is None or transport.state is not DestState.CONNECTING:
            entry.error = None if not transport.closing else entry.error
            self._dests[dest] = Connected(transport)
        elif self._stay(entry, entry.error):
            self._begin(dest, transport, calm=True)
        elif transport.outbound.holds_messages:
            # Something was accepted for it: it stays until it can be reached.
            self._dests[dest] = Connected(transport)
        elif transport.shown_half.may_be_paired(transport.session.mine) and not self.closed:
            # The answer was lost, perhaps: then to the peer the session stands, and its users' messages are under way.
            # So it is kept, and dialled, as long as the peer would keep it; in vain, if it never had it.
            transport.dialler.asked_for = False
            transport.await_wires()
            self._dests[dest] = Connected(transport)
        else:
            transport.end_session(EndReason.CLOSED_HERE, str(entry.error), None, then_close=True)

    def _abandon(self, entry: Connecting) -> None:
        """Nobody waits any more for dials that went on only for those who did."""
        transport = entry.transport
        if self._dests.get(transport.dest) is entry:
            entry.error = patience_over(transport.dest, transport.dialler.latest_failure)
            self._settle(transport.dest, entry)
            entry.event.set()

    def _stay(self, entry: Connecting, error: ConnectError) -> bool:
        """Whether some of those who wait sit through this failure; each of them decides by itself."""
        pointless = self.closed or not is_retryable(error) or bool(entry.transport.dialler.supervisor.gave_up)
        now, stay = self._node.now(), False
        for patience in entry.patient:
            stay |= patience.sits_through(now, pointless=pointless)
        return stay

    def joined(self, transport: DestTransport) -> None:
        """A wire of `transport` is up, whoever dialled it."""
        entry = self._dests.get(transport.dest)
        if isinstance(entry, Connecting) and entry.transport is transport:
            self._dests[transport.dest] = Connected(transport)
            entry.event.set()

    def forget(self, transport: DestTransport) -> None:
        """The transport is closed for good. By identity: a successor stays."""
        entry = self._dests.get(transport.dest)
        if entry is not None and entry.transport is transport:
            del self._dests[transport.dest]
            if isinstance(entry, Connecting):
                for patience in entry.patient:
                    patience.lost = True
                why = transport.outbound.closed
                entry.error = entry.error or ConnectError(
                    f"the transport of {transport.dest} was closed while it was dialled",
                    dest=transport.dest,
                    attempts=[Attempt(transport.dest, why)] if why is not None else (),
                )
                entry.event.set()
