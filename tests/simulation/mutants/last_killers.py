"""The seeds that killed the slow mutants when they were last hunted from 0 on: tried first, so that `make test`
need not hunt anew each time. A seed that kills no more costs one run. To renew: set LAST_KILLERS to {}, hunt all with
`python -m tests.simulation.mutants`, and note those that needed more than 20 seeds (its column is the seed + 1).
"""

from __future__ import annotations

from typing import Final

LAST_KILLERS: Final[dict[str, int]] = {
    "sick-wire-kept": 122,
    "lossy-behind-a-consumer-piles-up": 23,
    "backoff-reset-before-the-wire-proved": 704,
    "dismissed-for-a-wire-that-never-came": 1173,
    "stale-event-kills-the-fresh-wire": 292,
    "last-ack-lost-with-its-wire": 182,
    "answer-completes-a-newer-request": 25,
    "answer-after-goodbye-joins": 46,
    "drain-forgets-its-futures": 91,
    "accepted-by-a-dest-that-is-closing": 149,
    "violations-forgiven-for-any-progress": 59,
    "cancel-dropped-when-the-log-is-full": 223,
    "cancel-that-overtook-is-forgotten": 80,
    "directory-asked-only-when-a-dial-is-due": 145,
    "backoff-sat-out-after-a-sleep": 32,
    "request-dropped-by-a-policy-waits-for-ever": 1552,
    "half-the-peer-took-is-given-up": 150,
    "moves-again-at-once": 103,
    "full-of-lossy-wires": 86,
    "last-dependable-wire-makes-room": 44,
    "doubled-handshake-blamed-on-the-peer": 23,
    "no-move-to-a-quicker-wire": 30,
    "nonce-used-again": 203,
    "superseded-judged-by-the-cursor": 531,
    "lower-half-accepted-while-unpaired": 148,
    "ack-without-deadline": 680,
    "lower-incarnation-taken-at-once": 188,
    "goodbye-keeps-to-itself-that-it-names-not-all": 625,
}
