"""One wire and its handshake: the driver between a `Wire` and the transport of the dest it leads to.

Everything here happens in callbacks of the wire; a task runs only while a proof is being verified. What a stranger
says, before it has proved who it is, waits for its turn: strangers share what the loop has left. Late news of a
wire cannot touch its successor: whoever hears of a `Link` compares it by identity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from litz.errors import HandshakeError, LitzError, ProtocolError, WireClosedError
from litz.message import Buffer
from litz.wire import Endpoint, LossReason, Wire, WireLoss
from outproc.carried import Carried
from outproc.frames.records import LeaveReason
from outproc.handshake import (
    Acceptor,
    AcceptorStep,
    DiallerStep,
    Initiator,
    NeedsVerification,
    Outdated,
    PeerInfo,
    Refused,
    SendChallenge,
    is_handshake,
)
from outproc.health import Liveness, Verdict
from outproc.held_frames import HeldFrames
from outproc.lossy_wires import HandshakeFrames, is_dependable, pings_on
from outproc.security.sealing import OVERHEAD, Opener, Sealer, SealKeys
from outproc.session.identity import Half
from outproc.urgent_strand import UrgentStrand
from outproc.wire_meter import WireMeter
from outproc.wire_proof import WireProof

if TYPE_CHECKING:
    from outproc.local_node import LocalNode

Step = DiallerStep | AcceptorStep


class LinkOwner(Protocol):
    """Whoever acts on what a link learns. All are called in the loop's thread and must not raise."""

    def step(self, link: Link, step: Step) -> None:
        """The handshake came to a point where somebody must decide."""

    def frame(self, link: Link, frame: bytes, strand: UrgentStrand | None = None) -> None:
        """A binary frame came, on the wire or on its second strand. Ignored if the link is in no session."""

    def writable(self, link: Link) -> None:
        """The wire takes more again."""

    def ping(self, link: Link, token: int) -> None:
        """Send a ping on it: it, or this side, has been silent."""

    def silent(self, link: Link) -> None:
        """It did not answer and was aborted; do not wait for `gone`."""

    def gone(self, link: Link) -> None:
        """The wire is dead. Called once; `link.cause` says why."""


class Link:
    """A live wire with the state of its handshake. Owned by one `LinkOwner` at a time."""

    shown: Half | None = None
    """The half of ours that its latest JOIN named."""

    def __init__(self, node: LocalNode, wire: Wire, owner: LinkOwner, *, dest: str | None, endpoint: Endpoint | None):
        self.node = node
        self.wire = wire
        self.owner = owner
        self.urgent = UrgentStrand(self, wire.urgent) if wire.urgent is not None else None
        """Its second strand. A sealed wire has none: the seals of a wire are in one order."""
        self.endpoint = endpoint
        self.dialled = dest is not None
        self._stranger = dest is None
        """Whether the peer came by itself and has not proved its id yet."""
        self.started_at = node.now()
        self.heard_at = self.wrote_at = self.started_at
        self.bytes_in = self.bytes_out = self.frames_in = self.frames_out = self.urgent_in = self._seen_bytes = 0
        self.cause: WireLoss | None = None
        self.closed = asyncio.Event()
        self.failure: LitzError | None = None
        self.told = False
        """Whether it was told as a violation already."""
        self.in_session = False
        self.frames_at_join = self.joins = 0
        self.dismissed: LeaveReason | None = None
        """Why either side took this wire out of its session, None if it just broke."""
        self.outcome: asyncio.Future[None] | None = None
        """For whoever dialled: set when the wire has joined, or cannot."""
        self.liveness = Liveness(self.started_at, node.ping_after, node.options.dead_after, pings=pings_on(wire))
        self.meter = WireMeter(self.started_at, node.options.sick_after)
        self.up_since = self.started_at  # when it joined its session; before that, when it was made
        self.carries: dict[int, Carried] = {}
        """Every lane that was bound to it by the mover and has not left it since."""
        self.pinged: dict[int, asyncio.Future[float]] = {}
        """For who wants to know of one pong: by its token, set to the time at which it came."""
        self.handshaken = False
        """Whether the handshake deadline no longer applies."""
        self.proof = WireProof(node, wire, dest)
        self.machine: Initiator | Acceptor = self.proof.machine()
        self._sealer: Sealer | None = None
        self._opener: Opener | None = None
        self._handshake_frames = HandshakeFrames()
        self._holds = self._stranger
        """Whether frames wait: for their turn, or until a proof is verified."""
        self._held = HeldFrames(node.unproved if self._stranger else None)
        self._verifying: asyncio.Task[None] | None = None
        self._deadline = node.timers.timer(self._too_late)

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the handshake, and its deadline."""
        self.node.links[self] = None
        self._deadline.at(self.started_at + self.node.options.handshake_timeout)
        if not self.proof.prepared:
            self._holds = True
            self._verifying = self.node.spawn(self._prepare(), "litz prepare a proof")
        self.wire.start(self)
        if self._verifying is None:
            self._say_hello()

    def _say_hello(self) -> None:
        if isinstance(self.machine, Initiator):
            self.write([self.machine.hello()])

    async def _prepare(self) -> None:
        failure = await self.proof.prepare()
        self._verifying = None
        if self.failure is not None or self.cause is not None:
            return
        if failure is not None:
            self.fail(failure)
            return
        self._holds = self._stranger
        self._say_hello()
        if self._held:
            self._in_turn(self._take_one)

    @property
    def peer(self) -> PeerInfo:
        """The proved peer. Raises RuntimeError before."""
        return self.machine.peer

    @property
    def max_frame(self) -> int:
        """Bytes of a frame that both this wire and the peer take."""
        return min(self.wire.max_frame, self.peer.limits.max_frame) - (OVERHEAD if self._sealer else 0)

    @property
    def dependable(self) -> bool:
        """Whether it keeps order and loses nothing, so that reliable lanes, acks and credits may ride on it."""
        return is_dependable(self.wire)

    @property
    def alive(self) -> bool:
        return self.cause is None

    def check(self, now: float, lag: float) -> float | None:
        """The health check's look at a joined wire."""
        if not self.in_session:
            return None
        heard, came = self.heard_at, self.wire.received_bytes
        if came != self._seen_bytes:  # a frame that is still coming is life too; of whole ones the time is known
            self._seen_bytes, heard = came, now
            self.liveness.received(now)
        if heard > self.wrote_at and now >= self.wrote_at + self.liveness.silent_after / 2:
            # The peer hears nothing of us here, and must not take us for dead; nobody waits for the answer.
            self.owner.ping(self, self.node.environment.rng.getrandbits(63))
        match self.liveness.verdict(now, lag):
            case Verdict.PING:
                token = self.node.environment.rng.getrandbits(63)
                self.liveness.ping_sent(now, token)
                self.meter.pinged(self.bytes_out, self.wire.buffered_bytes)
                self.owner.ping(self, token)
            case Verdict.DEAD:
                self.failure = WireClosedError("silent: no answer to a ping")
                self.abort()
                self.owner.silent(self)
                return None
        return self.liveness.next_look(now, self.wrote_at)

    def ponged(self, now: float, token: int) -> bool:
        """A pong came. Whether it answers the ping of the health check, and so says what the round trip is."""
        waiting = self.pinged.pop(token, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(now)
        sent = self.liveness.pinged
        measured = self.liveness.pong(now, token)
        if measured is None:
            return False
        self.meter.ponged(measured, self.bytes_out)
        self.meter.answered(now, sent)
        return True

    def settled(self) -> None:
        """The handshake is over; what follows is the session's business."""
        self.handshaken = True
        self.frames_at_join = self.frames_in
        self.up_since = self.node.now()
        self.liveness.received(self.up_since)
        self._deadline.at(None)

    def close(self) -> None:
        """Flush, then close. `gone` follows."""
        self._stop_verifying()
        self.wire.close()

    def abort(self) -> None:
        """Close now. `gone` follows."""
        self._stop_verifying()
        self.wire.abort()

    def fail(self, error: LitzError) -> None:
        """Give the wire up because of `error`, and tell the peer as much as it may know."""
        if self.failure is not None:
            return
        self.failure = error
        refusal = self.machine.refusal(error) if isinstance(self.machine, Acceptor) else None
        if refusal is not None:
            self.write([refusal])
            self.close()
        else:
            self.abort()

    def _too_late(self, now: float) -> None:
        # A thousand that came together are late together.
        if self._stranger:
            self._in_turn(self._give_up)
        else:
            self._give_up()

    def _give_up(self) -> None:
        if not self.handshaken:
            self.fail(HandshakeError(f"no complete handshake within {self.node.options.handshake_timeout:g} s"))

    def _in_turn(self, job: Callable[[], None]) -> None:
        self.node.strangers.do(lambda: job() if self.alive else None)

    def _stop_verifying(self) -> None:
        if self._verifying is not None:
            self._verifying.cancel()

    # -- frames -------------------------------------------------------------------------------------

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Write one frame, sealed where the wire is."""
        if self._sealer is not None:
            buffers = [self._sealer.seal(buffers)]
        size = sum(map(len, buffers))
        if size > self.wire.max_frame:
            # Data is cut to fit, the handshake cannot be.
            needed = f"a frame of {size} bytes is needed; a {self.wire.kind} wire takes {self.wire.max_frame} bytes"
            self.fail(HandshakeError(f"{needed}; raise its max_frame (4,096 suffice for the built-in authenticators)"))
            return
        self.frames_out += 1
        self.bytes_out += size
        self.wrote_at = self.node.now()
        self.wire.write(buffers)

    def frame_received(self, frame: bytes) -> None:
        self.heard_at = now = self.node.now()
        self._seen_bytes = self.wire.received_bytes
        self.liveness.received(now)
        self.frames_in += 1
        self.bytes_in += len(frame)
        if self.failure is not None:
            return
        (self._hold if self._holds else self._take)(frame)

    def urgent_received(self, frame: bytes) -> None:
        self.heard_at = now = self.node.now()
        self._seen_bytes = self.wire.received_bytes
        self.liveness.received(now)
        # Not in `frames_in`: it may come late, of a session that the wire was in before (R12).
        self.urgent_in += 1
        self.bytes_in += len(frame)
        if self.failure is not None:
            return
        if self.urgent is None or is_handshake(frame):
            self.fail(ProtocolError("a frame on the urgent channel that has to come on the other"))
        elif self._holds:
            self._hold(frame, self.urgent)
        else:
            self.owner.frame(self, frame, self.urgent)

    def _hold(self, frame: bytes, strand: UrgentStrand | None = None) -> None:
        too_much = self._held.put(frame, strand)
        if too_much is not None:
            self.fail(too_much)
        elif self._stranger and self._verifying is None and len(self._held) == 1:
            self._in_turn(self._take_one)

    def _take_one(self) -> None:
        """What a stranger says, one frame in its turn."""
        if self._held and self._verifying is None and self.failure is None:
            self._take_held()
        if self._held and self._verifying is None and self.failure is None:
            self._in_turn(self._take_one)

    def _take_held(self) -> None:
        frame, strand = self._held.take()
        if strand is not None:
            self.owner.frame(self, frame, strand)
        else:
            self._take(frame)

    def _take(self, frame: bytes) -> None:
        if not self.dependable and is_handshake(frame) and not self._handshake_frames.is_new(frame):
            return
        try:
            if self._opener is not None:
                frame = self._opener.open(frame)
            if not is_handshake(frame):
                # Early data of a JOIN that was answered with a mismatch comes here too: its transport ignores it, while
                # the reception, which owns those who have proved nothing, does not.
                self.owner.frame(self, frame)
                return
            self._act(self.machine.receive(frame))
        except LitzError as error:
            self.fail(error)

    def _act(self, step: Step) -> None:
        match step:
            case SendChallenge():
                self.write([step.frame])
                self._seal(step.seal)
            case NeedsVerification():
                self._seal(step.seal)
                self._holds = True
                self._verifying = self.node.spawn(self._verify(step), f"litz verify {step.peer_id}")
            case Outdated():
                pass
            case _:
                self._stranger = False
                self.owner.step(self, step)

    def _seal(self, keys: SealKeys | None) -> None:
        if keys is not None:
            self._sealer = Sealer(keys.send)
            self._opener = Opener(keys.receive)
            self.urgent = None

    async def _verify(self, step: NeedsVerification) -> None:
        failure = await self.proof.judge(step, stranger=self._stranger)
        self._verifying = None
        if failure is not None:
            if self._stranger:
                self._in_turn(partial(self.fail, failure))
            else:
                self.fail(failure)
            return
        if self.failure is not None:
            return
        proved = self.machine.verified()
        # Of a wire that has died meanwhile only the reason for that is of interest.
        if self.cause is None or isinstance(proved, Refused):
            self._act(proved)
        self._holds = False
        while self._held and not self._holds and self.failure is None:
            self._take_held()

    def wire_writable(self) -> None:
        self.owner.writable(self)

    def wire_closed(self, loss: WireLoss) -> None:
        self.cause = loss
        self.node.links.pop(self, None)
        self.node.wires_per_address.left(self)
        self.closed.set()
        self.node.health.schedule(self, None)
        self._deadline.at(None)
        self._held.clear()
        for waiting in self.pinged.values():
            waiting.cancel()
        self.pinged.clear()
        if self._verifying is not None and loss.reason is LossReason.REMOTE:
            # What the peer said last may be why it closed (busy, replaced): that is looked at first.
            self._verifying.add_done_callback(lambda _: self._tell_gone(loss))
            return
        self._stop_verifying()
        self._tell_gone(loss)

    def _tell_gone(self, loss: WireLoss) -> None:
        if loss.reason is not LossReason.LOCAL and self.failure is None:
            self.failure = WireClosedError(f"wire closed: {loss}")
        self.owner.gone(self)

    def __repr__(self) -> str:
        state = "in session" if self.in_session else self.machine.state.value
        return f"<link over {self.wire!r}, {'dialled' if self.dialled else 'accepted'}: {state}>"
