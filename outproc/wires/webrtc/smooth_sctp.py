"""The sending half of aiortc's SCTP while nothing is lost, which is nearly always: what each packet and each SACK then
needs, and no more. As soon as something is missing aiortc's own code goes on, until all is well again.

Private names of aiortc 1.16 are used; `aiortc_engine` checks that they are there.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from aiortc import RTCSctpTransport
from aiortc.rtcsctptransport import USERDATA_MAX_LENGTH, DataChunk

from outproc.wires.webrtc.guarded_dtls import GuardedDtls, run_now
from outproc.wires.webrtc.sctp_packets import FIRST, LAST, Piece, data_packet

MASK: Final = 0xFFFFFFFF
BEHIND: Final = 1 << 31
"""Serial numbers this far ahead are behind (RFC 1982)."""

BURST: Final = 4 * USERDATA_MAX_LENGTH
"""Bytes sent for each SACK, beyond what it took out of flight (RFC 9260, section 6.1 D)."""


class SentData(DataChunk):
    """One piece of data, with what aiortc notes of it; most never changes."""

    _abandoned = False
    _acked = False
    _expiry: float | None = None
    _in_flight = False
    _max_retransmits: int | None = None
    _misses = 0
    _retransmit = False
    _sent_count = 0
    _sent_time: float | None = None

    def __init__(  # noqa: PLR0917 - hot path: positions cost less than names
        self, flags: int, tsn: int, stream: int, sequence: int, protocol: int, data: bytes
    ) -> None:
        self.flags = flags
        self.tsn = tsn
        self.stream_id = stream
        self.stream_seq = sequence
        self.protocol = protocol
        self.user_data = data
        self._book_size = len(data)


class SmoothSctp(RTCSctpTransport):
    """One association."""

    def __init__(self, transport: GuardedDtls) -> None:
        super().__init__(transport)
        self._send_now = transport.send_now
        self._runner = asyncio.get_running_loop()
        self._smooth = True
        """Nothing that was sent is known to be missing: all of it is in flight, in order."""
        self._newest_ack: int | None = None
        """What the SACKs of this turn of the loop acknowledge. None: none came."""
        self._acks = 0
        self._t3_due = 0.0

    # -- sending --------------------------------------------------------------------------------------

    async def _send(  # noqa: PLR0917 - the parameters of the library's
        self,
        stream_id: int,
        pp_id: int,
        user_data: bytes,
        expiry: float | None = None,
        max_retransmits: int | None = None,
        ordered: bool = True,
    ) -> None:
        """Cut a message into pieces and send what may be sent. All channels are ordered and reliable."""
        assert ordered
        assert expiry is max_retransmits is None
        sequence = self._outbound_stream_seq.get(stream_id, 0)
        tsn, queue, last = self._local_tsn, self._outbound_queue, len(user_data) - USERDATA_MAX_LENGTH
        for at in range(0, len(user_data), USERDATA_MAX_LENGTH):
            flags = (0 if at else FIRST) | (LAST if at >= last else 0)
            piece = user_data[at : at + USERDATA_MAX_LENGTH]
            queue.append(SentData(flags, tsn, stream_id, sequence, pp_id, piece))
            tsn = tsn + 1 & MASK
        self._local_tsn = tsn
        self._outbound_stream_seq[stream_id] = sequence + 1 & 0xFFFF
        await self._transmit()

    async def _transmit(self) -> None:
        if self._smooth:
            self._transmit_next(BURST)
        else:
            await super()._transmit()

    def _transmit_next(self, burst: int) -> None:
        """Send what the window allows, and at most `burst` bytes more than are in flight."""
        queue, sent = self._outbound_queue, self._sent_queue
        window = min(self._flight_size + burst, self._cwnd)
        if not queue or self._flight_size >= window:
            return
        assert self._remote_port is not None
        ports, tag = (self._local_port, self._remote_port), self._remote_verification_tag
        send, now = self._send_now, time.time()
        while queue and self._flight_size < window:
            chunk: Any = queue.popleft()
            sent.append(chunk)
            chunk._in_flight = True
            chunk._sent_count += 1
            chunk._sent_time = now
            self._flight_size += chunk._book_size
            piece = Piece(chunk.flags, chunk.tsn, chunk.stream_id, chunk.stream_seq, chunk.protocol, chunk.user_data)
            send(data_packet(ports, tag, piece))
        if self._t3_handle is None:
            self._t3_start()

    # -- acknowledgements -----------------------------------------------------------------------------

    def _acknowledged(self, tsn: int) -> None:
        """A SACK without gaps came, of something that was sent. All of a turn of the loop are looked at together."""
        if self._newest_ack is None:
            self._newest_ack, self._acks = tsn, 1
            self._runner.call_soon(self._take_acks)
        else:
            self._acks += 1
            if tsn - self._newest_ack & MASK < BEHIND:
                self._newest_ack = tsn

    def _take_acks(self) -> None:
        """What aiortc does for each SACK, for all of them: RFC 9260, sections 6.2.1, 6.3 and 7.2."""
        tsn, self._newest_ack = self._newest_ack, None
        if tsn is None or self._association_state != self.State.ESTABLISHED:
            return
        if tsn - self._last_sacked_tsn & MASK >= BEHIND:
            return
        self._last_sacked_tsn = self._advanced_peer_ack_tsn = tsn
        queue, used_up = self._sent_queue, self._flight_size >= self._cwnd
        count = (tsn - queue[0].tsn + 1) & MASK if queue else 0
        if 0 < count < BEHIND:
            first: Any = queue[0]
            done = sum([queue.popleft()._book_size for _ in range(min(count, len(queue)))])
            self._flight_size = max(0, self._flight_size - done)
            if first._sent_count == 1:
                self._update_rto(time.time() - first._sent_time)
            if used_up:
                self._widen(done)
            if queue:
                self._t3_restart()
            else:
                self._t3_cancel()
        run_now(self._data_channel_flush())
        self._transmit_next(BURST * self._acks)
        self._progressed()

    def _progressed(self) -> None:
        """Something was acknowledged."""

    def _widen(self, done: int) -> None:
        if self._cwnd <= self._ssthresh:
            self._cwnd += min(done, USERDATA_MAX_LENGTH * self._acks)
            return
        self._partial_bytes_acked += done
        if self._partial_bytes_acked >= self._cwnd:
            self._partial_bytes_acked -= self._cwnd
            self._cwnd += USERDATA_MAX_LENGTH

    async def _receive_sack_chunk(self, chunk: Any) -> None:
        """The long way, for one that tells of a gap, or while one is not filled."""
        self._take_acks()
        self._smooth = False
        await super()._receive_sack_chunk(chunk)
        recovering: int | None = self._fast_recovery_exit
        odd = any(each._retransmit or each._acked for each in self._sent_queue)
        self._smooth = not (chunk.gaps or odd) and recovering is None

    # -- the timer of retransmission ------------------------------------------------------------------

    def _t3_restart(self) -> None:
        """Put it off, without a new timer: the one there is looks again."""
        if self._t3_handle is None:
            self._t3_start()
        else:
            self._t3_due = self._runner.time() + self._rto

    def _t3_start(self) -> None:
        super()._t3_start()
        self._t3_due = 0.0

    def _t3_expired(self) -> None:
        left = self._t3_due - self._runner.time()
        if left > 0:
            self._t3_handle = self._runner.call_later(left, self._t3_expired)
            self._t3_due = 0.0
            return
        self._take_acks()
        self._smooth = False
        super()._t3_expired()
