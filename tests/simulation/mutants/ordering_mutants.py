"""Mutants of the order of work: turns of keys, progress that stays cumulative, what a lost consumer leaves, permits."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

BOOK = "litz.ordering"
KEYED = "litz.keyed_worker"
LIMITER = "litz.limiter"
SENDING = "litz.ordered_sending"
WORK = "litz.ordered_work"
ORDERING = "tests.simulation.ordering.run:run_seed"

ORDERING_MUTANTS = (
    Mutant(
        "two-of-a-key-at-once",
        "order",
        (Edit(BOOK, "        if line.turn is None and not line.parked:", "        if not line.parked:"),),
        ("turns", "typed-errors"),
        ORDERING,
    ),
    Mutant(
        "the-newest-of-a-key-first",
        "order",
        (
            Edit(
                BOOK,
                "                place, _ = queue.popitem(last=False)\n                place.state = PlaceState.READY",
                "                place, _ = queue.popitem()\n                place.state = PlaceState.READY",
            ),
        ),
        ("turns",),
        ORDERING,
    ),
    Mutant(
        "processed-past-what-runs",
        "R9",
        (
            Edit(
                KEYED,
                "        while settled < len(steps) and steps[settled] == DONE:",
                "        while settled < len(steps) and DONE in steps[settled:]:",
            ),
        ),
        ("confirmed", "finished", "alive"),
        ORDERING,
    ),
    Mutant(
        "finished-ones-come-again",
        "P1",
        (Edit(KEYED, "                    del batch.items[index]\n", "                    pass\n"),),
        ("finished", "marked"),
        ORDERING,
    ),
    Mutant(
        "who-only-waited-is-marked",
        "P1",
        (Edit(KEYED, "                elif steps[index] == BEGUN:", "                else:"),),
        ("marked",),
        ORDERING,
    ),
    Mutant(
        "who-had-begun-is-not-marked",
        "P1",
        (Edit(KEYED, "batch.items[index] = again(batch.items[index])", "pass"),),
        ("marked",),
        ORDERING,
    ),
    Mutant(
        "the-last-batch-comes-back-first",
        "order",
        (Edit(KEYED, "        for walk in reversed(self._walks):", "        for walk in self._walks:"),),
        ("turns",),
        ORDERING,
    ),
    Mutant(
        "half-done-batches-counted-from-their-start",
        "R9",
        (Edit(KEYED, "bytearray((DONE,)) * batch.handed", "bytearray()"),),
        ("finished", "marked", "confirmed", "alive", "typed-errors"),
        ORDERING,
    ),
    Mutant(
        "no-room-is-not-waited-for",
        "P5",
        (Edit(KEYED, "            if not work.book.room(key, size, urgent=signal):", "            if False:"),),
        ("typed-errors",),
        ORDERING,
    ),
    Mutant(
        "more-run-than-may",
        "P5",
        (Edit(WORK, "            and len(self._runners) < self._parallel\n", ""),),
        ("permits",),
        ORDERING,
    ),
    Mutant(
        "one-key-at-a-time",
        "order",
        (Edit(WORK, "            and len(self._runners) < self._parallel\n", "            and not self._runners\n"),),
        ("parallel",),
        ORDERING,
    ),
    Mutant(
        "permits-of-the-killed-are-lost",
        "P5",
        (
            Edit(
                LIMITER,
                "        if grant.state is GrantState.ADMITTED:\n            self.give_back(grant)",
                "        if grant.state is GrantState.ADMITTED:\n            pass",
            ),
        ),
        ("permits",),
        ORDERING,
    ),
    Mutant(
        "permits-are-not-given-back",
        "P5",
        (Edit(WORK, "                permit.release()\n", "                pass\n"),),
        ("permits", "alive"),
        ORDERING,
    ),
    Mutant(
        "a-cancelled-sender-keeps-its-place",
        "order",
        (Edit(SENDING, "            self._leave(place)\n            raise", "            raise"),),
        ("turns", "alive", "parallel"),
        ORDERING,
    ),
    Mutant(
        "senders-do-not-wait-for-their-turn",
        "order",
        (Edit(SENDING, "            await future\n", "            pass\n"),),
        ("turns", "typed-errors"),
        ORDERING,
    ),
)
