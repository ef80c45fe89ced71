"""The send log against a naive model: a list of what every number is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from litz.events import DropReason
from outproc.session.log import End, EntryDetail, Gap, Parts, Run, SendLog


class Model:
    """One cell per number: a body, the reason it was dropped for, or "end"."""

    def __init__(self) -> None:
        self.base = 0
        self.cells: list[bytes | DropReason | str] = []
        self.details: dict[int, EntryDetail] = {}
        self.newest: dict[str, int] = {}

    def live(self) -> list[int]:
        return [n for n in range(self.base, len(self.cells)) if isinstance(self.cells[n], bytes)]

    def size(self, numbers: list[int]) -> int:
        bodies = [self.cells[n] for n in numbers]
        return sum(len(body) for body in bodies if isinstance(body, bytes))

    def latest(self) -> dict[str, int]:
        """The newest number of each key, unless that one is gone."""
        return {key: n for key, n in self.newest.items() if n in self.live()}


def unfold(log: SendLog) -> dict[int, object]:
    cells: dict[int, object] = {}
    for segment in log.segments:
        if isinstance(segment, Run):
            cells.update(enumerate(segment.bodies, segment.first))
        elif isinstance(segment, Gap):
            cells.update(dict.fromkeys(range(segment.first, segment.end), segment.reason))
        elif segment.first >= log.base:
            cells[segment.first] = "end"
    return cells


def agree(log: SendLog, model: Model) -> None:
    live = model.live()
    assert unfold(log) == {n: model.cells[n] for n in range(model.base, len(model.cells))}
    assert log.base == model.base
    assert log.next_number == len(model.cells)
    assert log.count == len(live)
    assert log.size == model.size(live)
    assert list(log.messages()) == live
    assert log.finished == ("end" in model.cells)
    assert {n: d for n, d in log.details.items() if n >= model.base} == {n: model.details[n] for n in log.details}
    assert log.latest == model.latest()
    for number in range(model.base, len(model.cells)):
        cell = model.cells[number]
        assert log.body_size(number) == (len(cell) if isinstance(cell, bytes) else 0)
    # No segment is empty but the tail, and neighbours of one reason are one gap: the log stays small.
    for left, right in zip(log.segments, log.segments[1:], strict=False):
        assert not (isinstance(left, Gap) and isinstance(right, Gap) and left.reason is right.reason)
        assert right.first == left.end


STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 5), st.sampled_from([None, None, "k", "j"])),
    st.tuples(st.just("drop"), st.integers(0, 5), st.sampled_from([DropReason.OLDEST, DropReason.SUPERSEDED])),
    st.tuples(st.just("drop"), st.just(0), st.just(DropReason.OLDEST)),
    st.tuples(st.just("trim"), st.integers(0, 3), st.none()),
)
APPENDS = [("append", 2, None)] * 6


def play(steps: list[tuple[str, int, object]]) -> None:
    log, model = SendLog(), Model()
    for name, amount, extra in steps:
        if name == "append":
            _append(log, model, bytes(amount), EntryDetail(key=extra) if isinstance(extra, str) else None)
        elif name == "drop":
            _drop(log, model, amount, extra)
        elif name == "trim":
            target = min(model.base + amount, len(model.cells))
            assert log.trim(target) == model.size([n for n in model.live() if n < target])
            model.base = target
            model.details = {n: d for n, d in model.details.items() if n >= target}
        elif "end" not in model.cells:
            assert log.finish() == len(model.cells)
            model.cells.append("end")
        else:
            assert log.finish() == model.cells.index("end")
        agree(log, model)
        for floor in range(model.base, len(model.cells) + 2):
            assert list(log.messages_from(floor)) == [n for n in model.live() if n >= floor]


def _append(log: SendLog, model: Model, body: bytes, detail: EntryDetail | None) -> None:
    if log.finished:
        with pytest.raises(RuntimeError, match="finished"):
            log.append(body)
        return
    number = log.append(body, detail)
    assert number == len(model.cells)
    model.cells.append(body)
    if detail is not None:
        model.details[number] = detail
        model.newest[str(detail.key)] = number


def _drop(log: SendLog, model: Model, pick: int, reason: object) -> None:
    live = model.live()
    assert isinstance(reason, DropReason)
    if live:
        number = live[pick % len(live)]
        assert log.drop(number, reason) == model.size([number])
        model.cells[number] = reason
        model.details.pop(number, None)


@settings(max_examples=300)
@given(st.lists(STEP, max_size=30), st.lists(STEP, max_size=10), st.booleans())
def test_the_log_is_what_a_list_of_cells_is(
    steps: list[tuple[str, int, object]], after: list[tuple[str, int, object]], finish: bool
) -> None:
    end: list[tuple[str, int, object]] = [("finish", 0, None)] if finish else []
    play([*steps, *end, *after, *end])


OLDEST, NEWEST = DropReason.OLDEST, DropReason.NEWEST


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([*APPENDS, ("drop", 1, OLDEST), ("drop", 1, OLDEST), ("trim", 2, None)], id="trim inside a gap"),
        pytest.param([*APPENDS, ("drop", 1, OLDEST), ("trim", 2, None), ("trim", 9, None)], id="trim a gap"),
        pytest.param(
            [*APPENDS, ("drop", 0, OLDEST), ("drop", 1, OLDEST), ("drop", 0, OLDEST)],
            id="the run between two gaps goes",
        ),
        pytest.param(
            [*APPENDS, ("drop", 0, OLDEST), ("drop", 1, NEWEST), ("drop", 0, OLDEST)], id="gaps of two reasons"
        ),
        pytest.param([*APPENDS, ("drop", 5, OLDEST), ("drop", 4, OLDEST)], id="a gap before a gap"),
        pytest.param(
            [*APPENDS, ("finish", 0, None), ("drop", 5, OLDEST), ("trim", 9, None)], id="a gap before the end"
        ),
        pytest.param([("finish", 0, None), ("trim", 1, None), ("finish", 0, None)], id="nothing but an end"),
        pytest.param([*APPENDS, ("drop", 1, OLDEST), ("drop", 2, OLDEST), ("drop", 1, NEWEST)], id="one of three"),
    ],
)
def test_every_way_a_segment_can_change(steps: list[tuple[str, int, object]]) -> None:
    play(steps)


def test_trimming_below_the_base_changes_nothing() -> None:
    log = SendLog()
    for _ in range(4):
        log.append(b"ab")
    assert log.trim(3) == 6
    assert log.trim(1) == 0
    assert (log.base, log.count, log.size) == (3, 1, 2)


@pytest.mark.parametrize("number", [0, 1, 2, 9])
def test_what_is_no_message_cannot_be_dropped(number: int) -> None:
    log = SendLog()
    log.append(b"a")
    log.append(b"b")
    log.drop(1, DropReason.OLDEST)
    log.finish()
    log.trim(1)
    with pytest.raises(RuntimeError, match="no message"):
        log.drop(number, DropReason.OLDEST)


def test_a_day_of_drops_is_one_gap() -> None:
    log = SendLog()
    for number in range(1_000):
        log.append(b"x")
        log.drop(number, DropReason.OLDEST)
    assert log.segments == [Gap(0, 999, DropReason.OLDEST), Run(1_000)]
    assert log.count == log.size == 0


def test_the_end_stays_known_after_it_was_acknowledged() -> None:
    log = SendLog()
    log.append(b"x")
    assert log.finish() == 1
    log.trim(2)
    assert log.finished
    assert (log.next_number, log.count) == (2, 0)
    assert log.segments == [End(1)]


def test_the_latest_of_a_key_is_forgotten_with_it_and_not_with_an_older_one() -> None:
    log = SendLog()
    log.append(b"a", EntryDetail(key="k"))
    log.append(b"b", EntryDetail(key="k"))
    log.trim(1)
    assert log.latest == {"k": 1}
    log.trim(2)
    assert log.latest == {}
    assert log.details == {}


def test_parts_have_the_size_of_all() -> None:
    parts = Parts((b"ab", memoryview(b"cde")))
    assert len(parts) == 5
    log = SendLog()
    log.append(parts)
    assert log.size == 5
