"""Mutants of wires with two strands: a lane is on one of them at a time, and both are one wire."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

SESSION = "outproc.session.session"

MANAGERS = "tests.simulation.managers.run:run_seed"

STRAND_MUTANTS = (
    Mutant(
        "lane-on-both-strands",
        "R5",
        (
            Edit(
                SESSION,
                "if lane.wire is wire and lane.has_unsent else 0",
                "if lane.wire and lane.wire in (wire, joined.of, joined.strand) and lane.has_unsent else 0",
            ),
        ),
        ("lane-moves-forward", "honest-peers-never-fault", "impossible-state"),
    ),
    Mutant(
        "strand-outlives-its-wire",
        "R5",
        (
            Edit(
                SESSION,
                "        if joined.strand is not None:\n            self.leave(joined.strand, now)\n",
                "",
            ),
        ),
        ("delivered-in-the-end", "signals-overtake", "control-survives", "impossible-state"),
    ),
    Mutant(
        "lane-changes-strands-without-replay",
        "R5",
        (
            Edit(
                SESSION,
                "        self.send_lanes[lane].bind(wire, self._epoch)\n",
                "        moved = self.send_lanes[lane]\n"
                "        before, cursor = self.wires.get(moved.wire), moved.cursor\n"
                "        moved.bind(wire, self._epoch)\n"
                "        if before is not None and before.of is self.wires[wire].of:\n"
                "            moved.cursor = cursor\n",
            ),
        ),
        ("honest-peers-never-fault", "delivered-in-the-end", "signals-overtake"),
    ),
    Mutant(
        "strand-closed-until-we-open-it",
        "R5",
        (
            Edit(
                SESSION,
                "            joined = self.join_strand(strand, wire)\n            wire = strand\n",
                "            if strand not in self.wires:\n                return received\n"
                "            joined, wire = self.wires[strand], strand\n",
            ),
        ),
        ("honest-peers-never-fault", "delivered-in-the-end", "signals-overtake", "control-survives"),
    ),
    Mutant(
        "sealed-wire-keeps-its-strand",
        "P8",
        (
            Edit(
                "outproc.link",
                "            self._opener = Opener(keys.receive)\n            self.urgent = None\n",
                "            self._opener = Opener(keys.receive)\n",
            ),
        ),
        ("proved",),
        MANAGERS,
    ),
    Mutant(
        "signals-stay-with-bulk",
        "urgent channel",
        (
            Edit(
                "outproc.wire_set",
                "return urgent if urgent is not None and lane in URGENT_LANES and urgent in session.wires else link",
                "return link",
            ),
        ),
        ("urgent-apart",),
        MANAGERS,
    ),
    Mutant(
        "bulk-goes-urgent",
        "urgent channel",
        (
            Edit(
                "outproc.wire_set",
                "return urgent if urgent is not None and lane in URGENT_LANES and urgent in session.wires else link",
                "return urgent if urgent is not None and urgent in session.wires else link",
            ),
        ),
        ("urgent-apart",),
        MANAGERS,
    ),
)
