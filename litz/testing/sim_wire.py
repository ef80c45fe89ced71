"""Simulated wires, and the connection between two of them with the faults it can be commanded to have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Literal

from litz.message import Buffer
from litz.testing.sim_pipe import Pipe
from litz.wire import HIGH_WATER, LOW_WATER, LossReason, UrgentChannel, Wire, WireLoss, WirePath, WireSink

if TYPE_CHECKING:
    from litz.testing.sim_network import SimHost, SimNetwork, WireSpec

Side = Literal["dialler", "acceptor"]

CLOSE_TIMEOUT = 1.0
"""Seconds that `close` waits for a peer that does not read."""


class _State(Enum):
    OPEN = "open"
    CLOSING = "closing"
    ABORTED = "aborted"
    DEAD = "dead"


URGENT_WAITING = 64 * 1024
"""Bytes buffered on an urgent channel from which on it is not writable."""


class SimUrgentChannel(UrgentChannel):
    """The urgent channel of a `SimWire`, between pipes of its own."""

    def __init__(self, wire: SimWire, out: Pipe, into: Pipe) -> None:
        self._wire = wire
        self._out = out
        self._full = False
        out.sender = self
        into.receiver = self

    def write(self, buffers: Sequence[Buffer]) -> None:
        if self._wire.push(self._out, buffers) and self._out.buffered >= URGENT_WAITING:
            self._full = True

    @property
    def writable(self) -> bool:
        return not self._full

    @property
    def takes_frames(self) -> bool:
        return self._wire.takes_frames

    def pipe_frame(self, frame: bytes) -> None:
        self._wire.urgent_frame(frame)

    def pipe_ended(self, loss: WireLoss) -> None:
        self._wire.pipe_ended(loss)

    def pipe_drained(self) -> None:
        if self._full and self._out.buffered <= URGENT_WAITING // 2:
            self._full = False
            self._wire.urgent_drained()

    def pipe_flushed(self) -> None:
        self._wire.pipe_flushed()


class SimWire(Wire):
    """One end of a simulated connection. It obeys the law of `litz.wire.Wire`.

    connection  the faults of it can be commanded there
    outs        the pipes that lead away: the second, if there is one, is that of the urgent channel
    """

    def __init__(
        self, connection: SimConnection, outs: Sequence[Pipe], intos: Sequence[Pipe], spec: WireSpec, path: WirePath
    ) -> None:
        self.kind = spec.kind
        self.ordered = spec.ordered
        self.reliable = spec.reliable
        self.max_frame = spec.max_frame
        self.secure = spec.secure
        self.path = path
        self.connection = connection
        self._outs = outs
        self._intos = intos
        self._out = outs[0]
        self._loop = connection.network.loop
        self._state = _State.OPEN
        self._loss: WireLoss | None = None
        self._sink: WireSink | None = None
        self._full = False
        self._close_timer: asyncio.TimerHandle | None = None
        self._whole = self._came = 0
        self._ended = self._flushed = 0
        """How many of its pipes were closed by the peer, and how many of ours have been flushed."""
        outs[0].sender = self
        intos[0].receiver = self
        if len(outs) > 1:
            self.urgent = SimUrgentChannel(self, outs[1], intos[1])

    @property
    def dead(self) -> bool:
        return self._state is _State.DEAD

    @property
    def received_bytes(self) -> int:
        """Of whole frames, and of those that are still coming."""
        self._came = max(self._came, self._whole + sum(pipe.arrived_of_next() for pipe in self._intos))
        return self._came

    @received_bytes.setter
    def received_bytes(self, count: int) -> None:
        self._whole = count

    def start(self, sink: WireSink) -> None:
        if self._sink is not None:
            raise RuntimeError("a wire is started exactly once")
        self._sink = sink
        if self._loss is not None:
            self._loop.call_soon(sink.wire_closed, self._loss)
        else:
            for pipe in self._intos:
                pipe.kick()

    def write(self, buffers: Sequence[Buffer]) -> None:
        if self.push(self._out, buffers) and self._out.buffered >= HIGH_WATER:
            self._full = True

    def push(self, out: Pipe, buffers: Sequence[Buffer]) -> bool:
        """Write a frame to one of the pipes. False: the wire is closed, and the frame is dropped."""
        size = 0
        for buffer in buffers:
            size += buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
        if not 0 < size <= self.max_frame:
            raise ValueError(f"a frame on this wire has 1 to {self.max_frame} bytes; this one has {size}")
        if self._state is not _State.OPEN:
            return False
        out.push(size, buffers)
        return True

    @property
    def buffered_bytes(self) -> int:
        return sum(pipe.buffered for pipe in self._outs)

    @property
    def writable(self) -> bool:
        return self._out.buffered < HIGH_WATER

    @property
    def is_closing(self) -> bool:
        """Whether `close` was called here, and its end has not come."""
        return self._state is _State.CLOSING

    def close(self) -> None:
        if self._state is _State.OPEN:
            self._state = _State.CLOSING
            self._close_timer = self._loop.call_later(CLOSE_TIMEOUT, self._close_timed_out)
            for pipe in self._outs:
                pipe.finish()

    def abort(self) -> None:
        if self._state in (_State.OPEN, _State.CLOSING):
            self._state = _State.ABORTED
            self._stop_sending(WireLoss(LossReason.RESET, "aborted by the peer"), self._out.link.latency)
            for pipe in self._intos:
                pipe.discard()
            self._loop.call_soon(self._die, WireLoss(LossReason.LOCAL, "aborted"))

    def crash(self, *, tell_peer: bool) -> None:
        """The process of this end is gone: its owner hears nothing more."""
        self._sink = None
        self._stop_sending(WireLoss(LossReason.RESET, "the peer died") if tell_peer else None)
        self._die(WireLoss(LossReason.LOCAL, "host crashed"))

    def _stop_sending(self, loss: WireLoss | None, notice_after: float = 0.0) -> None:
        """Drop what is buffered, and tell the peer of `loss`, if any."""
        for pipe in self._outs:
            pipe.drop_buffered()
            pipe.sever(loss, notice_after)

    # -- what the pipes call -------------------------------------------------------------------------

    @property
    def takes_frames(self) -> bool:
        return self._sink is not None and self._state in (_State.OPEN, _State.CLOSING)

    def pipe_frame(self, frame: bytes) -> None:
        if self._sink is not None:
            self.received_bytes = self._whole + len(frame)
            self._sink.frame_received(frame)

    def urgent_frame(self, frame: bytes) -> None:
        if self._sink is not None:
            self.received_bytes = self._whole + len(frame)
            self._sink.urgent_received(frame)

    def pipe_ended(self, loss: WireLoss) -> None:
        self._ended += 1
        if loss.reason is LossReason.REMOTE and self._ended < len(self._intos):
            return  # it was flushed: what comes by the other pipe comes still
        self._stop_sending(None)
        self._die(loss)

    def urgent_drained(self) -> None:
        # Soon, not now: this may run inside `write`.
        self._loop.call_soon(self._tell_urgent_writable)

    def _tell_urgent_writable(self) -> None:
        if self._sink is not None and self._state is _State.OPEN:
            self._sink.wire_writable()

    def pipe_drained(self) -> None:
        if self._full and self._out.buffered <= LOW_WATER:
            # Soon, not now: this may run inside `write`.
            self._loop.call_soon(self._tell_writable)

    def pipe_flushed(self) -> None:
        self._flushed += 1
        if self._flushed < len(self._outs):
            return
        self._loop.call_soon(self._die, WireLoss(LossReason.LOCAL))

    # -- its end -------------------------------------------------------------------------------------

    def _tell_writable(self) -> None:
        if self._full and self._sink is not None and self._state is _State.OPEN:
            if self._out.buffered > LOW_WATER:
                return
            self._full = False
            self._sink.wire_writable()

    def _close_timed_out(self) -> None:
        self._close_timer = None
        self._stop_sending(WireLoss(LossReason.RESET, "the peer gave up flushing"), self._out.link.latency)
        self._die(WireLoss(LossReason.LOCAL, f"not flushed in {CLOSE_TIMEOUT:g} s"))

    def _die(self, loss: WireLoss) -> None:
        if self._state is _State.DEAD:
            return
        self._state = _State.DEAD
        self._loss = loss
        for pipe in self._intos:
            pipe.discard()
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        self.connection.end_died()
        if self._sink is not None:
            self._sink.wire_closed(loss)


class SimConnection:
    """Two wires and the faults between them. All commands act at once and may be given at any time.

    number    counts the connections of the network, from 1
    dialler   the wire of the side that dialled, `acceptor` the other
    """

    def __init__(self, network: SimNetwork, source: SimHost, target: SimHost, spec: WireSpec, number: int) -> None:
        self.network = network
        self.number = number
        self.kind = spec.kind
        self.source = source
        self.target = target
        self._to_acceptor = self._pair("acceptor", source, target, spec, 2 * number)
        self._to_dialler = self._pair("dialler", target, source, spec, 2 * number + 1)
        names = f"{source.name}#{number}", f"{target.name}#{number}"
        one, other = WirePath(spec.route, *names), WirePath(spec.route, *reversed(names))
        self.dialler = SimWire(self, self._to_acceptor, self._to_dialler, spec, one)
        self.acceptor = SimWire(self, self._to_dialler, self._to_acceptor, spec, other)

    def _pair(self, toward: Side, sender: SimHost, receiver: SimHost, spec: WireSpec, number: int) -> tuple[Pipe, ...]:
        """The pipe in one direction, and that of its urgent channel, if there is one: its number is negative."""
        pipes = []
        for each in (number, -number) if spec.urgent else (number,):
            pipe = Pipe(
                self.network,
                self.network.link(sender.name, receiver.name),
                each,
                ordered=spec.ordered,
                reliable=spec.reliable,
                blocked=self._blocked(toward, sender, receiver),
            )
            if each > 0:
                pipe.own_latency, pipe.own_bandwidth = spec.latency, spec.bandwidth
                pipe.own_buffer, pipe.own_spikes = spec.buffer, spec.spikes
            else:
                pipe.own_latency = self.network.rng.choice((0.0, spec.latency, spec.latency + 0.02))
            pipes.append(pipe)
        return tuple(pipes)

    def _blocked(self, toward: Side, sender: SimHost, receiver: SimHost) -> Callable[[], bool]:
        cut = self.network.is_cut

        def blocked() -> bool:
            pipe = (self._to_acceptor if toward == "acceptor" else self._to_dialler)[0]
            return pipe.stalled or sender.frozen or receiver.frozen or cut(sender.name, receiver.name)

        return blocked

    @property
    def alive(self) -> bool:
        """Whether at least one end still believes in it."""
        return not (self.dialler.dead and self.acceptor.dead)

    def _pipes(self, toward: Side | None) -> tuple[Pipe, ...]:
        if toward is None:
            return (*self._to_acceptor, *self._to_dialler)
        return self._to_acceptor if toward == "acceptor" else self._to_dialler

    def reset(self, learn: Side | None = None, *, within: float = 0.05) -> None:
        """The connection breaks. Both sides learn it (or only `learn`; the other keeps a half-open wire), each
        at a random time within `within` seconds. Of each direction a random suffix is lost."""
        for pipe in self._pipes(None):
            told = learn is None or pipe in self._pipes(learn)
            loss = WireLoss(LossReason.RESET, "connection reset") if told else None
            pipe.sever(loss, self.network.rng.random() * within)

    def half_open(self) -> None:
        """Both directions are lost for good, and nobody is told."""
        for pipe in self._pipes(None):
            pipe.sever(None)

    def one_way_loss(self, toward: Side) -> None:
        """One direction is lost for good, and nobody is told. The other goes on working."""
        for pipe in self._pipes(toward):
            pipe.sever(None)

    def shut(self) -> None:
        """Something between them closes it properly: what is in flight arrives, then both see a close."""
        for pipe in self._pipes(None):
            pipe.end(WireLoss(LossReason.REMOTE, "closed in between"))

    def stall(self, toward: Side | None = None) -> None:
        """Nothing arrives any more, until `resume`; then all of it does."""
        for pipe in self._pipes(toward):
            pipe.stalled = True

    def resume(self) -> None:
        for pipe in self._pipes(None):
            pipe.stalled = False
            pipe.kick()

    def delay(self, seconds: float, toward: Side | None = None) -> None:
        """Frames written from now on take so much longer. Two wires so reorder against each other."""
        for pipe in self._pipes(toward):
            pipe.extra_delay = seconds

    def in_flight(self, toward: Side) -> bytes:
        """The frame that arrives there next, empty if none is on its way."""
        return self._pipes(toward)[0].next_in_flight()

    def replace_in_flight(self, frames: Sequence[bytes], toward: Side) -> None:
        """Something in between changes the frame that arrives there next, drops it or makes several of it.
        Raises ValueError when none is on its way."""
        self._pipes(toward)[0].replace_next(frames)

    def tamper(self, change: Callable[[bytes], bytes] | None, toward: Side | None = None) -> None:
        """Every frame arrives as what `change` makes of it; None: as it was sent."""
        for pipe in self._pipes(toward):
            pipe.tamper = change

    def kick(self) -> None:
        """Look again whether something can be delivered (a partition healed)."""
        for pipe in self._pipes(None):
            pipe.kick()

    def end_died(self) -> None:
        if not self.alive:
            self.network.connection_ended(self)

    def __repr__(self) -> str:
        ends = f"{self.source.name} - {self.target.name}"
        return f"<{self.kind} connection {self.number} {ends}{'' if self.alive else ', dead'}>"
