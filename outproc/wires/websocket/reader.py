"""WebSocket frames on the way in: the fast lane for plain data, everything else passed on. Pure.

A *plain* frame is one whole unfragmented binary message of a legal size: all that a litz peer sends. It is cut
out here with one copy. Any other frame (control, fragment, text, too large, wrongly masked, reserved bits) is
handed on as raw bytes, in order, for the `websockets` protocol to judge: it stays the only authority on the RFC.
"""

from __future__ import annotations

from typing import NamedTuple

from websockets.speedups import apply_mask

from outproc.wires.websocket.framing import BINARY, MASKED, NO_MASK


class Raw(NamedTuple):
    """Bytes of frames that are not plain, as they came. The caller feeds them to `Protocol.receive_data`."""

    data: bytes


class FrameReader:
    """Cuts a byte stream into plain frames and raw rest.

    It keeps at most one frame (`max_size` and a header). After a raw part made the protocol fail, the caller
    stops feeding: what follows has no meaning.
    """

    __slots__ = ("_fragmented", "_kept", "_mask_bit", "_max_size", "_need", "_raw_left")

    def __init__(self, *, masked: bool, max_size: int) -> None:
        self._mask_bit = MASKED if masked else 0
        self._max_size = max_size
        self._kept = bytearray()
        self._need = 2
        self._raw_left = 0
        self._fragmented = False

    @property
    def kept(self) -> int:
        """Bytes of an incomplete frame."""
        return len(self._kept)

    def feed(self, data: bytes | memoryview) -> list[bytes | Raw]:
        """What is complete once `data` has come: plain payloads as `bytes`, everything else as `Raw`. Nothing keeps
        `data` alive, so the caller may overwrite it afterwards."""
        found: list[bytes | Raw] = []
        with memoryview(data) as view:
            at = self._complete(view, found)
            if not self._kept:
                at = self._cut(view, at, found)
            if at < len(view):
                self._kept += view[at:]
        return found

    def _complete(self, view: memoryview, found: list[bytes | Raw]) -> int:
        """Add to what is kept what its frame lacks, and no more: the rest need not be copied. Return how much that
        was."""
        kept, at = self._kept, 0
        while kept and at < len(view):
            part = view[at : at + self._need - len(kept)]
            kept += part
            at += len(part)
            if len(kept) < self._need:
                break
            with memoryview(kept) as whole:
                used = self._cut(whole, 0, found)
            del kept[:used]
        return at

    def _cut(self, view: memoryview, at: int, found: list[bytes | Raw]) -> int:
        """Fill `found` from `at` on; return where the incomplete rest begins and set `_need` to the length it must
        reach."""
        end = len(view)
        mask_bit, max_size = self._mask_bit, self._max_size
        while True:
            if self._raw_left and at < end:
                part = view[at : at + self._raw_left]
                found.append(Raw(bytes(part)))
                self._raw_left -= len(part)
                at += len(part)
            if self._raw_left:
                return at
            if end - at < 2:
                self._need = 2
                return at
            second = view[at + 1]
            length = second & 0x7F
            start = at + 2
            if length > 125:
                wide = 2 if length == 126 else 8
                if end - start < wide:
                    self._need = 2 + wide
                    return at
                length = int.from_bytes(view[start : start + wide], "big")
                start += wide
            start += mask_bit >> 5  # the key has four bytes
            if view[at] != BINARY or second & MASKED != mask_bit or length > max_size or self._fragmented:
                self._note_fragments(view[at])
                self._raw_left = start - at + length
                continue
            stop = start + length
            if stop > end:
                self._need = stop - at
                return at
            if mask_bit and (key := bytes(view[start - 4 : start])) != NO_MASK:
                found.append(apply_mask(view[start:stop], key))
            else:
                found.append(bytes(view[start:stop]))
            at = stop

    def _note_fragments(self, first: int) -> None:
        opcode, final = first & 0x0F, first & 0x80
        if opcode in (1, 2) and not final:
            self._fragmented = True
        elif opcode == 0 and final:
            self._fragmented = False
