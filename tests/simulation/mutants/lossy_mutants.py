"""Mutants of wires that lose frames, double them, or deliver them in another order."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

MANAGERS = "tests.simulation.managers.run:run_seed"
ACKS = "tests.simulation.managers.lossy_acks:run_seed"
ONE_PLACE = "tests.simulation.managers.one_place:run_seed"

SESSION = "outproc.session.session"
WIRE_SET = "outproc.wire_set"
RULE = "lossy wires"
STUCK = ("heals", "no-starving", "requests-end")

LOSSY_MUTANTS = (
    Mutant(
        "acks-on-a-wire-that-loses-them",
        RULE,
        (
            Edit(SESSION, "speaks = joined.dependable and (self._heard", "speaks = (self._heard"),
            Edit(SESSION, "self._heard = wire if joined.dependable else self._heard", "self._heard = wire"),
        ),
        STUCK,
        ACKS,
    ),
    Mutant(
        "reliable-lane-on-a-wire-that-loses-frames",
        RULE,
        (
            Edit(WIRE_SET, "links = [link for link in links if link.dependable]", "pass"),
            Edit(SESSION, "        if not self.wires[wire].dependable:\n", "        if False:\n"),
        ),
        ("on-best",),
        MANAGERS,
    ),
    Mutant(
        "last-dependable-wire-makes-room",
        RULE,
        (Edit(WIRE_SET, "if not newest.dependable and sum(", "if False and sum("),),
        STUCK,
        MANAGERS,
    ),
    Mutant(
        "full-of-lossy-wires",
        RULE,
        (
            Edit(
                "outproc.dest_transport",
                ".options.max_wires and any(link.dependable for link in self.links)",
                ".options.max_wires",
            ),
        ),
        STUCK,
        ONE_PLACE,
    ),
    Mutant(
        "doubled-handshake-blamed-on-the-peer",
        RULE,
        (Edit("outproc.lossy_wires", "        if digest in self._heard:\n", "        if False:\n"),),
        ("violations",),
        MANAGERS,
    ),
)
