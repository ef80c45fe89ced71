"""Mutants of choice and movement: which wire carries a lane, when it moves, and which addresses are dialled."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

MANAGERS = "tests.simulation.managers.run:run_seed"

ADDRESSING = "outproc.addressing"
CHOICE = "outproc.wire_choice"
MOVER = "outproc.lane_mover"

BETTER = "if tiers[id(each)] < mine]\n        if better:\n            top"

MOVEMENT_MUTANTS = (
    Mutant(
        "relay-kept-though-direct-is-up",
        "best wire",
        (Edit(CHOICE, BETTER, BETTER.replace("[id(each)] < mine", "[id(each)][:2] < mine[:2]")),),
        ("on-best",),
        MANAGERS,
    ),
    Mutant(
        "preference-forgotten-once-bound",
        "best wire",
        (Edit(CHOICE, BETTER, BETTER.replace("[id(each)] < mine", "[id(each)][::2] < mine[::2]")),),
        ("on-best",),
        MANAGERS,
    ),
    Mutant(
        "sick-wire-kept",
        "best wire",
        (Edit(CHOICE, "(each.sick, rank, ROUTES", "(False, rank, ROUTES"),),
        ("on-best",),
        MANAGERS,
    ),
    Mutant(
        "lanes-move-only-when-their-wire-is-gone",
        "best wire",
        (Edit(MOVER, "if current is not None and len(links) == 1:", "if current is not None:"),),
        ("on-best",),
        MANAGERS,
    ),
    Mutant(
        "directory-not-shown-to-allow-endpoint",
        "allow_endpoint",
        (
            Edit(
                ADDRESSING,
                'self._admit(endpoint, "directory" if name == "directory" else "builder", found, failures)',
                "found[endpoint] = None",
            ),
        ),
        ("filtered",),
        MANAGERS,
    ),
)
