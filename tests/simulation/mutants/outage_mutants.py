"""Mutants of the supervisor of reconnection: cold dests, budgets, the rate of redials."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

DIALLER = "outproc.dialler"
LINE = "outproc.dial_line"
REACH = "outproc.reachability"
SUPERVISOR = "outproc.supervisor"
OUTAGES = "tests.simulation.outages.run:run_seed"

OUTAGE_MUTANTS = (
    Mutant(
        "cold-is-told-with-every-failure",
        "P2",
        (Edit(REACH, "        if self.cold is not None or seen.count", "        if seen.count"),),
        ("one-event",),
        OUTAGES,
    ),
    Mutant(
        "cold-in-words-only",
        "P5",
        (Edit(SUPERVISOR, "            self._pool.chill(now)\n", ""),),
        ("seldom",),
        OUTAGES,
    ),
    Mutant(
        "never-cold",
        "P5",
        (Edit(REACH, "        seen.count += 1\n", '        seen.count += cause == ""\n'),),
        ("cold",),
        OUTAGES,
    ),
    Mutant(
        "a-wire-of-the-peer-does-not-warm",
        "P6",
        (
            Edit(
                DIALLER,
                "        self.supervisor.up()\n",
                "        if link.dialled:\n            self.supervisor.up()\n",
            ),
        ),
        ("warm", "one-event"),
        OUTAGES,
    ),
    Mutant(
        "a-wake-leaves-it-cold",
        "P6",
        (Edit(DIALLER, '            self.supervisor.afresh("the machine woke")\n', "            pass\n"),),
        ("warm",),
        OUTAGES,
    ),
    Mutant(
        "who-waits-for-a-cold-dest-changes-nothing",
        "P6",
        (Edit(SUPERVISOR, "        return waits or (bool(", "        return (bool("),),
        ("warm",),
        OUTAGES,
    ),
    Mutant(
        "each-message-dials-a-cold-dest",
        "P5",
        (Edit(SUPERVISOR, "        return waits or (bool(self.gave_up) and rested)\n", "        return True\n"),),
        ("seldom",),
        OUTAGES,
    ),
    Mutant(
        "a-budget-that-is-never-spent",
        "P2",
        (Edit(REACH, "self._attempts >= budget.attempts:", "self._attempts > 10**9:"),),
        ("budget",),
        OUTAGES,
    ),
    Mutant(
        "given-up-without-a-word",
        "P2",
        (Edit(SUPERVISOR, "            self._node.emit(DestGivenUp(self._dest, why, error))\n", ""),),
        ("one-event",),
        OUTAGES,
    ),
    Mutant(
        "cold-ends-the-dialling",
        "P6",
        (
            Edit(
                DIALLER,
                "        self.supervisor.failed(error)\n",
                "        self.supervisor.failed(error)\n        self.wanted = not self.supervisor.cold\n",
            ),
        ),
        ("never-silent",),
        OUTAGES,
    ),
    Mutant(
        "redials-without-a-rate",
        "P5",
        (Edit(LINE, "and self._has_place() and self._free_at() <= now:", "and self._has_place():"),),
        ("rate",),
        OUTAGES,
    ),
    Mutant(
        "what-was-held-back-is-forgotten",
        "P6",
        (
            Edit(
                LINE,
                "        return self._free_at() if self._waiting and self._has_place() else None\n",
                "        return None\n",
            ),
        ),
        ("heals",),
        OUTAGES,
    ),
)
