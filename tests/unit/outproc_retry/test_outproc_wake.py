"""A sleep of the machine is noticed once; a process that stood still, and clocks that drift, are none."""

from __future__ import annotations

from outproc.retry.wake import MAX_APART, THRESHOLD, WakeDetector


def at_once(detector: WakeDetector, monotonic: float, boottime: float) -> float:
    return detector.observe(monotonic, boottime, monotonic)


def test_a_sleep_is_reported_once() -> None:
    detector = WakeDetector()
    assert at_once(detector, 100.0, 500.0) == 0.0
    assert at_once(detector, 101.0, 501.0) == 0.0
    assert at_once(detector, 102.0, 522.0) == 20.0
    assert at_once(detector, 103.0, 523.0) == 0.0


def test_a_process_that_stood_still_has_not_slept() -> None:
    detector = WakeDetector()
    at_once(detector, 100.0, 500.0)
    assert at_once(detector, 4_000.0, 4_400.0) == 0.0
    assert at_once(detector, 4_001.0, 4_411.0) == 10.0


def test_short_sleeps_do_not_add_up_and_the_threshold_itself_counts() -> None:
    detector = WakeDetector()
    at_once(detector, 0.0, 0.0)
    assert at_once(detector, 1.0, 2.75) == 0.0
    assert at_once(detector, 2.0, 5.5) == 0.0
    assert at_once(detector, 3.0, 6.5 + THRESHOLD) == THRESHOLD


def test_a_stop_between_the_readings_is_no_sleep_and_hides_none() -> None:
    """Stopped for an hour after the first reading: the boot time looks an hour ahead of it."""
    detector = WakeDetector()
    at_once(detector, 100.0, 500.0)
    assert detector.observe(101.0, 501.0 + 3_600.0, 101.0 + 3_600.0) == 0.0
    assert detector.observe(5_000.0, 5_400.0, 5_000.0 + 2 * MAX_APART) == 0.0
    assert at_once(detector, 6_000.0, 6_430.0) == 30.0


def test_a_long_time_between_two_looks_hides_no_sleep() -> None:
    detector = WakeDetector()
    at_once(detector, 0.0, 0.0)
    assert at_once(detector, 86_400.0, 86_400.0) == 0.0
    assert at_once(detector, 172_800.0, 172_830.0) == 30.0


def test_a_boot_time_that_goes_back_is_no_sleep() -> None:
    detector = WakeDetector()
    at_once(detector, 100.0, 500.0)
    assert at_once(detector, 101.0, 400.0) == 0.0
    assert at_once(detector, 102.0, 401.0) == 0.0
