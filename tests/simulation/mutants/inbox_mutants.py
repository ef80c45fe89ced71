"""Mutants of the inbox: what is handed out to whom."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

RUN = "tests.simulation.inbox.run:run_seed"
QUEUE = "litz.inbox_queue"
INBOX = "litz.inbox"
STREAM = "litz.message_stream"
SERVING = "litz.serving"


def _mutant(name: str, module: str, old: str, new: str, *killers: str) -> Mutant:
    return Mutant(name, "P2", (Edit(module, old, new),), killers, RUN)


INBOX_MUTANTS = (
    _mutant(
        "drop-walks-a-batch-again",
        QUEUE,
        "batch.spell_out(index)",
        "batch.spell_out(0)",
        "exactly-once",
        "counted",
    ),
    _mutant(
        "joins-what-another-stream-has-in-hand",
        QUEUE,
        "not last.concurrent and last in self.lane.sender.currents",
        "not last.concurrent",
        "claimed",
        "exactly-once",
        "counted",
    ),
    _mutant(
        "joins-behind-who-looks-no-more",
        QUEUE,
        "(last.left or (not last.concurrent and last in self.lane.sender.currents))",
        "(last.left or last in self.lane.sender.currents)",
        "alive",
        "in-order",
    ),
    _mutant(
        "drops-under-the-consumer",
        QUEUE,
        "if opened.left and (opened.concurrent or opened in self.lane.sender.currents):",
        "if False:",
        "exactly-once",
        "in-order",
        "counted",
        "typed-errors",
    ),
    _mutant(
        "in-hand-is-processed-when-a-stream-is-left-with-an-error",
        STREAM,
        "batch.progress if again else batch.handed",
        "batch.handed",
        "alive",
        "counted",
        "in-order",
    ),
    _mutant(
        "handed-out-again-and-not-marked",
        INBOX,
        "for position in range(handed - index if seen else 0):",
        "for position in range(0):",
        "marked",
    ),
    _mutant(
        "rest-of-a-claimed-sender-stays",
        INBOX,
        "            rest = batch.queue.split(batch, batch.handed)\n            if rest is not None:\n"
        "                owner.give_back(rest)\n",
        "            pass\n",
        "claimed",
    ),
    _mutant(
        "finished-behind-others-comes-again",
        SERVING,
        "            for position in reversed(later):\n                del batch.items[position]\n",
        "            later = []\n",
        "exactly-once",
    ),
    _mutant(
        "server-remembers-all-senders",
        INBOX,
        "            owner.release(first=True)\n        self.forget_idle(owner)\n",
        "            owner.release(first=True)\n",
        "closed",
    ),
)
