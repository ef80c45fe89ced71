"""The seeds that killed the slow mutants when they were last hunted from 0 on: tried first, so that `make test`
need not hunt anew each time. A seed that kills no more costs one run. To renew: set LAST_KILLERS to {}, hunt all with
`python -m tests.simulation.mutants`, and note those that needed more than 20 seeds (its column is the seed + 1).
"""

from __future__ import annotations

from typing import Final

LAST_KILLERS: Final[dict[str, int]] = {
    "answers-turned-away-too": 69,
    "sick-wire-kept": 188,
    "authorize-asked-beside": 85,
    "bearer-in-the-clear": 24,
    "lossy-behind-a-consumer-piles-up": 64,
    "backoff-reset-before-the-wire-proved": 973,
    "dismissed-for-a-wire-that-never-came": 1173,
    "stale-event-kills-the-fresh-wire": 292,
    "answer-completes-a-newer-request": 25,
    "answer-after-goodbye-joins": 46,
    "accepted-by-a-dest-that-is-closing": 149,
    "violations-forgiven-for-any-progress": 59,
    "cancel-dropped-when-the-log-is-full": 471,
    "cancel-that-overtook-is-forgotten": 80,
    "directory-asked-only-when-a-dial-is-due": 153,
    "backoff-sat-out-after-a-sleep": 32,
    "request-dropped-by-a-policy-waits-for-ever": 1552,
    "half-the-peer-took-is-given-up": 150,
    "moves-again-at-once": 103,
    "full-of-lossy-wires": 86,
    "last-dependable-wire-makes-room": 37,
    "nonce-used-again": 203,
    "superseded-judged-by-the-cursor": 531,
    "lower-half-accepted-while-unpaired": 148,
    "ack-without-deadline": 680,
    "lower-incarnation-taken-at-once": 188,
    "goodbye-keeps-to-itself-that-it-names-not-all": 625,
    "lower-half-ends-the-session": 49,
    "ok-for-another-half-joins": 22,
    "mismatch-ends-whatever-is-current": 60,
    "final-positions-do-not-confirm": 48,
    "lanes-that-final-positions-do-not-name-called-never-accepted": 22,
    "goodbye-without-positions": 48,
    "replay-costs-credit": 170,
    "fin-not-replayed": 83,
    "drop-judged-by-the-cursor": 70,
    "violations-not-counted": 47,
    "changed-frame-passed-over": 44,
    "stop-between-two-readings-taken-for-a-sleep": 31,
    "directory-not-shown-to-allow-endpoint": 30,
    "origin-of-the-latest-session": 51,
    "ended-sessions-of-small-messages-have-no-limit": 48,
    "ended-sessions-fill-the-memory-of-who-dials": 66,
}
