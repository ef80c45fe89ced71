"""`litz.replay_buffer` against the plainest model there is: one bytes object."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from litz.replay_buffer import GATHER, ReplayBuffer

SIZES = st.one_of(st.integers(0, 5), st.sampled_from([GATHER - 1, GATHER, GATHER + 1, 3 * GATHER]))
STEPS = st.lists(st.tuples(st.sampled_from(["append", "confirm", "read"]), SIZES, st.floats(0, 1)), max_size=60)


@given(STEPS)
def test_any_position_that_is_held_can_be_read_and_no_other(steps: list[tuple[str, int, float]]) -> None:
    buffer, model = ReplayBuffer(), b""
    for number, (step, size, where) in enumerate(steps):
        position = buffer.start + round(where * len(buffer))
        if step == "append":
            data = bytes([number % 251]) * size
            buffer.append(data)
            model += data
        elif step == "confirm":
            before = buffer.start
            assert buffer.confirm(position) == position - before
            assert buffer.start == position
        else:
            got = b""
            while part := buffer.read(position + len(got), max(1, size)):
                assert len(part) <= max(1, size)
                got += part
            assert got == model[position:]
        assert buffer.end == len(model)
        assert len(buffer) == buffer.end - buffer.start
    for wrong in (buffer.start - 1, buffer.end + 1):
        with pytest.raises(ValueError, match="not between"):
            buffer.read(wrong, 1)
    with pytest.raises(ValueError, match="were written"):
        buffer.confirm(buffer.end + 1)
    assert buffer.confirm(buffer.start) == 0
    assert buffer.confirm(0) == 0


def test_tiny_writes_cost_about_what_they_hold() -> None:
    buffer = ReplayBuffer()
    for number in range(100_000):
        buffer.append(b"%d" % (number % 10))
        if number % 7 == 0:
            buffer.read(number, 100)
    blocks = buffer._blocks
    assert len(blocks) < 100
    assert sum(map(sys.getsizeof, blocks)) < 110_000
    assert buffer.confirm(99_999) == 99_999
    assert buffer.read(99_999, 10) == b"9"
    assert len(blocks) == 1
