"""The seeds that killed the slow mutants when they were last hunted from 0 on: tried first, so that `make test`
need not hunt anew each time. A seed that kills no more costs one run. To renew: set LAST_KILLERS to {}, hunt all with
`python -m tests.simulation.mutants`, and note those that needed more than 20 seeds (its column is the seed + 1).
"""

from __future__ import annotations

from typing import Final

LAST_KILLERS: Final[dict[str, int]] = {
    "lossy-behind-a-consumer-piles-up": 304,
    "backoff-reset-before-the-wire-proved": 906,
    "dismissed-for-a-wire-that-never-came": 1173,
    "stale-event-kills-the-fresh-wire": 270,
    "last-ack-lost-with-its-wire": 50,
    "answer-completes-a-newer-request": 25,
    "answer-after-goodbye-joins": 42,
    "drain-forgets-its-futures": 91,
    "accepted-by-a-dest-that-is-closing": 64,
    "violations-forgiven-for-any-progress": 47,
    "cancel-dropped-when-the-log-is-full": 223,
    "cancel-that-overtook-is-forgotten": 80,
    "directory-asked-only-when-a-dial-is-due": 49,
    "backoff-sat-out-after-a-sleep": 32,
    "request-dropped-by-a-policy-waits-for-ever": 1552,
    "half-the-peer-took-is-given-up": 150,
    "moves-again-at-once": 103,
    "no-move-to-a-quicker-wire": 30,
}
