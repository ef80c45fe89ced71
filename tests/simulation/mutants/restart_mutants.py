"""Mutants of what is sent again after a restart: what, in which order, how it is marked, and who is told."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

RESENDING = "tests.simulation.managers.run:run_resending"

CARRY = "outproc.session.resending"

RESTART_MUTANTS = (
    Mutant(
        "resent-without-a-mark",
        "R14",
        (Edit(CARRY, "        if outcome is Outcome.UNKNOWN:\n", "        if outcome is None:\n"),),
        ("exactly-once", "loud"),
        RESENDING,
    ),
    Mutant(
        "origin-of-the-latest-session",
        "R14",
        (Edit(CARRY, "detail.origin or (ended.mine.counter, number)", "(ended.mine.counter, number)"),),
        ("exactly-once",),
        RESENDING,
    ),
    Mutant(
        "what-may-have-come-before-called-never-accepted",
        "P2",
        (
            Edit(
                "outproc.session.log",
                "        return detail is not None and detail.origin is not None\n",
                "        return False\n",
            ),
        ),
        ("loud", "exactly-once"),
        RESENDING,
    ),
    Mutant(
        "request-sent-again-by-itself",
        "R14",
        (Edit(CARRY, "lane not in LANES or asks or not told", "lane not in LANES or not told"),),
        ("exactly-once", "requests-end", "answers", "in-order"),
        RESENDING,
    ),
    Mutant(
        "resent-in-another-order",
        "P1",
        (Edit(CARRY, "    for entry in unconfirmed:\n", "    for entry in reversed(list(unconfirmed)):\n"),),
        ("in-order",),
        RESENDING,
    ),
    Mutant(
        "resent-after-any-end",
        "R14",
        (Edit("litz.restarts", "    if reason not in RESENT_AFTER:\n", "    if reason is None:\n"),),
        ("loud",),
        RESENDING,
    ),
    Mutant(
        "who-waits-for-what-is-resent-fails",
        "P2",
        (Edit("outproc.outbound", "            if not carried.resends:\n", "            if carried.again or True:\n"),),
        ("loud",),
        RESENDING,
    ),
)
