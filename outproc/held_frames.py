"""Frames that wait until it is proved who sends them: bounded for each wire, and for all strangers of a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litz.errors import BusyError, LitzError, ProtocolError

if TYPE_CHECKING:
    from outproc.urgent_strand import UrgentStrand

HELD_FRAMES_SIZE: Final = 512 << 10
"""Bytes that may wait of one wire; more costs it the wire. An honest peer sends less (`SessionLimits.early_size`)."""

FRAME_COST: Final = 64
"""Bytes that each frame counts beside its own: so many empty ones are not free."""


class NodeHeld:
    """What the unproved wires of a node hold together, in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0


class HeldFrames:
    """What one wire holds, oldest first. `node`: where it counts too; None for a wire that this node dialled."""

    def __init__(self, node: NodeHeld | None) -> None:
        self._node = node
        self._frames: list[tuple[bytes, UrgentStrand | None]] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: bytes, strand: UrgentStrand | None = None) -> LitzError | None:
        """A frame has come, on the wire or its `strand`, and waits. Returns why the wire must be given up for it, if it
        must; then nothing waits."""
        self._frames.append((frame, strand))
        self._count(len(frame) + FRAME_COST)
        error: LitzError | None = None
        if self._size > HELD_FRAMES_SIZE:
            error = ProtocolError(f"the peer sent more than {HELD_FRAMES_SIZE >> 10} KiB before its proof was checked")
        elif self._node is not None and self._node.size > self._node.limit:
            cure = "raise it if they are yours"
            error = BusyError(f"peers without a proof have sent all of unauthenticated_size; {cure}", retry_after=1.0)
        if error is not None:
            self.clear()
        return error

    def take(self) -> tuple[bytes, UrgentStrand | None]:
        """The oldest; it waits no more."""
        frame, strand = self._frames.pop(0)
        self._count(-len(frame) - FRAME_COST)
        return frame, strand

    def clear(self) -> None:
        """What waits is not looked at any more."""
        self._frames.clear()
        self._count(-self._size)

    def _count(self, size: int) -> None:
        self._size += size
        if self._node is not None:
            self._node.size += size
