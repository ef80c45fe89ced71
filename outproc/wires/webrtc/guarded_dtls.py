"""aiortc's DTLS with a short way for data: no queue, no task and no coroutine between a datagram and SCTP.

Most of the cost of aiortc is Python called once for each packet of 1,200 bytes; this is where most of it is saved.
"""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine
from typing import Any, Final

from aiortc import RTCDtlsTransport
from aiortc.rtcdtlstransport import State
from OpenSSL import SSL

from outproc.wires.webrtc.dtls_records import Records
from outproc.wires.webrtc.guarded_ice import GuardedIce

_APPLICATION_DATA: Final = 23
"""The type of a DTLS 1.2 record that carries data (RFC 6347)."""


class GuardedDtls(RTCDtlsTransport):
    """DTLS over `GuardedIce`, which is to call `take` with each datagram that is DTLS."""

    _records: Records | None = None

    def _begin(self) -> Records:
        """Connected: from now on records go the short way."""
        ssl: Any = self._ssl
        self._records = Records(ssl)
        return self._records

    def take(self, data: bytes) -> bool:
        """Handle one datagram now; False: it must go the long way (a handshake, an alert, not connected yet)."""
        receiver = self._data_receiver
        if data[0] != _APPLICATION_DATA or receiver is None or self._state is not State.CONNECTED:
            return False
        with contextlib.suppress(SSL.Error):  # a replay, or not of our peer: dropped
            plain = (self._records or self._begin()).open(data)
            run_now(receiver._handle_data(plain))
        return True

    def send_now(self, data: bytes) -> None:
        """Encrypt one packet and hand it to the network. Dropped when the connection is dead."""
        ice = self.transport._connection
        assert isinstance(ice, GuardedIce)
        pair = ice._nominated.get(1)
        if pair is None or self._state is not State.CONNECTED:
            return
        try:
            record = (self._records or self._begin()).seal(data)
        except SSL.Error:
            return  # the end of the connection is told in another way
        pair.protocol.transport.sendto(record, pair.remote_addr)


def run_now(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine that never waits: all of aiortc's SCTP is such, because sending ends in `sendto`."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("aiortc waits where it did not: litz was written for aiortc 1.16")
