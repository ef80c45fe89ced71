"""aiortc's SCTP behind limits: checked packets, faster timers, fewer acks, and a bounded amount in flight.

A subclass per association, so that nothing is changed for others in the process who use aiortc. Private names of
aiortc 1.16 are used; `aiortc_engine` checks that they are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from struct import unpack_from
from typing import Any, Final

from aiortc import RTCSctpTransport
from aiortc.rtcsctptransport import (
    SCTP_DATA_LAST_FRAG,
    SCTP_RTO_MAX,
    USERDATA_MAX_LENGTH,
    WEBRTC_BINARY,
    WEBRTC_STRING,
    Chunk,
    serialize_packet,
)

from outproc.wires.webrtc.engine import LABELS, LOCAL_MAX_MESSAGE
from outproc.wires.webrtc.guarded_dtls import GuardedDtls, run_now
from outproc.wires.webrtc.sctp_check import SACK, MalformedPacketError, check_packet

RTO_INITIAL: Final = 0.5
RTO_MIN: Final = 0.2
"""Seconds before what was not acknowledged is sent again, first and at least; aiortc's are 3 and 1."""

ACK_DELAY: Final = 0.02
"""Seconds after which a packet is acknowledged though no second one came (RFC 9260, section 6.2: at most 0.2)."""

MOST_IN_FLIGHT: Final = 1 << 20
"""Bytes that are on their way unacknowledged at most. aiortc has no limit of its own and ignores that of the peer."""

MOST_HELD: Final = MOST_IN_FLIGHT + 2 * LOCAL_MAX_MESSAGE
"""Bytes of incomplete messages that a peer may have us keep."""

MOST_AHEAD: Final = 16_384
"""How many packets ahead of the next one are taken; further ones are dropped, and sent again by the peer."""

MessageTaker = Callable[[int, bytes | str], None]


class GuardedSctp(RTCSctpTransport):
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
        self._send_now = transport.send_now
        self._local_partial_reliability = False
        self._rto = RTO_INITIAL
        self._on_message = on_message
        self._on_progress = on_progress
        self._on_malformed = on_malformed
        self._spoiled = False
        self._unacked = 0
        self._ack_timer: asyncio.TimerHandle | None = None

    # -- receiving ----------------------------------------------------------------------------------

    async def _handle_data(self, data: bytes) -> None:
        if self._spoiled:
            return
        try:
            check_packet(data, len(LABELS))
            self._check_numbers(data)
            await super()._handle_data(data)
            if self._advertised_rwnd < (1 << 20) - MOST_HELD:
                raise MalformedPacketError("more of incomplete messages than anybody needs")
        except Exception as error:
            # Whatever it was, the peer made it: it costs this connection and nothing else.
            self._spoiled = True
            self._on_malformed(str(error) or type(error).__name__)

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
        if ahead != 1 or self._sack_misordered or self._reconfig_deferred or chunk.flags & SCTP_DATA_LAST_FRAG:
            await super()._receive_data_chunk(chunk)
            return
        # The next packet, and not the last of its message: nothing can be whole yet, and nothing is looked through.
        self._sack_needed = True
        self._last_received_tsn = chunk.tsn
        self._get_inbound_stream(chunk.stream_id).reassembly.append(chunk)
        self._advertised_rwnd -= len(chunk.user_data)

    async def _send_sack(self) -> None:
        """Acknowledge every second packet, or after `ACK_DELAY`; at once while something is missing."""
        self._unacked += 1
        if self._unacked < 2 and not self._sack_misordered and not self._sack_duplicates:
            self._sack_needed = False
            if self._ack_timer is None:
                self._ack_timer = asyncio.get_running_loop().call_later(ACK_DELAY, self._ack_late)
            return
        await self._send_sack_now()

    async def _send_sack_now(self) -> None:
        self._unacked = 0
        await super()._send_sack()

    def _ack_late(self) -> None:
        self._ack_timer = None
        if self._unacked and self._association_state == self.State.ESTABLISHED:
            run_now(self._send_sack_now())

    async def _receive_sack_chunk(self, chunk: Any) -> None:
        await super()._receive_sack_chunk(chunk)
        self._cwnd = min(self._cwnd, MOST_IN_FLIGHT)
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
        self._send_now(serialize_packet(self._local_port, self._remote_port, self._remote_verification_tag, chunk))

    def _update_rto(self, R: float) -> None:  # noqa: N803 - the name that aiortc gives it
        super()._update_rto(R)
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
