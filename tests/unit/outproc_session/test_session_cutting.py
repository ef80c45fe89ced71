"""Cutting messages to frames."""

from __future__ import annotations

import pytest

from outproc.session.cutting import columns, cut, head_of, rest_of
from outproc.session.log import EntryDetail, Parts


def test_only_the_columns_that_are_needed_are_sent() -> None:
    keyed, asked, again = EntryDetail(key="ü"), EntryDetail(correlation=(1, 7)), EntryDetail(origin=(4, 9))
    assert columns({}, 5, 3) == (None, None, None, 0)
    assert columns({9: keyed}, 5, 3) == (None, None, None, 0)
    assert columns({6: keyed}, 5, 3) == (None, [None, "ü", None], None, 3)
    both = columns({6: keyed, 7: asked}, 5, 3)
    assert both.upto(2) == ([(0, 0), (0, 0)], [None, "ü"], None, 12)
    assert both == ([(0, 0), (0, 0), (1, 7)], [None, "ü", None], None, 12)
    assert columns({5: again}, 5, 2) == (None, None, [(4, 9), (0, 0)], 16)


@pytest.mark.parametrize(
    ("sizes", "column", "room", "cut_from", "result"),
    [
        ([10, 10], 4, 28, 1_000, (2, 0, 20)),
        ([10, 10], 4, 27, 1_000, (1, 0, 10)),
        ([100], 4, 50, 1_000, (1, 54, 100)),
        ([100], 4, 19, 1_000, (0, 0, 0)),
        ([100], 4, 20, 1_000, (1, 84, 100)),
        ([100, 100, 100], 4, 258, 100, (3, 54, 300)),
        ([100, 100, 100], 4, 258, 101, (2, 0, 200)),
        ([0, 0, 0], 4, 11, 1, (2, 0, 0)),
        ([10, 100], 4, 50, 100, (2, 68, 110)),
        ([10, 100], 4, 50, 101, (1, 0, 10)),
        ([10, 100], 4, 33, 1, (1, 0, 10)),
        ([10, 0, 7], 4, 29, 1, (3, 0, 17)),
        ([10, 0, 7], 4, 28, 1, (2, 0, 10)),
    ],
)
def test_cut(sizes: list[int], column: int, room: int, cut_from: int, result: tuple[int, int, int]) -> None:
    assert cut(sizes, column, room, cut_from, alone=True) == result


def test_a_small_message_is_not_cut_behind_others_of_its_lane() -> None:
    assert cut([100], 4, 50, 101, alone=False) == (0, 0, 0)
    assert cut([100], 4, 50, 100, alone=False) == (1, 54, 100)


@pytest.mark.parametrize("at", range(8))
def test_parts_are_cut_without_a_copy(at: int) -> None:
    parts = Parts((b"ab", b"", memoryview(b"cdefg")))
    head, rest = head_of(parts, at), rest_of(parts, at)
    assert isinstance(head, Parts) and isinstance(rest, Parts)
    assert b"".join(head.buffers) == b"abcdefg"[:at]
    assert b"".join(rest.buffers) == b"abcdefg"[at:]
    assert all(isinstance(buffer, memoryview) for buffer in (*head.buffers, *rest.buffers))
    assert (
        bytes(memoryview(b"".join((bytes(_flat(head_of(b"abcdefg", at))), _flat(rest_of(b"abcdefg", at))))))
        == b"abcdefg"
    )


def _flat(body: object) -> bytes:
    assert isinstance(body, bytes | memoryview)
    return bytes(body)
