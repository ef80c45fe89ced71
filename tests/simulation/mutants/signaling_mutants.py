"""Mutants of signaling: which of two offers counts, replays, and what ends an attempt."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

SIGNALING = "tests.simulation.signaling.run:run_seed"
ATTEMPTS = "outproc.signaling.attempts"


def _mutant(name: str, old: str, new: str, *killers: str) -> Mutant:
    return Mutant(name, "glare", (Edit(ATTEMPTS, old, new),), killers, SIGNALING)


SIGNALING_MUTANTS = (
    _mutant("both-offers-count", "self._local_id < peer:", "False:", "smaller-wins", "meets"),
    _mutant("no-offer-counts", "self._local_id < peer:", "True:", "meets"),
    _mutant("the-larger-id-counts", "self._local_id < peer:", "self._local_id > peer:", "smaller-wins"),
    _mutant("replay-is-taken", "if attempt in memory.until:", "if False:", "no-replay"),
    _mutant(
        "memory-ends-before-the-offer",
        "memory.until[attempt] = offer.expires + CLOCKS_DIFFER",
        "memory.until[attempt] = wall",
        "no-replay",
    ),
    _mutant("what-yields-goes-on", "        pair.mine = None  # it yields", "        pass  # it yields", "one-attempt"),
    _mutant("offers-while-it-answers", "if pair is not None and pair.theirs is not None:", "if False:", "one-attempt"),
    _mutant("second-answer-counts", " or mine.state is not State.OFFERED:\n", ":\n", "answered-once"),
    _mutant(
        "no-limit-to-answering",
        "replaces is None and len(self) >= self._limit",
        "replaces is None and False",
        "bounded",
    ),
    _mutant(
        "old-refusal-ends-the-new-offer",
        "pair.mine.attempt == attempt\n\n    # -- theirs",
        "bool(attempt)\n\n    # -- theirs",
        "right-attempt",
    ),
    _mutant(
        "old-withdrawal-ends-the-new-attempt",
        "return self.theirs(peer) == attempt",
        "return self.theirs(peer) is not None",
        "no-orphan",
        "impossible-state",
    ),
    _mutant(
        "honest-peer-forgotten-too-late",
        "MAX_REMEMBERED: Final = 1024",
        "MAX_REMEMBERED: Final = 256",
        "honest-heard",
    ),
)
