"""Lines about refused connections: the first of each peer at once, and never a flood."""

from __future__ import annotations

from outproc.cli.complaints import MAX_LINES, QUIET, Complaints


def test_whatever_a_peer_is_refused_for_there_is_one_line_at_a_time_and_what_was_left_out_is_counted() -> None:
    said: list[str] = []
    complaints = Complaints(said.append)
    for number in range(1000):
        complaints.add("bob", f"reason {number}", 5.0 + number * QUIET / 1000)
    assert said == ["reason 0"]
    complaints.add("carol", "full", 5.0)
    assert said[1:] == ["full (999 more before this one)"], "another peer is not silenced"
    complaints.add("bob", "reason 1000", 5.0 + QUIET)
    assert said[2:] == ["reason 1000"]


def test_many_peers_make_no_flood_either() -> None:
    said: list[str] = []
    complaints = Complaints(said.append)
    for number in range(1000):
        complaints.add(f"peer {number}", "no", 5.0)
    assert len(said) == MAX_LINES
    for number in range(1000):
        complaints.add(f"peer {number}", "no", 5.0 + QUIET)
    assert len(said) == 2 * MAX_LINES
    assert said[MAX_LINES] == f"no ({1000 - MAX_LINES} more before this one)"
