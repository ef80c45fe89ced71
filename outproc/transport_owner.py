"""What a transport tells its manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from outproc.dest_transport import DestTransport


class TransportOwner(Protocol):
    """The manager, as its transports see it."""

    def state_changed(self, transport: DestTransport) -> None:
        """Wires or session changed: wake those who wait, and refresh the fast path."""

    def closed(self, transport: DestTransport) -> None:
        """The transport is closed for good: forget it."""
