"""A sleep of the machine and a stop of the process are noticed once; clocks that were set are not."""

from __future__ import annotations

import pytest

from outproc.retry.wake import Wake, WakeDetector


def test_a_sleep_is_reported_once() -> None:
    detector = WakeDetector()
    assert detector.observe(100.0, 500.0, 0.0) is None
    assert detector.observe(101.0, 501.0, 0.0) is None
    assert detector.observe(102.0, 522.0, 0.0) == Wake(slept=20.0, stalled=0.0)
    assert detector.observe(103.0, 523.0, 0.0) is None


def test_a_stopped_process_is_a_wake_too() -> None:
    detector = WakeDetector()
    detector.observe(100.0, 500.0, 0.0)
    assert detector.observe(130.0, 530.0, 29.0) == Wake(slept=0.0, stalled=29.0)


def test_both_at_once() -> None:
    detector = WakeDetector()
    detector.observe(100.0, 500.0, 0.0)
    assert detector.observe(104.0, 514.0, 3.0) == Wake(slept=10.0, stalled=3.0)


def test_the_threshold_belongs_to_the_wake() -> None:
    detector = WakeDetector(threshold=2.0)
    detector.observe(0.0, 0.0, 0.0)
    assert detector.observe(1.0, 2.75, 0.0) is None
    assert detector.observe(2.0, 5.75, 0.0) == Wake(slept=2.0, stalled=0.0)
    assert detector.observe(3.0, 6.75, 1.75) is None
    assert detector.observe(4.0, 7.75, 2.0) == Wake(slept=0.0, stalled=2.0)


def test_without_a_boot_time_clock_only_lateness_tells() -> None:
    detector = WakeDetector()
    assert detector.observe(0.0, None, 0.0) is None
    assert detector.observe(1_000.0, None, 1.0) is None
    assert detector.observe(2_000.0, None, 5.0) == Wake(slept=0.0, stalled=5.0)
    assert detector.observe(2_001.0, 9_999.0, 0.0) is None


def test_a_long_pause_between_calls_is_no_sleep() -> None:
    detector = WakeDetector()
    detector.observe(0.0, 0.0, 0.0)
    assert detector.observe(3_600.0, 3_600.0, -1.0) is None


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan")])
def test_a_threshold_of_nothing_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        WakeDetector(threshold)
