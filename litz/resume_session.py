"""The positions of a `ResumablePipe`: what was written, confirmed, received and consumed, and what is due. Pure.

One connection at a time carries it; `resumed` begins with another one. Everything is a level: what is due is asked for
(`frames`), never remembered as an event, so a connection that dies at any byte leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from litz.errors import ProtocolError
from litz.replay_buffer import ReplayBuffer
from litz.resume_frames import MAX_PAYLOAD, Ack, Kind, ack_payload, coded_frame, data_header, fin_frame, frame


class ResumeSession:
    """One end.

    replay_size   bytes that may be written and not confirmed
    receive_size  bytes that the peer may have sent and the user has not consumed
    """

    def __init__(self, replay_size: int, receive_size: int) -> None:
        self._replay_size = replay_size
        self._receive_size = receive_size
        self.out: Final = ReplayBuffer()
        self.sent = 0
        """Up to here this connection was given."""
        self._limit = 0
        """Up to here the peer takes."""
        self.finishing = False
        self.fin_confirmed = False
        self._fin_sent = False
        self.received = 0
        self.consumed = 0
        self.peer_finished = False
        self._told = Ack(0, 0, False)
        self._bye_sent = False
        self.peer_said_bye = False
        self._reset: tuple[int, str] | None = None
        self._reset_sent = False
        self.ping_due = self.pong_due = False

    # -- what the user does --------------------------------------------------------------------------

    @property
    def room(self) -> int:
        """Bytes that may be written now. One write of any size fits into an empty buffer."""
        held = len(self.out)
        return max(0, self._replay_size - held) if held else max(self._replay_size, MAX_PAYLOAD)

    @property
    def complete(self) -> bool:
        """Both halves have ended, and both ends have everything."""
        return self.fin_confirmed and self.peer_finished

    @property
    def untouched(self) -> bool:
        """Whether nothing has passed, either way, as far as is known."""
        return not (self.received or self.peer_finished or self.out.start or self.fin_confirmed)

    @property
    def confirmed(self) -> bool:
        """The peer has all that was written, and the end if that was."""
        return not len(self.out) and self.fin_confirmed >= self.finishing

    def reset(self, code: int, text: str) -> None:
        """Say RESET instead of anything else."""
        self._reset = (code, text)

    # -- connections ---------------------------------------------------------------------------------

    def position(self) -> Ack:
        """What this end says in its PROOF; from then on nothing that an earlier connection brings may be taken."""
        return Ack(self.received, self.consumed + self._receive_size, self.peer_finished)

    def fits(self, peer: Ack) -> bool:
        """Whether this end can go on from where the peer is."""
        fin_is_true = not peer.fin or (self.finishing and peer.received == self.out.end)
        return self.out.start <= peer.received <= self.out.end and fin_is_true

    def resumed(self, mine: Ack, peer: Ack) -> None:
        """A connection begins, on which this end said `mine` and the peer `peer`, which `fits`."""
        self._take_position(peer)
        self.sent = peer.received
        self._fin_sent = self._bye_sent = False
        self.ping_due = self.pong_due = False
        self._told = mine

    def acked(self, peer: Ack) -> None:
        """ACK came. Raises `ProtocolError`."""
        if peer.received > self.sent or (peer.fin and not self._fin_sent):
            raise ProtocolError("the other end confirms what was not sent")
        self._take_position(peer)

    def _take_position(self, peer: Ack) -> None:
        self.out.confirm(peer.received)
        self._limit = max(self._limit, peer.limit)
        self.fin_confirmed |= peer.fin

    def data(self, size: int) -> None:
        """DATA of `size` bytes came. Raises `ProtocolError`."""
        if self.peer_finished:
            raise ProtocolError("the other end sends behind its end")
        if self.received + size > self._told.limit:
            raise ProtocolError("the other end sends more than it may")
        self.received += size

    def fin(self, position: int) -> None:
        """FIN came. Raises `ProtocolError`."""
        if position != self.received:
            raise ProtocolError(f"the other end ends at {position}, and {self.received} bytes came")
        self.peer_finished = True

    def bye(self) -> None:
        """BYE came. Raises `ProtocolError`."""
        if not self.peer_finished:
            raise ProtocolError("the other end leaves without an end")
        self.peer_said_bye = True

    # -- what is due ---------------------------------------------------------------------------------

    @property
    def bye_given(self) -> bool:
        """This connection was given BYE, the last it needs."""
        return self._bye_sent

    @property
    def reset_given(self) -> bool:
        """A connection was given RESET: there is nothing more to say."""
        return self._reset_sent

    def frames(self, most: int) -> Sequence[bytes | memoryview]:
        """What is due on this connection: about `most` bytes at a time; empty: nothing is due now."""
        if self._reset is not None:
            if self._reset_sent:
                return ()
            self._reset_sent = True
            return (coded_frame(Kind.RESET, *self._reset),)
        found: list[bytes | memoryview] = []
        if self._ack_due():
            self._told = self.position()
            found.append(frame(Kind.ACK, ack_payload(self._told)))
        if self.pong_due:
            self.pong_due = False
            found.append(frame(Kind.PONG))
        if self.ping_due:
            self.ping_due = False
            found.append(frame(Kind.PING))
        end = min(self.out.end, self._limit)
        while self.sent < end and most > 0:
            part = self.out.read(self.sent, min(MAX_PAYLOAD, end - self.sent))
            found += (data_header(len(part)), part)
            self.sent += len(part)
            most -= len(part)
        if self.finishing and not self._fin_sent and self.sent == self.out.end:
            self._fin_sent = True
            found.append(fin_frame(self.out.end))
        if self.complete and not self._bye_sent:
            self._bye_sent = True
            found.append(frame(Kind.BYE))
        return found

    def _ack_due(self) -> bool:
        told = self._told
        if self.received > told.received or self.peer_finished > told.fin:
            return True
        # A grant is worth a frame when it is large, or when the peer may be waiting for it.
        more = self.consumed + self._receive_size - told.limit
        return more > 0 and (more * 4 >= self._receive_size or told.limit == self.received)
