"""Mutants of a log that spills into the outbox: order over both ways, and who waits for whom."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

SPILL = "tests.simulation.spill.run:run_seed"
CONVERSATIONS = "outproc.outbox.conversations"
DURABLE = "outproc.durable"
OUTBOX = "outproc.outbox.outbox"
OUTBOX_DEST = "outproc.outbox.outbox_dest"


def _mutant(name: str, module: str, old: str, new: str, *killers: str) -> Mutant:
    return Mutant(name, "spill", (Edit(module, old, new),), killers, SPILL)


SPILL_MUTANTS = (
    _mutant(
        "spilled-goes-before-the-log",
        DURABLE,
        "                self.outbox.hold(dest, before)\n",
        "                pass\n",
        "in-order",
    ),
    _mutant(
        "memory-overtakes-what-was-spilled",
        DURABLE,
        "        if self.outbox is not None and self.outbox.holds(dest):\n            return None\n",
        "",
        "in-order",
    ),
    _mutant(
        "memory-overtakes-what-is-being-committed",
        OUTBOX,
        "        return state is not None and (state.pending > 0 or state.waits)",
        "        return state is not None and state.waits",
        "in-order",
    ),
    _mutant(
        "memory-overtakes-what-the-last-run-left",
        OUTBOX_DEST,
        "        return self.peer.acked >= self.last and not self.handed",
        "        return self.outgoing is None and not self.handed",
        "in-order",
    ),
    _mutant(
        "held-for-ever",
        OUTBOX,
        "            state.held = None\n            if self._conversations",
        "            if self._conversations",
        "settles",
    ),
    _mutant(
        "memory-never-takes-over",
        OUTBOX_DEST,
        "        return self.backlog > 0 and not self.is_confirmed",
        "        return self.last > 0",
        "takes-over",
        "settles",
    ),
)
