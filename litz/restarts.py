"""What becomes of messages that a restarted peer leaves unconfirmed: the policy of both managers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from litz.events import EndReason

OnRestart = Literal["surface", "resend"]
"""About what was accepted and not confirmed when the peer restarted, forgot the session, or was away for too long.

surface  litz sends nothing again: `SessionEnded.lost` lists it, and who waits gets the error
resend   the next session sends it first, in order: at least once instead of exactly once. What may have arrived before
         comes with `message.redelivered` and its first `message.origin`. Requests are never resent
"""

RestartPolicy = OnRestart | Mapping[str, OnRestart]
"""One for all dests, or one for each that is named; "*" is for all others, "surface" if it is missing."""

RESENT_AFTER: Final = (EndReason.PEER_RESTARTED, EndReason.UNKNOWN_TO_PEER, EndReason.EXPIRED)
"""The ends that nobody meant. Whoever says goodbye, or breaks the rules, is sent nothing again."""


def check_policy(policy: RestartPolicy) -> None:
    """Raises ValueError for what is no policy, and says what is one."""
    for each in policy.values() if isinstance(policy, Mapping) else (policy,):
        if each not in ("surface", "resend"):
            raise ValueError(f"on_restart is 'surface' or 'resend', or maps dests (and '*') to these, not {each!r}")


def resends(policy: RestartPolicy, dest: str, reason: EndReason) -> bool:
    """Whether what a session with `dest` leaves unconfirmed, ending for `reason`, is sent by the next one."""
    if reason not in RESENT_AFTER:
        return False
    chosen = policy.get(dest, policy.get("*", "surface")) if isinstance(policy, Mapping) else policy
    return chosen == "resend"
