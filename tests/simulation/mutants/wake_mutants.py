"""Mutants of what happens when the machine slept: who is dialled, which wires are asked, and what is no sleep."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

MANAGERS = "tests.simulation.managers.run:run_seed"

DETECTOR = "outproc.retry.wake"
DIALLER = "outproc.dialler"
HEALTH = "outproc.health"
WATCH = "outproc.wake_watch"

WAKE_MUTANTS = (
    Mutant(
        "backoff-sat-out-after-a-sleep",
        "P6",
        (Edit(DIALLER, "            self.pool.woke(self._node.now())\n", ""),),
        ("wakes",),
        MANAGERS,
    ),
    Mutant(
        "no-wire-asked-after-a-sleep",
        "P6",
        (Edit(WATCH, "            link.liveness.woke(node.options.wake_timeout)\n", ""),),
        ("wakes",),
        MANAGERS,
    ),
    Mutant(
        "usual-patience-after-a-sleep",
        "P6",
        (Edit(HEALTH, "min(answer_within, self._dead_after)", "self._dead_after"),),
        ("wakes",),
        MANAGERS,
    ),
    Mutant(
        "late-loop-taken-for-a-sleep",
        "P4",
        (Edit(DETECTOR, "        missing = boottime - after\n", "        missing = boottime\n"),),
        ("wakes",),
        MANAGERS,
    ),
    Mutant(
        "stop-between-two-readings-taken-for-a-sleep",
        "P4",
        (Edit(DETECTOR, "        if after - before > MAX_APART:\n", "        if after < before:\n"),),
        ("wakes",),
        MANAGERS,
    ),
)
