"""Cutting messages to the frames of a wire, without copying them."""

from __future__ import annotations

from outproc.session.log import Body, Parts

FrameParts = list[bytes | bytearray | memoryview]
"""One frame, as buffers to write unjoined."""

SMALLEST_CHUNK = 16
CHUNKED_FROM = 16 << 10
"""Smaller messages are not cut to fill the rest of a frame; they go whole into the next one."""


def cut(sizes: list[int], column: int, room: int, cut_from: int) -> tuple[int, int]:
    """How many entries of `sizes` (plus `column` each) fit into `room`, and the bytes of the last that do not."""
    used = 0
    for index, size in enumerate(sizes):
        needed = size + column
        if used + needed <= room:
            used += needed
            continue
        part = room - used - column
        if part >= SMALLEST_CHUNK and (index == 0 or size >= cut_from):
            return index + 1, size - part
        return index, 0
    return len(sizes), 0


def rest_of(body: Body, offset: int) -> Body:
    """The rest of a body from `offset` on, without a copy."""
    if not isinstance(body, Parts):
        return memoryview(body)[offset:]
    rest = []
    for buffer in body.buffers:
        if offset >= len(buffer):
            offset -= len(buffer)
        else:
            rest.append(memoryview(buffer)[offset:])
            offset = 0
    return Parts(tuple(rest))


def head_of(body: Body, size: int) -> Body:
    """The first `size` bytes of a body, without a copy."""
    if not isinstance(body, Parts):
        return memoryview(body)[:size]
    head = []
    for buffer in body.buffers:
        if size <= 0:
            break
        head.append(memoryview(buffer)[:size])
        size -= len(buffer)
    return Parts(tuple(head))
