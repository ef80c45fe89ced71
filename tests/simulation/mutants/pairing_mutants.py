"""Mutants of which session a wire joins and how sessions end: R1 to R4, R12 to R14."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

PAIRING = "outproc.session.pairing"
SESSION = "outproc.session.session"
ENDING = "outproc.session.ending"
LANE = "outproc.session.send_lane"

PAIRING_MUTANTS = (
    Mutant(
        "early-data-under-an-incomplete-pair",
        "R1",
        (
            Edit(PAIRING, "    return pair is not None\n", "    return True\n"),
            Edit(SESSION, "        if self.pair is None or self.ended:\n", "        if self.ended:\n"),
        ),
        ("complete-pair",),
    ),
    Mutant(
        "half-reused",
        "R2",
        (Edit(PAIRING, "        self._counter += 1\n", "        self._counter = 1\n"),),
        ("half-unique",),
    ),
    Mutant(
        "lower-half-ends-the-session",
        "R2",
        (
            Edit(
                PAIRING,
                "    if known is not None and peer < known:\n        return JoinAction.STALE\n"
                "    if theirs is not None and peer > theirs:\n        return JoinAction.RENEW_PAIR if",
                "    if theirs is not None and peer != theirs:\n        return JoinAction.RENEW_PAIR if",
            ),
        ),
        ("ends-only-when-ended", "halves-rise"),
    ),
    Mutant(
        "lower-half-accepted-while-unpaired",
        "R2",
        (
            Edit(
                PAIRING,
                "    known = theirs if theirs is not None else remembered\n"
                "    if known is not None and peer < known:\n        return JoinAction.STALE\n"
                "    if theirs is not None and peer > theirs:\n        return JoinAction.RENEW_PAIR if",
                "    if theirs is not None and peer < theirs:\n        return JoinAction.STALE\n"
                "    if theirs is not None and peer > theirs:\n        return JoinAction.RENEW_PAIR if",
            ),
        ),
        ("halves-rise",),
    ),
    Mutant(
        "higher-half-resumes",
        "R2",
        (
            Edit(
                PAIRING,
                "    if theirs is not None and peer > theirs:\n        return JoinAction.RENEW_PAIR if",
                "    if theirs is not None and peer > theirs > peer:\n        return JoinAction.RENEW_PAIR if",
            ),
        ),
        ("complete-pair", "honest-peers-never-fault", "reconnects", "delivered-in-the-end", "signals-overtake"),
    ),
    Mutant(
        "ok-for-another-half-joins",
        "R2",
        (Edit(PAIRING, "    if named != mine:\n", "    if named > mine:\n"),),
        ("complete-pair", "honest-peers-never-fault", "ack-not-above-delivered"),
    ),
    Mutant(
        "mismatch-ends-whatever-is-current",
        "R3",
        (Edit(PAIRING, "    return current is not None and current == named\n", "    return current is not None\n"),),
        ("ends-only-when-ended",),
    ),
    Mutant(
        "mismatch-ends-nothing",
        "R3",
        (Edit(PAIRING, "    return current is not None and current == named\n", "    return False\n"),),
        ("mismatch-once",),
    ),
    Mutant(
        "late-data-after-final-positions",
        "R4",
        (Edit(SESSION, "        self.final = True\n", "        self.final = False\n"),),
        ("final-means-final",),
    ),
    Mutant(
        "final-positions-do-not-confirm",
        "R4",
        (
            Edit(
                LANE,
                "        confirmed = max(self.acked.number, min(final.number, self.high_water)"
                " if final is not None else 0)\n",
                "        confirmed = self.acked.number\n",
            ),
        ),
        ("lost-list-exact",),
    ),
    Mutant(
        "both-ends-keep-their-own-dial",
        "R12",
        (
            Edit(
                "outproc.session.duplicates",
                "        dialler_wins = strand.dialled == (mine < theirs)\n",
                "        dialler_wins = strand.dialled\n",
            ),
        ),
        ("duplicates-agree",),
    ),
    Mutant(
        "duplicate-closed-before-its-winner-spoke",
        "R12",
        (Edit("outproc.session.duplicates", " or not other.carried or", " or"),),
        ("duplicates-agree",),
    ),
    Mutant(
        "lower-incarnation-never-taken",
        "R13",
        (Edit(PAIRING, "        if wires == 0:\n", "        if wires < 0:\n"),),
        ("reconnects",),
    ),
    Mutant(
        "lower-incarnation-taken-at-once",
        "R13",
        (
            Edit(
                PAIRING,
                "                self.claims[incarnation] = Claim(now, now)\n            return Entry.BUSY\n",
                "                self.claims[incarnation] = Claim(now, now)\n"
                "            return self._take(incarnation, Entry.ADMIT_AFTER_END)\n",
            ),
        ),
        ("ends-only-when-ended", "reconnects"),
    ),
    Mutant(
        "pong-from-before-the-claim-counts",
        "R13",
        (Edit(PAIRING, "if self._answered_ping > claim.asked_at:", "if self._answered_ping > 0.0:"),),
        ("replaced-by-the-living",),
    ),
    Mutant(
        "unknown-outcome-called-never-accepted",
        "R14",
        (
            Edit(
                LANE,
                "unknown = (final is None and number < self.high_water) or self.log",
                "unknown = self.log",
            ),
        ),
        ("lost-list-exact",),
    ),
    Mutant(
        "lanes-that-final-positions-do-not-name-called-never-accepted",
        "R4",
        (
            Edit(
                "outproc.session.tombstones",
                "        return None if self.partial else acked\n",
                "        return acked\n",
            ),
        ),
        ("lost-list-exact",),
    ),
    Mutant(
        "goodbye-keeps-to-itself-that-it-names-not-all",
        "R14",
        (Edit(ENDING, "detail, named, len(named) < len(finals))", "detail, named, False)"),),
        ("lost-list-exact",),
    ),
    Mutant(
        "goodbye-without-positions",
        "R14",
        (
            Edit(
                ENDING,
                "encode(reason, detail, named, len(named) < len(finals))",
                "encode(reason, detail, (), False)",
            ),
        ),
        ("lost-list-exact",),
    ),
    Mutant(
        "final-positions-not-kept",
        "R14",
        (
            Edit(
                "outproc.session.tombstones",
                "            self._finals[pair] = (now, finals)\n",
                "            self._finals[pair.flipped()] = (now, finals)\n",
            ),
        ),
        ("finals-kept",),
    ),
)
