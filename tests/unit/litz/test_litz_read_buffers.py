"""What was read is passed on without a copy, and its memory is used again only once nobody has a view of it."""

from __future__ import annotations

from random import Random

from litz.read_buffers import KEPT, PASSED_ON_FROM, READ_SIZE, ReadBuffers, read_buffers


def read(reads: ReadBuffers, data: bytes) -> bytes | memoryview:
    """As an event loop does."""
    reads.next()[: len(data)] = data
    return reads.take(len(data))


def test_what_is_passed_on_never_changes_whatever_is_read_behind_it() -> None:
    rng = Random(1)
    reads = ReadBuffers()
    kept: list[tuple[bytes | memoryview, bytes]] = []
    for turn in range(200):
        size = rng.choice((1, PASSED_ON_FROM - 1, PASSED_ON_FROM, READ_SIZE))
        data = bytes([turn % 251]) * size
        kept.append((read(reads, data), data))
        while len(kept) > rng.choice((3, 2 * KEPT)):
            del kept[rng.randrange(len(kept))]
        assert all(came == sent for came, sent in kept[-4:])
    assert all(came == sent for came, sent in kept)


def test_large_reads_are_views_that_cannot_be_written_and_small_ones_keep_no_memory() -> None:
    reads = ReadBuffers()
    large = read(reads, bytes(READ_SIZE))
    assert isinstance(large, memoryview)
    assert large.readonly
    assert type(read(reads, bytes(PASSED_ON_FROM - 1))) is bytes
    assert read_buffers() is read_buffers()


def test_the_same_memory_is_used_again() -> None:
    reads = ReadBuffers()
    seen = set()
    for _ in range(10 * KEPT):
        whole = reads.next().obj
        seen.add(id(whole))
        large = reads.take(READ_SIZE)
        del whole, large
    assert len(seen) <= KEPT
