"""The measures of one wire: round trip without its own load, throughput while it is full, sickness with rests."""

from __future__ import annotations

from outproc.wire_meter import LONGEST_REST, RATE_KEPT, WireMeter


def test_the_round_trip_is_smoothed() -> None:
    meter = WireMeter(0.0)
    meter.pinged(100, 0)
    meter.ponged(0.5, 200)
    assert meter.round_trip == 0.5
    meter.pinged(300, 0)
    meter.ponged(1.3125, 400)
    assert meter.round_trip == 0.5 + (1.3125 - 0.5) / 8


def test_what_was_measured_behind_its_own_load_counts_only_while_there_is_no_better() -> None:
    meter = WireMeter(0.0)
    meter.pinged(1_000_000, 900_000)
    meter.ponged(3.0, 1_000_000)
    assert meter.round_trip == 3.0
    meter.pinged(2_000_000, 0)
    meter.ponged(2.0, 2_500_000)  # what was written behind it delays the answer too
    assert meter.round_trip == 2.0
    meter.pinged(3_000_000, 0)
    meter.ponged(0.1, 3_000_100)
    assert meter.round_trip == 0.1
    meter.pinged(4_000_000, 900_000)
    meter.ponged(9.0, 4_000_000)
    assert meter.round_trip == 0.1


def look(
    meter: WireMeter,
    now: float,
    acked: int = 0,
    *,
    sent: int = 0,
    left: int = 0,
    buffered: int = 0,
    out: bool = True,
    lane: int = 0,
) -> bool:
    """Positions are numbers of messages here."""
    places = {lane: (sent, 0)}, {lane: (acked, 0)}
    return meter.look(now, outstanding=out, sent=places[0], acked=places[1], left=left, buffered=buffered)


def full(meter: WireMeter, now: float, *, written: int, acked: int, lane: int = 0) -> None:
    """A look at a full wire that carries messages of 1,000 bytes."""
    look(meter, now, acked, sent=written // 1_000, left=written - 100_000, buffered=100_000, lane=lane)


def test_throughput_is_what_arrives_while_the_wire_is_full() -> None:
    meter = WireMeter(0.0)
    look(meter, 1.0, buffered=0)
    full(meter, 2.0, written=200_000, acked=0)
    full(meter, 3.0, written=400_000, acked=200)
    full(meter, 4.0, written=600_000, acked=400)
    assert meter.throughput(4.0) is None, "since when was it on the way?"
    full(meter, 5.0, written=800_000, acked=600)
    assert meter.throughput(5.0) == 200_000
    full(meter, 6.0, written=900_000, acked=700)
    assert meter.throughput(6.0) == 200_000, "of the last look not all has arrived"
    full(meter, 7.0, written=1_000_000, acked=800)
    assert meter.throughput(7.0) == 200_000 + (100_000 - 200_000) / 4
    look(meter, 8.0, 800, sent=1_000, left=999_990, buffered=10)
    assert meter.throughput(8.0) == 175_000
    assert meter.throughput(7.0 + RATE_KEPT + 0.1) is None


def test_what_lies_in_buffers_on_the_way_counts_when_it_has_arrived() -> None:
    """A proxy takes ten megabytes at once, and passes on one a second."""
    meter = WireMeter(0.0)
    for second in range(100):
        full(meter, float(second), written=10_000_000 + second * 1_000_000, acked=second * 1_000)
        rate = meter.throughput(float(second))
        assert rate is None or 0.9e6 <= rate <= 1.1e6
    assert meter.throughput(99.0) is not None


def test_a_lane_that_leaves_takes_what_was_measured_with_it() -> None:
    meter = WireMeter(0.0)
    for second in range(4):
        full(meter, float(second), written=second * 200_000, acked=second * 200)
    rate = meter.throughput(3.0)
    full(meter, 4.0, written=5_000_000, acked=0, lane=2)
    full(meter, 5.0, written=5_000_000, acked=9_000, lane=2)
    assert meter.throughput(5.0) == rate


def test_no_ack_for_long_with_data_outstanding_is_sick() -> None:
    meter = WireMeter(0.0, 3.0)
    assert not any(look(meter, at / 2) for at in range(1, 7))
    assert look(meter, 3.5)
    assert meter.sick
    assert not look(meter, 4.0), "it is told once"


def test_an_ack_what_drains_and_idleness_are_progress() -> None:
    for acked, left, out in ((1, 0, True), (0, 1000, True), (0, 0, False)):
        meter = WireMeter(0.0, 3.0)
        for at in range(1, 6):
            look(meter, at / 2, buffered=5_000)
        look(meter, 3.0, acked, left=left, buffered=5_000, out=out)
        assert not any(look(meter, at / 2, acked, left=left, buffered=5_000) for at in range(7, 12))
        assert look(meter, 6.0, acked, left=left, buffered=5_000)


def test_what_the_system_takes_of_a_wire_that_was_empty_is_no_progress() -> None:
    meter = WireMeter(0.0, 3.0)
    looks = [look(meter, at / 2, left=at * 100) for at in range(1, 9)]
    assert any(looks)


def test_a_loop_that_stood_still_makes_nobody_sick() -> None:
    meter = WireMeter(0.0, 3.0)
    look(meter, 0.5)
    assert not look(meter, 60.0)
    assert not meter.sick


def test_it_is_well_after_a_rest_and_an_answer_and_each_rest_is_longer() -> None:
    meter = WireMeter(0.0, 3.0)
    now, rests = 0.0, []
    for _ in range(9):
        while not look(meter, now):
            now += 0.5
        assert meter.sick_until is not None
        rests.append(meter.sick_until - now)
        assert not meter.answered(now + 0.1, now), "the ping was of before its rest"
        until = meter.sick_until
        assert not meter.answered(until + 1, until - 0.1)
        assert meter.answered(until + 1, until)
        assert not meter.sick
        now = until + 1
    assert rests[:4] == [3.0, 6.0, 12.0, 24.0]
    assert rests[-1] == LONGEST_REST
    now += 3 * LONGEST_REST
    look(meter, now, out=False)
    while not look(meter, now):
        now += 0.5
    assert meter.sick_until == now + 3.0
