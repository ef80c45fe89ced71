"""Mutants of durable messages: what is committed when, who is told apart, what is marked, and what is given up."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

DURABLE = "tests.simulation.durable.run:run_seed"
COMMITS = "outproc.outbox.commits"
CONVERSATIONS = "outproc.outbox.conversations"
INBOX = "outproc.outbox.inbox"
INCOMING = "outproc.outbox.incoming"
OUTBOX = "outproc.outbox.outbox"
OUTGOING = "outproc.outbox.outgoing"
SQLITE_INBOX = "outproc.outbox.sqlite_inbox"
SQLITE_OUTBOX = "outproc.outbox.sqlite_outbox"


def _mutant(name: str, module: str, old: str, new: str, *killers: str) -> Mutant:
    return Mutant(name, "durable", (Edit(module, old, new),), killers, DURABLE)


DURABLE_MUTANTS = (
    # -- commits ------------------------------------------------------------------------------------------
    _mutant(
        "send-returns-before-the-commit",
        COMMITS,
        "        self._waiters.append(waiter)\n",
        "        waiter.set_result(None)\n        self._waiters.append(waiter)\n",
        "committed",
    ),
    _mutant(
        "whoever-waits-is-told-of-any-commit",
        COMMITS,
        "            for waiter in waiters:\n                if not waiter.done():\n"
        "                    waiter.set_result(None)",
        "            for waiter in [*waiters, *self._waiters]:\n                if not waiter.done():\n"
        "                    waiter.set_result(None)",
        "committed",
    ),
    _mutant(
        "refused-and-sent-all-the-same",
        COMMITS,
        "        group.rows, group.retry_from = newer.rows, None\n",
        "        group.rows, group.retry_from = [*group.rows, *newer.rows], None\n",
        "intact",
        "in-order",
    ),
    _mutant(
        "writes-into-a-file-of-another-process",
        SQLITE_OUTBOX,
        "        if newest != self._epoch:",
        "        if False:",
        "fenced",
    ),
    # -- what is done -------------------------------------------------------------------------------------
    _mutant(
        "acked-before-the-commit",
        INBOX,
        "encode_ack(Ack(producer.incoming.committed, messages, size))",
        "encode_ack(Ack(producer.incoming._done, messages, size))",
        "deleted-late",
        "committed",
    ),
    _mutant(
        "deleted-when-received",
        CONVERSATIONS,
        "            self._confirmed(state, accept.committed)\n        self._commits.arm",
        "            self._confirmed(state, accept.received)\n        self._commits.arm",
        "deleted-late",
        "committed",
    ),
    _mutant(
        "overtaking-effect-moves-the-position",
        INBOX,
        "            advance=incoming.is_next(message.number),",
        "            advance=True,",
        "effect-once",
        "deleted-late",
    ),
    _mutant(
        "effect-that-failed-is-left-behind",
        SQLITE_INBOX,
        '        db.execute("ROLLBACK TO work")\n',
        "",
        "effect-once",
    ),
    _mutant(
        "effect-is-not-looked-for",
        SQLITE_INBOX,
        "    if _is_done(db, work):",
        "    if False:",
        "effect-once",
        "typed-errors",
    ),
    # -- who is told apart --------------------------------------------------------------------------------
    Mutant(
        "taken-twice",
        "durable",
        (
            Edit(OUTGOING, "            if head.sequence <= self._received:", "            if False:"),
            Edit(
                INCOMING,
                "[row for row in rows if row.sequence > self.received and row.sequence not in self.applied]",
                "[row for row in rows if row.sequence > self.committed and row.sequence not in self.applied]",
            ),
        ),
        ("marked",),
        DURABLE,
    ),
    _mutant(
        "older-copy-taken-for-the-file",
        OUTGOING,
        "            return accept.received <= end\n    return False",
        "            return True\n    return True",
        "none-lost",
        "typed-errors",
        "settles",
        "deleted-late",
    ),
    # -- marks --------------------------------------------------------------------------------------------
    _mutant(
        "nothing-is-marked",
        OUTGOING,
        "        return REDELIVERED if row.again or row.sequence <= self._suspect else 0",
        "        return 0",
        "marked",
    ),
    _mutant(
        "everything-is-marked",
        OUTGOING,
        "        return REDELIVERED if row.again or row.sequence <= self._suspect else 0",
        "        return REDELIVERED",
        "explained",
    ),
    _mutant(
        "not-noted-that-it-follows-at-once",
        OUTBOX,
        "                state.peer.tried = row.sequence\n",
        "",
        "marked",
    ),
    # -- dead letters -------------------------------------------------------------------------------------
    _mutant(
        "attempts-without-end",
        OUTGOING,
        "        if attempts >= self._max_attempts:",
        "        if False:",
        "settles",
    ),
    _mutant(
        "sent-past-a-dead-letter",
        OUTGOING,
        "        if not self._cache or self._burying:",
        "        if not self._cache:",
        "deleted-late",
        "none-lost",
        "effect-once",
    ),
    _mutant(
        "dead-letter-deleted-with-what-is-behind-it",
        SQLITE_OUTBOX,
        "        for sequence, reason in group.dead:\n            _bury(",
        "        for sequence, reason in () if group.deleted else group.dead:\n            _bury(",
        "none-lost",
        "deleted-late",
        "effect-once",
    ),
    _mutant(
        "retried-and-never-read",
        OUTBOX,
        "            if state.outgoing is not None:\n                state.outgoing.complete = False\n",
        "",
        "settles",
        "deleted-late",
    ),
    _mutant(
        "too-old-before-it-had-its-chance",
        OUTBOX,
        "        if now >= self._tidy_at and waiting:",
        "        if waiting:",
        "dead-letters",
    ),
)
