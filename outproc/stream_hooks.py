"""What the drivers of sessions tell whoever carries streams. Here it is nobody: `outproc.streams` puts its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from litz.errors import SessionEndedError
from litz.snapshot import StreamsSnapshot
from outproc.session.receive_lane import Delivery

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport


class StreamHooks:
    """One for each node. All is called in the turn of the loop in which it happens; only streams cost anything."""

    def received(self, dest: str, delivery: Delivery) -> None:
        """Entries of a stream came."""

    def ended(self, dest: str, number: int) -> None:
        """The incoming lane of a stream is complete."""

    def acked(self, dest: str, number: int) -> None:
        """An ack brought news for a stream."""

    def wrote(self, transport: DestTransport) -> None:
        """Something may have gone out, or was acknowledged: there may be room."""

    def snapshot(self, transport: DestTransport) -> StreamsSnapshot | None:
        """What there is, and what happened; None: never anything."""
        return None

    def holds(self, transport: DestTransport) -> bool:
        """Whether a stream stands that may yet come to its end."""
        return False

    def unconfirmed(self, transport: DestTransport) -> list[asyncio.Future[None]]:
        """Futures for all that was written to be received: what `drain` waits for."""
        return []

    async def judge_again(self, transport: DestTransport) -> bool:
        """Rights may be others: whether the dest lost a stream by it. Takes the time of a handshake at most."""
        return False

    def session_ended(self, transport: DestTransport, error: SessionEndedError) -> None:
        """The session is over. It is still the transport's."""
