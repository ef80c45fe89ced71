"""Putting a message together from the pieces that frames of any wires carried."""

from __future__ import annotations

from typing import Final

from litz.errors import ProtocolError

SMALL_PIECE: Final = 1024
"""Bytes below which a piece is joined to the one before: as an object of its own it would cost many times its size."""


class Reassembly:
    """One message whose pieces arrive in order. Belongs to the lane, so it survives a change of wire."""

    __slots__ = ("got", "pieces", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self.got = 0
        self.pieces: list[bytes | bytearray] = []

    def check(self, size: int) -> None:
        """Raise ProtocolError if a next piece, with `size` bytes of the message from its start on, does not fit."""
        if self.got + size != self.total:
            raise ProtocolError(f"a piece makes a message {self.got + size} bytes that has {self.total}")

    def add(self, piece: bytes) -> bytes | None:
        """Take the next piece, which was checked. Returns the message when it is whole."""
        last = self.pieces[-1] if self.pieces else None
        if len(piece) >= SMALL_PIECE:
            self.pieces.append(piece)
        elif isinstance(last, bytearray):
            last += piece
        else:
            self.pieces.append(bytearray(piece))
        self.got += len(piece)
        return b"".join(self.pieces) if self.got == self.total else None
