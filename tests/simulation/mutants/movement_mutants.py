"""Mutants of choice and movement: which wire carries a lane, when it moves, and which addresses are dialled."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

MANAGERS = "tests.simulation.managers.run:run_seed"

ADDRESSING = "outproc.addressing"
CHOICE = "outproc.wire_choice"
MOVER = "outproc.lane_mover"

BETTER = "if tiers[id(each)] < mine]\n        if better:\n            top"
RIVALS = "        best = min(rivals, key=_trip, default=None)\n        if"

MOVEMENT_MUTANTS = (
    Mutant(
        "no-hysteresis",
        "calm",
        (
            Edit(CHOICE, "        if question.now - question.since < self.stay:\n", "        if question.now < 0:\n"),
            Edit(
                CHOICE,
                "current.round_trip > _trip(best) * self.near + self.slack else",
                "current.round_trip > _trip(best) else",
            ),
        ),
        ("calm",),
        MANAGERS,
    ),
    Mutant(
        "moves-again-at-once",
        "calm",
        (Edit(CHOICE, "        if question.now - question.since < self.stay:\n", "        if question.now < 0:\n"),),
        ("calm",),
        MANAGERS,
    ),
    Mutant(
        "unsteady-wire-attracts",
        "calm",
        (Edit(CHOICE, "each.round_trip is not None and now - each.since >= self.steady", "True"),),
        ("calm",),
        MANAGERS,
    ),
    Mutant(
        "no-move-to-a-quicker-wire",
        "best wire",
        (Edit(CHOICE, "return self._rival(current, rivals, question.payload_type) or current", "return current"),),
        ("on-best",),
        MANAGERS,
    ),
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
        (Edit(MOVER, "len(links) == 1 and current.urgent is None:", "current.urgent is None:"),),
        ("on-best",),
        MANAGERS,
    ),
    Mutant(
        "slower-wire-chosen",
        "best wire",
        (Edit(CHOICE, RIVALS, RIVALS.replace("min", "max")),),
        ("on-best", "calm"),
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
