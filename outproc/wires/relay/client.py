"""The node's side of relaying: its circuits through hubs, dialled and accepted. The topic `relayed`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from litz.errors import BusyError, ConnectError, LitzError, ProtocolError, UnknownDestError, WireClosedError
from litz.node_port import NodePort
from litz.wire import LossReason, WireLoss
from outproc.wires.relay.circuit import WINDOW
from outproc.wires.relay.messages import (
    BY_HUB,
    TO_HUB,
    Accept,
    Close,
    CloseCode,
    Data,
    Open,
    Refuse,
    RefuseCode,
    Window,
    decode,
    encode_accept,
    encode_close,
    encode_open,
    encode_refuse,
)
from outproc.wires.relay.rotation import Rotation
from outproc.wires.relay.wire import KIND, RelayWire

OPEN_TIMEOUT: Final = 5.0
"""Seconds that a circuit may take to open."""

MAX_INCOMING: Final = 1_024
"""Circuits through one hub that others may have open to this node. A hub is trusted with nothing."""

BUSY_AFTER: Final = 0.5
"""Seconds after which to ask again whoever is busy."""

_LOSSES = {CloseCode.DONE: LossReason.REMOTE, CloseCode.ABORTED: LossReason.RESET}


@dataclass(slots=True)
class Hub:
    """One session with a hub, and what goes through it."""

    wires: dict[int, RelayWire] = field(default_factory=dict)
    opening: dict[int, asyncio.Future[RelayWire]] = field(default_factory=dict)
    """Circuits that are not accepted yet."""
    rotation: Rotation[RelayWire] = field(default_factory=Rotation)
    answers: deque[bytes] = field(default_factory=deque)
    """Refusals and closes for circuits without a wire."""
    made: int = -1
    heard: int = BY_HUB - 1
    incoming: int = 0
    windows: dict[RelayWire, None] = field(default_factory=dict)


class RelayClient:
    """See the module. A `PortSubscriber`. `trusted` tells which hubs may bring circuits."""

    def __init__(self, port: NodePort, loop: asyncio.AbstractEventLoop, trusted: Callable[[str], bool]) -> None:
        self._port = port
        self._trusted = trusted
        self._loop = loop
        self._hubs: dict[str, Hub] = {}
        self._serial = count(1)

    # -- dialling -------------------------------------------------------------------------------------

    def usable(self, hub: str) -> bool:
        """Whether a circuit through `hub` can be opened now: not over another relay."""
        return any(kind != KIND for kind in self._port.kinds(hub))

    async def open(self, hub: str, dest: str) -> RelayWire:
        """Open a circuit to `dest`. Raises OSError or a `LitzError`; leaves nothing behind when cancelled."""
        if not self.usable(hub):
            raise WireClosedError(f"there is no wire to the hub {hub} but through other hubs")
        state = self._hubs.setdefault(hub, Hub())
        state.made += 1
        number = state.made
        accepted: asyncio.Future[RelayWire] = self._loop.create_future()
        state.opening[number] = accepted
        try:
            if not self._port.post(hub, TO_HUB, encode_open(number, WINDOW, dest), bulk=True):
                raise BusyError(f"too much waits for the hub {hub}", retry_after=BUSY_AFTER)
            async with asyncio.timeout(OPEN_TIMEOUT):
                return await accepted
        except TimeoutError:
            self._give_up(hub, state, number)
            raise TimeoutError(f"{dest} did not answer through the hub {hub} within {OPEN_TIMEOUT:g} s") from None
        except asyncio.CancelledError:
            self._give_up(hub, state, number)
            raise
        except LitzError as error:
            state.opening.pop(number, None)
            if isinstance(error, ConnectError):
                error.dest = dest
            raise

    def _give_up(self, hub: str, state: Hub, number: int) -> None:
        state.opening.pop(number, None)
        wire = state.wires.get(number)
        if wire is not None:
            wire.abort()
        elif self._hubs.get(hub) is state:
            self._answer(hub, state, encode_close(number, CloseCode.ABORTED))

    # -- what hubs say --------------------------------------------------------------------------------

    def received(self, sender: str, data: memoryview) -> None:
        message = decode(data)
        state = self._hubs.setdefault(sender, Hub())
        if isinstance(message, Open):
            self._incoming(sender, state, message)
            return
        wire = state.wires.get(message.circuit)
        opening = state.opening.get(message.circuit)
        match message:
            case Accept() if opening is not None and not opening.done():
                wire = state.wires[message.circuit] = self._wire(sender, message.circuit)
                wire.circuit.allow(message.credit)
                opening.set_result(wire)
                del state.opening[message.circuit]
            case Refuse() if opening is not None and not opening.done():
                opening.set_exception(_refused(sender, message))
            case Close():
                if opening is not None and not opening.done():
                    opening.set_exception(WireClosedError(f"the circuit closed before it was open: {message.text}"))
                elif wire is not None:
                    wire.end(WireLoss(_LOSSES.get(message.code, LossReason.RESET), message.text))
            case Data() if wire is not None:
                wire.take(message.frame)
            case Window() if wire is not None:
                wire.circuit.allow(message.credit)
                self.ready(wire)
            case _:
                pass  # about a circuit that is over

    def _incoming(self, hub: str, state: Hub, message: Open) -> None:
        if message.circuit <= state.heard:
            raise ProtocolError(f"the hub {hub} opened circuit {message.circuit} after {state.heard}")
        state.heard = message.circuit
        refusal: tuple[RefuseCode, str] | None = None
        if not self._trusted(hub):
            refusal = RefuseCode.UNREACHABLE, "it does not use this hub"
        elif not self.usable(hub):
            refusal = RefuseCode.NESTED, "it reaches the hub through a relay"
        elif state.incoming >= MAX_INCOMING:
            refusal = RefuseCode.BUSY, "it has too many circuits"
        if refusal is not None:
            if len(state.answers) < MAX_INCOMING:
                self._answer(hub, state, encode_refuse(message.circuit, *refusal))
        else:
            wire = state.wires[message.circuit] = self._wire(hub, message.circuit)
            state.incoming += 1
            wire.circuit.allow(message.credit)
            self._answer(hub, state, encode_accept(message.circuit, wire.circuit.granted))
            self._port.accept(wire, hub)

    def _wire(self, hub: str, number: int) -> RelayWire:
        return RelayWire(self._loop, self, self._port.local_id, hub, number, serial=next(self._serial))

    # -- news -----------------------------------------------------------------------------------------

    def session_began(self, dest: str) -> None:
        """Nothing is open yet."""

    def session_ended(self, dest: str) -> None:
        """What went through this hub is broken; its numbers begin anew."""
        state = self._hubs.pop(dest, None)
        if state is not None:
            self._break(state, f"the session with the hub {dest} ended")

    def wires_changed(self, dest: str) -> None:
        """A hub that is reached only through other hubs is none."""
        state = self._hubs.get(dest)
        if state is not None and self._port.kinds(dest) and not self.usable(dest):
            for wire in state.wires.values():
                wire.circuit.abort()
            self._break(state, f"the hub {dest} is reached only through another relay")

    def _break(self, state: Hub, why: str) -> None:
        for opening in list(state.opening.values()):
            if not opening.done():
                opening.set_exception(WireClosedError(why))
        for wire in list(state.wires.values()):
            wire.end(WireLoss(LossReason.RESET, why))

    # -- posting --------------------------------------------------------------------------------------

    def ready(self, wire: RelayWire) -> None:
        """A wire has something to send."""
        state = self._hubs.get(wire.hub)
        if state is not None and wire.circuit.number in state.wires:
            state.rotation.add(wire)
            self.writable(wire.hub)

    def window(self, wire: RelayWire) -> None:
        """A wire has room to announce."""
        state = self._hubs.get(wire.hub)
        if state is not None:
            state.windows[wire] = None
            self._post_windows(wire.hub, state)

    def ended(self, wire: RelayWire) -> None:
        """A wire is dead. What it still has to say is kept apart from it."""
        state = self._hubs.get(wire.hub)
        if state is None or state.wires.pop(wire.circuit.number, None) is None:
            return
        state.incoming -= wire.circuit.number >= BY_HUB
        state.rotation.discard(wire)
        state.windows.pop(wire, None)
        if wire.circuit.cost() is not None and not wire.circuit.queued:
            self._answer(wire.hub, state, b"".join(wire.circuit.next_bulk()))

    def _answer(self, hub: str, state: Hub, message: bytes) -> None:
        state.answers.append(message)
        self.writable(hub)

    def _post_windows(self, hub: str, state: Hub) -> None:
        while state.windows:
            wire = next(iter(state.windows))
            if not self._port.post(hub, TO_HUB, wire.circuit.next_window()):
                return
            del state.windows[wire]

    def writable(self, dest: str) -> None:
        """The internal lanes to a hub take more."""
        state = self._hubs.get(dest)
        if state is None:
            return
        self._post_windows(dest, state)
        while state.answers:
            if not self._port.post(dest, TO_HUB, state.answers[0], bulk=True):
                return
            state.answers.popleft()
        while (wire := state.rotation.next(_cost)) is not None:
            if not self._port.post(dest, TO_HUB, wire.circuit.next_bulk(), bulk=True):
                return
            state.rotation.spent(wire, wire.circuit.cost() or 0)
            wire.circuit.posted()
            wire.sent()


def _cost(wire: RelayWire) -> int | None:
    return wire.circuit.cost()


def _refused(hub: str, message: Refuse) -> LitzError:
    if message.code is RefuseCode.BUSY:
        return BusyError(f"the hub {hub} is busy: {message.text}", retry_after=BUSY_AFTER)
    if message.code is RefuseCode.NESTED:
        return WireClosedError(f"through the hub {hub} it would be a relay in a relay: {message.text}")
    return UnknownDestError(f"the hub {hub} cannot reach it", dest="")
