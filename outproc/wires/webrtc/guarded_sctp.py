"""aiortc's SCTP behind limits: checked packets, faster timers, fewer acks, and a bounded amount in flight.

A subclass per association, so that nothing is changed for others in the process who use aiortc. Private names of
aiortc 1.16 are used; `aiortc_engine` checks that they are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from struct import unpack_from
from typing import Any, Final

from aiortc.rtcsctptransport import (
    SCTP_RTO_MAX,
    USERDATA_MAX_LENGTH,
    WEBRTC_BINARY,
    WEBRTC_STRING,
    Chunk,
    DataChunk,
    serialize_packet,
)

from outproc.wires.webrtc.engine import LABELS, LOCAL_MAX_MESSAGE
from outproc.wires.webrtc.guarded_dtls import GuardedDtls, run_now
from outproc.wires.webrtc.sctp_check import SACK, MalformedPacketError, check_packet
from outproc.wires.webrtc.sctp_packets import FIRST, LAST, Piece, data_packet, read_data, read_sack, sack_packet
from outproc.wires.webrtc.smooth_sctp import BEHIND, MASK, SmoothSctp

RTO_INITIAL: Final = 0.5
RTO_MIN: Final = 0.2
"""Seconds before what was not acknowledged is sent again, first and at least; aiortc's are 3 and 1."""

ACK_DELAY: Final = 0.02
"""Seconds after which a packet is acknowledged though no second one came (RFC 9260, section 6.2: at most 0.2)."""

MOST_IN_FLIGHT: Final = 1 << 20
"""Bytes that are on their way unacknowledged at most. aiortc has no limit of its own and ignores that of the peer."""

LEAST_IN_FLIGHT: Final = 192 * 1024
FASTEST: Final = 128 << 20
"""Bytes a second that no path of this library is faster than. What is in flight beyond the shortest round trip at this
rate, and `LEAST_IN_FLIGHT`, only fills queues: on loopback it overflows the peer's socket."""

MOST_HELD: Final = MOST_IN_FLIGHT + 2 * LOCAL_MAX_MESSAGE
"""Bytes of incomplete messages that a peer may have us keep."""

MOST_AHEAD: Final = 16_384
"""How many packets ahead of the next one are taken; further ones are dropped, and sent again by the peer."""

MessageTaker = Callable[[int, bytes | str], None]


class GuardedSctp(SmoothSctp):
    """One association.

    on_message    called with (stream, message) for each message
    on_progress   called when the peer has acknowledged something
    on_malformed  called once when the peer broke the rules; nothing is taken of it afterwards
    """

    def __init__(
        self,
        transport: GuardedDtls,
        *,
        on_message: MessageTaker,
        on_progress: Callable[[], None],
        on_malformed: Callable[[str], None],
    ) -> None:
        super().__init__(transport)
        self._local_partial_reliability = False
        self._rto = RTO_INITIAL
        self._on_message = on_message
        self._on_progress = on_progress
        self._on_malformed = on_malformed
        self._spoiled = False
        self._unacked = 0
        self._shortest = float("inf")
        self._most_in_flight = MOST_IN_FLIGHT
        self._ack_timer: asyncio.TimerHandle | None = None

    # -- receiving ----------------------------------------------------------------------------------

    async def _handle_data(self, data: bytes) -> None:
        if self._spoiled:
            return
        try:
            if self._took_next(data) or self._took_ack(data):
                return
            check_packet(data, len(LABELS))
            self._check_numbers(data)
            await super()._handle_data(data)
            if self._advertised_rwnd < (1 << 20) - MOST_HELD:
                raise MalformedPacketError("more of incomplete messages than anybody needs")
        except Exception as error:
            # Whatever it was, the peer made it: it costs this connection and nothing else.
            self._spoiled = True
            self._on_malformed(str(error) or type(error).__name__)

    def _took_next(self, packet: bytes) -> bool:
        """Take a packet that is one piece of data, and the very next one, as nearly all are. False: it is not, or
        something is missing, and nothing was done."""
        if self._sack_misordered or self._reconfig_deferred or self._sack_duplicates:
            return False
        piece = read_data(packet, self._local_verification_tag)
        last = self._last_received_tsn
        if piece is None or last is None or piece.tsn != (last + 1) & 0xFFFFFFFF or piece.stream_id >= len(LABELS):
            return False
        stream = self._get_inbound_stream(piece.stream_id)
        pieces: list[Any] = stream.reassembly
        if piece.flags & FIRST:
            begins = not pieces and piece.stream_seq == stream.sequence_number
        else:
            begins = bool(pieces) and pieces[-1].tsn == last and pieces[-1].stream_seq == piece.stream_seq
        if not begins or len(pieces) * USERDATA_MAX_LENGTH > 2 * LOCAL_MAX_MESSAGE:
            return False
        self._last_received_tsn = piece.tsn
        pieces.append(piece)
        self._advertised_rwnd -= len(piece.user_data)
        if piece.flags & LAST:
            stream.reassembly = []
            stream.sequence_number = (stream.sequence_number + 1) & 0xFFFF
            message = b"".join([each.user_data for each in pieces])
            self._advertised_rwnd += len(message)
            run_now(self._data_channel_receive(piece.stream_id, piece.protocol, message))
        self._note_received()
        return True

    def _took_ack(self, packet: bytes) -> bool:
        """Take a packet that acknowledges all up to some piece, while nothing is missing. False: it is another."""
        if not self._smooth:
            return False
        tsn = read_sack(packet, self._local_verification_tag)
        if tsn is None or self._association_state != self.State.ESTABLISHED:
            return False
        if self._local_tsn - 1 - tsn & MASK >= BEHIND:
            raise MalformedPacketError("a SACK of what was never sent")
        self._acknowledged(tsn)
        return True

    def _check_numbers(self, data: bytes) -> None:
        """Refuse acknowledgements of what was never sent."""
        if data[12] == SACK and self._association_state == self.State.ESTABLISHED:
            (acked,) = unpack_from("!L", data, 16)
            outstanding = (self._local_tsn - 1 - acked) % (1 << 32)
            if outstanding >= 1 << 31:
                raise MalformedPacketError("a SACK of what was never sent")
            (gaps,) = unpack_from("!H", data, 24)
            if gaps and unpack_from("!H", data, 28 + 4 * (gaps - 1) + 2)[0] > outstanding:
                raise MalformedPacketError("a SACK with a gap that was never sent")

    async def _receive_data_chunk(self, chunk: Any) -> None:
        last = self._last_received_tsn
        ahead = (chunk.tsn - last) % (1 << 32) if last is not None else 0
        if MOST_AHEAD < ahead < 1 << 31:
            return
        await super()._receive_data_chunk(chunk)

    async def _send_sack(self) -> None:
        """Acknowledge every second packet, or after `ACK_DELAY`; at once while something is missing."""
        if self._sack_misordered or self._sack_duplicates:
            self._unacked = 0
            await super()._send_sack()
        else:
            self._sack_needed = False
            self._note_received()

    def _note_received(self) -> None:
        self._unacked += 1
        if self._unacked >= 2:
            self._acknowledge()
        elif self._ack_timer is None:
            self._ack_timer = asyncio.get_running_loop().call_later(ACK_DELAY, self._ack_late)

    def _acknowledge(self) -> None:
        """Acknowledge all that came, of which nothing is missing."""
        self._unacked = 0
        assert self._remote_port is not None
        assert self._last_received_tsn is not None
        ports = (self._local_port, self._remote_port)
        window = max(0, self._advertised_rwnd)
        self._send_now(sack_packet(ports, self._remote_verification_tag, self._last_received_tsn, window))

    def _ack_late(self) -> None:
        self._ack_timer = None
        if self._unacked and self._association_state == self.State.ESTABLISHED:
            if self._sack_misordered or self._sack_duplicates:
                run_now(self._send_sack())
            else:
                self._acknowledge()

    async def _receive_sack_chunk(self, chunk: Any) -> None:
        await super()._receive_sack_chunk(chunk)
        self._progressed()

    def _progressed(self) -> None:
        self._cwnd = min(self._cwnd, self._most_in_flight)
        self._on_progress()

    async def _data_channel_receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        if pp_id == WEBRTC_BINARY:
            self._on_message(stream_id, data)
        elif pp_id == WEBRTC_STRING:
            self._on_message(stream_id, data.decode())
        else:
            raise MalformedPacketError(f"a message of type {pp_id}")

    # -- sending ------------------------------------------------------------------------------------

    async def _send_chunk(self, chunk: Chunk) -> None:
        assert self._remote_port is not None
        ours, theirs, tag = self._local_port, self._remote_port, self._remote_verification_tag
        if isinstance(chunk, DataChunk):
            stream, sequence = chunk.stream_id, chunk.stream_seq
            piece = Piece(chunk.flags, chunk.tsn, stream, sequence, chunk.protocol, chunk.user_data)
            self._send_now(data_packet((ours, theirs), tag, piece))
        else:
            self._send_now(serialize_packet(ours, theirs, tag, chunk))

    def _update_rto(self, R: float) -> None:  # noqa: N803 - the name that aiortc gives it
        super()._update_rto(R)
        if self._shortest > R:
            self._shortest = R
            self._most_in_flight = min(MOST_IN_FLIGHT, max(LEAST_IN_FLIGHT, int(R * FASTEST)))
        assert self._srtt is not None
        assert self._rttvar is not None
        self._rto = max(RTO_MIN, min(self._srtt + max(4 * self._rttvar, ACK_DELAY), SCTP_RTO_MAX))

    def unsent(self) -> int:
        """Bytes cut into packets that were never sent, about."""
        return len(self._outbound_queue) * USERDATA_MAX_LENGTH

    async def stop(self) -> None:
        """Tell the peer, and stop all timers."""
        self._spoiled = True
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        await super().stop()
