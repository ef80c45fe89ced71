"""Mutants of proofs, sealing, requests and addresses: who gets in, what can be read, and what ends."""

from __future__ import annotations

from tests.simulation.mutants.driver_mutants import DIALLER, DISPATCH, INBOUND, MANAGERS, REQUESTING
from tests.simulation.mutants.mutant import Edit, Mutant

LINK = "outproc.link"
SEALING = "outproc.security.sealing"
WIRE_PROOF = "outproc.wire_proof"
SERVING = "litz.serving"

TRUST_MUTANTS = (
    Mutant(
        "proof-not-looked-at",
        "P8",
        (
            Edit(
                WIRE_PROOF,
                "        await self._authenticator.verify(step.peer_id, step.credential, step.transcript, step.proof, "
                "step.role)\n",
                "        await asyncio.sleep(0)\n",
            ),
        ),
        ("proved", "intact"),
        MANAGERS,
    ),
    Mutant(
        "seal-forgotten",
        "P8",
        (
            Edit(
                LINK,
                "        if keys is not None:\n            self._sealer",
                "        if keys is None:\n            self._sealer",
            ),
        ),
        ("proved",),
        MANAGERS,
    ),
    Mutant(
        "nonce-used-again",
        "P8",
        (Edit(SEALING, "        self._counter += 1\n", "        self._counter += 0\n"),),
        ("proved",),
        MANAGERS,
    ),
    Mutant(
        "changed-frame-passed-over",
        "P8",
        (
            Edit(
                LINK,
                "                frame = self._opener.open(frame)\n",
                "                try:\n                    frame = self._opener.open(frame)\n"
                "                except LitzError:\n                    return\n",
            ),
        ),
        ("proved",),
        MANAGERS,
    ),
    Mutant(
        "cancel-not-told",
        "P2",
        (
            Edit(
                REQUESTING,
                "            if self._table.forget(request_id):\n",
                "            if self._table.forget(request_id) and timeout is None:\n",
            ),
        ),
        ("requests-end", "no-starving", "heals"),
        MANAGERS,
    ),
    Mutant(
        "cancel-dropped-when-the-log-is-full",
        "P2",
        (Edit(DISPATCH, "            if len(late) == 1:\n", "            if not late:\n"),),
        ("requests-end", "no-starving", "heals"),
        MANAGERS,
    ),
    Mutant(
        "cancel-that-overtook-is-forgotten",
        "P2",
        (Edit(INBOUND, "            if kind == Correlation.CANCEL and ", "            if False and "),),
        ("requests-end", "no-starving", "heals"),
        MANAGERS,
    ),
    Mutant(
        "handler-not-cancelled",
        "P2",
        (Edit(SERVING, "            self.task.cancel()\n", "            pass\n"),),
        ("requests-end", "no-starving", "heals"),
        MANAGERS,
    ),
    Mutant(
        "handler-of-another-cancelled",
        "P2",
        (
            Edit(
                "litz.inbox",
                "        running = owner.running.get(request_id)\n",
                "        running = owner.running.get(request_id) or next(iter(owner.running.values()), None)\n",
            ),
        ),
        ("requests-end", "no-starving"),
        MANAGERS,
    ),
    Mutant(
        "request-forgotten-at-the-end-of-its-session",
        "P2",
        (
            Edit(
                REQUESTING,
                "        for _, pending in self._table.sweep(dest):\n",
                "        for _, pending in self._table.sweep(dest)[1:]:\n",
            ),
        ),
        ("requests-end",),
        MANAGERS,
    ),
    Mutant(
        "directory-asked-only-when-a-dial-is-due",
        "P6",
        (Edit(DIALLER, "                due = again if due is None else min(due, again)\n", "                pass\n"),),
        ("heals", "no-starving", "requests-end"),
        MANAGERS,
    ),
)
