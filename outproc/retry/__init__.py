"""Retry, as three pure cores and one driver. Public: use them for your own connections too (docs/retry.md).

`backoff` says how long to wait, `classify` whether to try again at all, and `wake` when waiting has become
pointless because the machine slept. The driver `retrying` puts the first two around a coroutine function.
"""

from outproc.retry.backoff import Backoff, RetryState, backoff_delay
from outproc.retry.classify import Decision, Verdict, classify, is_retryable
from outproc.retry.retrying import Sleeper, retry_with_backoff
from outproc.retry.wake import WakeDetector

__all__ = [
    "Backoff",
    "Decision",
    "RetryState",
    "Sleeper",
    "Verdict",
    "WakeDetector",
    "backoff_delay",
    "classify",
    "is_retryable",
    "retry_with_backoff",
]
