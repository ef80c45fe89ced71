"""Mutants of what a node does whose network changes or whose machine sleeps for long."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

TRAVELS = "tests.simulation.travels.run:run_seed"
WATCH = "outproc.network_watch"
NEWS = "outproc.network_news"
HASTENING = "outproc.hastening"
KEEPING = "outproc.keeping"
POOL = "outproc.pool"

TRAVEL_MUTANTS = (
    Mutant(
        "wake-only-resets-counters",
        "P6",
        (
            Edit(
                POOL,
                "                slot.state = Idle()\n            elif",
                "            elif",
            ),
        ),
        ("wakes",),
        "tests.simulation.managers.run:run_seed",
    ),
    Mutant(
        "dial-of-the-network-before-waits-its-time",
        "P6",
        (Edit(HASTENING, "            slot.state = replace(state, again=within)\n", "            pass\n"),),
        ("back",),
        TRAVELS,
    ),
    Mutant(
        "no-wire-asked-after-a-change",
        "P6",
        (Edit(WATCH, "        link.liveness.woke(node.options.wake_timeout)\n", ""),),
        ("found",),
        TRAVELS,
    ),
    Mutant(
        "every-concerned-wire-given-up",
        "P4",
        (Edit(WATCH, "if link.wire.bound and change.lacks(link.wire.path.local)]", "]"),),
        ("untouched", "calm"),
        TRAVELS,
    ),
    Mutant(
        "neighbours-concerned-by-the-route",
        "P4",
        (
            Edit(NEWS, "and not _is_near(theirs, self.after.interfaces)", ""),
            Edit(WATCH, "if link.wire.bound and change.lacks(link.wire.path.local)]", "]"),
        ),
        ("untouched", "calm"),
        TRAVELS,
    ),
    Mutant(
        "storm-looked-at-each-time",
        "P5",
        (
            Edit(
                NEWS,
                "return max(min(self._last + QUIET, self._first + LONGEST), self._looked + LONGEST)",
                "return self._last",
            ),
        ),
        ("calm", "kept"),
        TRAVELS,
    ),
    Mutant(
        "nothing-dialled-after-a-change",
        "P6",
        (Edit(HASTENING, "            if until < state.until:\n", "            if until < 0:\n"),),
        ("back",),
        TRAVELS,
    ),
    Mutant(
        "sleep-costs-no-kept-time",
        "P2",
        (Edit(KEEPING, "return min(due, max(due - slept, now + AFTER_WAKE)) if slept else due", "return due"),),
        ("kept",),
        TRAVELS,
    ),
)
