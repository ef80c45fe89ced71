"""Mutants of `ResumablePipe`: positions, replay, credit, one dial, signs of life, the end."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

DIALLER = "litz.resume_dialler"
LINK = "litz.resume_link"
PIPE = "litz.resumable_pipe"
SESSION = "litz.resume_session"
SIDE = "litz.resumable_side"
RESUMABLE = "tests.simulation.resumable.run:run_seed"


def _mutant(name: str, rule: str, edit: Edit, *killers: str) -> Mutant:
    return Mutant(f"resumable-{name}", rule, (edit,), killers, RESUMABLE)


RESUMABLE_MUTANTS = (
    _mutant(
        "goes-on-where-it-was",
        "replay",
        Edit(SESSION, "        self.sent = peer.received\n", ""),
        "intact",
        "real-end",
        "alive",
        "typed-errors",
    ),
    _mutant(
        "forgets-what-it-sent",
        "replay",
        Edit(
            SESSION,
            "            most -= len(part)\n",
            "            most -= len(part)\n            self.out.confirm(self.sent)\n",
        ),
        "intact",
        "typed-errors",
        "alive",
    ),
    _mutant(
        "end-of-a-connection-is-the-end",
        "real end",
        Edit(
            PIPE,
            "        self._live = None\n        self._latest",
            "        self._live = None\n        self._side.finished()\n        self._latest",
        ),
        "real-end",
    ),
    _mutant(
        "end-is-said-once",
        "replay",
        Edit(SESSION, "        self._fin_sent = self._bye_sent = False\n", "        self._bye_sent = False\n"),
        "alive",
        "closed",
        "typed-errors",
    ),
    _mutant(
        "end-is-not-confirmed",
        "acks",
        Edit(SESSION, " or self.peer_finished > told.fin:", ":"),
        "alive",
        "closed",
        "typed-errors",
    ),
    _mutant(
        "sends-more-than-was-granted",
        "credit",
        Edit(SESSION, "        end = min(self.out.end, self._limit)\n", "        end = self.out.end\n"),
        "alive",
        "bounded",
        "typed-errors",
    ),
    _mutant(
        "grants-nothing-more",
        "credit",
        Edit(SESSION, "        return more > 0 and (", "        return False and ("),
        "alive",
    ),
    _mutant(
        "takes-any-write",
        "bounded",
        Edit(SIDE, "        if size > self._session.room:\n", "        if size < 0:\n"),
        "bounded",
    ),
    _mutant(
        "writer-is-not-woken",
        "backpressure",
        Edit(SIDE, "            self._user.writable()\n", "            pass\n"),
        "alive",
    ),
    _mutant(
        "each-asker-dials",
        "one dial",
        Edit(DIALLER, "        await asyncio.shield(self._round)\n", "        await self._attempt()\n"),
        "one-dial",
        "shared",
        "typed-errors",
    ),
    _mutant(
        "cancelled-asker-takes-all-along",
        "one dial",
        Edit(DIALLER, "        await asyncio.shield(self._round)\n", "        await self._round\n"),
        "shared",
        "typed-errors",
        "alive",
    ),
    _mutant(
        "slow-lines-are-dead",
        "signs of life",
        Edit(LINK, "                owner.listening(self)\n", "                pass\n"),
        "alive",
        "closed",
    ),
    _mutant(
        "half-open-for-ever",
        "signs of life",
        Edit(LINK, '            self._end(TimeoutError(f"nothing', '            str(TimeoutError(f"nothing'),
        "alive",
        "typed-errors",
    ),
)
