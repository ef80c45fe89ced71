"""How fast a channel sends: what was given, by when it was gone."""

from __future__ import annotations

from outproc.wires.webrtc.pace import Pace


def sends(pace: Pace, begin: float, end: float, *, every: float, size: int) -> float:
    """Gives `size` bytes again and again, each gone after `every` seconds; the time it is then."""
    now = begin
    while now < end:
        now += every
        pace.gave(size)
        pace.drained(now)
    return now


def test_it_comes_to_the_rate_at_which_bytes_go() -> None:
    pace = Pace(0.0)
    assert pace.rate == 0
    sends(pace, 0.0, 0.2, every=0.002, size=200_000)
    assert 95e6 < pace.rate <= 100e6
    assert pace.bytes_in(0.001, 0, 1 << 30) == int(pace.rate * 0.001)


def test_it_follows_a_path_that_becomes_slow_within_a_few_hundredths_of_a_second() -> None:
    pace = Pace(0.0)
    now = sends(pace, 0.0, 0.2, every=0.002, size=200_000)
    sends(pace, now, now + 0.2, every=0.05, size=50_000)
    assert pace.rate < 3e6


def test_one_late_look_does_not_make_it_slow() -> None:
    pace = Pace(0.0)
    now = sends(pace, 0.0, 0.2, every=0.002, size=200_000)
    pace.gave(200_000)
    pace.drained(now + 0.010)
    assert pace.rate > 60e6


def test_what_falls_though_nothing_was_given_tells_nothing() -> None:
    pace = Pace(0.0)
    sends(pace, 0.0, 0.2, every=0.002, size=200_000)
    before = pace.rate
    pace.drained(9.0)
    assert pace.rate == before


def test_two_drains_at_once_are_no_endless_rate() -> None:
    pace = Pace(5.0)
    pace.gave(1_000)
    pace.drained(5.0)
    assert pace.rate <= 10e6


def test_what_follows_from_it_has_bounds() -> None:
    pace = Pace(0.0)
    assert pace.bytes_in(0.005, 64, 256) == 64
    sends(pace, 0.0, 1.0, every=0.01, size=1_000)
    assert pace.bytes_in(0.001, 64, 256) == int(pace.rate * 0.001)
    assert pace.bytes_in(1.0, 64, 256) == 256
