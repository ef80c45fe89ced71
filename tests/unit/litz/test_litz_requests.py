"""The request table: who waits for which answer."""

from __future__ import annotations

import pytest

from litz import BackpressureError
from litz.requests import RequestTable


def opened(table: RequestTable[str], dest: str, waiter: str) -> int:
    """One that was accepted."""
    request_id = table.open(waiter)
    table.enter(request_id, dest)
    return request_id


def test_ids_are_never_reused_and_wrap_at_64_bits() -> None:
    table: RequestTable[str] = RequestTable((1 << 63) - 1)
    first = opened(table, "a", "w")
    assert table.answered("a", first) == "w"
    assert opened(table, "a", "v") == first + 1
    with pytest.raises(ValueError, match="63 bits"):
        RequestTable(1 << 63)


def test_answers_find_their_waiter_once_and_only_from_the_dest_asked() -> None:
    table: RequestTable[str] = RequestTable(7)
    request_id = opened(table, "a", "w")
    assert table.answered("b", request_id) is None
    assert table.answered("a", request_id) == "w"
    assert table.answered("a", request_id) is None


def test_forgotten_requests_drop_late_answers() -> None:
    table: RequestTable[str] = RequestTable(7)
    request_id = opened(table, "a", "w")
    assert table.forget(request_id)
    assert not table.forget(request_id)
    assert table.answered("a", request_id) is None
    assert len(table) == 0


def test_sweep_takes_one_dest_oldest_first() -> None:
    table: RequestTable[str] = RequestTable(7)
    opened(table, "a", "1")
    other = opened(table, "b", "2")
    opened(table, "a", "3")
    assert [waiter for _, waiter in table.sweep("a")] == ["1", "3"]
    assert (table.sweep("a"), table.pending("a"), table.pending("b")) == ([], 0, 1)
    assert table.answered("b", other) == "2"


def test_a_full_table_says_what_to_do() -> None:
    table: RequestTable[str] = RequestTable(7, limit=1)
    opened(table, "a", "1")
    with pytest.raises(BackpressureError, match="await some of them"):
        opened(table, "b", "2")


def test_what_no_session_has_accepted_ends_with_none_and_takes_its_place_all_the_same() -> None:
    table: RequestTable[str] = RequestTable(7, limit=1)
    request_id = table.open("w")
    assert (table.sweep("a"), table.answered("a", request_id), len(table)) == ([], None, 1)
    with pytest.raises(BackpressureError):
        table.open("v")
    assert not table.forget(request_id), "nobody need be told"
    table.enter(request_id, "a")
    assert (table.answered("a", request_id), len(table)) == (None, 0)
