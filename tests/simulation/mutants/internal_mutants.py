"""Mutants of the internal lanes: how they come to be, and that they are nobody's losses."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

LANES = "outproc.session.internal_lanes"

INTERNAL_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "internal-lane-begins-without-credit",
        "protocol, the internal lanes",
        (Edit(LANES, "        self.allow(limits.window_messages, limits.window_size)\n", ""),),
        ("signals-overtake", "delivered-in-the-end"),
    ),
    Mutant(
        "internal-receive-lane-made-anew",
        "protocol, the internal lanes",
        (Edit(LANES, "lane = lanes[number] = ReceiveLane(", "lane = ReceiveLane("),),
        ("exactly-once", "no-silent-gap", "impossible-state"),
    ),
    Mutant(
        "internal-lane-takes-what-its-log-cannot-hold",
        "P5",
        (Edit(LANES, "return log.count < limits.log_messages and (", "return log.count >= 0 and ("),),
        ("log-bound",),
    ),
    Mutant(
        "internal-messages-are-listed-as-lost",
        "P2",
        (
            Edit(
                "outproc.session.ending",
                "        if lane.lane in INTERNAL_LANES:\n            continue\n",
                "",
            ),
        ),
        ("lost-list-exact",),
    ),
)
