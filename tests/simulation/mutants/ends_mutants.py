"""Mutants of ends on purpose: goodbyes, who is back later, and nodes that leave."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

ENDING = "tests.simulation.managers.run:run_ending"

DUCK = "outproc.lame_duck"
GOODBYES = "outproc.goodbyes"
OUTBOUND = "outproc.outbound"
TABLE = "outproc.dest_table"
TALK = "outproc.leaving_talk"
TRANSPORT = "outproc.dest_transport"

ENDS_MUTANTS = (
    Mutant(
        "goodbye-forgotten",
        "R14",
        (Edit(GOODBYES, "        _remember(transport, end)  #", "        pass  #"),),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "departed-dialled-for-whoever-sends",
        "R14",
        (Edit(TABLE, "        self._node.departures.check(dest, self._node.now())\n", ""),),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "reset-taken-for-a-goodbye",
        "R14",
        (
            Edit(
                TRANSPORT,
                "            self.end_session(EndReason.EXPIRED, kept, None, then_close=not wanted)",
                "            self.end_session(EndReason.CLOSED_BY_PEER, kept, None, then_close=True)",
            ),
        ),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "who-is-back-later-dialled-at-once",
        "P6",
        (
            Edit(
                GOODBYES, "    transport.dialler.rests_until = transport.node.now() +", "    _ = transport.node.now() +"
            ),
        ),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "who-is-back-later-never-dialled",
        "P6",
        (
            Edit(
                "outproc.dialler",
                "        resting = now < self.rests_until\n",
                "        resting = self.rests_until > 0.0\n",
            ),
        ),
        ("heals", "no-starving", "requests-end"),
        ENDING,
    ),
    Mutant(
        "leaving-node-accepts",
        "P2",
        (Edit(DUCK, "            transport.outbound.turn_away(error)\n", ""),),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "leaving-node-accepts-for-new-dests",
        "P2",
        (
            Edit(
                TABLE,
                "        if self._node.leaving is not None:\n            raise draining_error(self._node.local_id)\n",
                "",
            ),
            Edit(
                "outproc.dispatch",
                "            transport.outbound.turn_away(draining_error(self.node.local_id))\n        return",
                "            pass\n        return",
            ),
        ),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "accepted-for-a-peer-that-leaves",
        "P2",
        (Edit(TALK, "            transport.outbound.turn_away(PeerDrainingError(why, dest=sender))\n", ""),),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "list-without-what-restarts-lost",
        "P2",
        (Edit(TRANSPORT, "        self.node.note_lost(ended.lost)\n", ""),),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "final-drain-leaves-messages-in-their-logs",
        "P2",
        (
            Edit(
                DUCK,
                "            if transport.outbound.holds_messages or node.streams.holds(transport)\n        ]",
                "            if transport.closing\n        ]",
            ),
        ),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "final-drain-waits-for-all",
        "P7",
        (Edit(DUCK, "while (now := node.now()) < flush_until and", "while (now := node.now()) and"),),
        ("ends", "no-starving", "closed", "heals"),
        ENDING,
    ),
    Mutant(
        "final-drain-waits-whole-goodbyes",
        "P7",
        (Edit(DUCK, "        patience = max(0.0, leaving.until - self._node.now())\n", "        patience = 60.0\n"),),
        ("ends",),
        ENDING,
    ),
    Mutant(
        "answers-turned-away-too",
        "P2",
        (Edit(OUTBOUND, "self.closed, self._answers_go = error, error is not None", "self.closed = error"),),
        ("requests-end", "ends", "answers"),
        ENDING,
    ),
    Mutant(
        "ended-logs-counted-again",
        "P5",
        (
            Edit(
                OUTBOUND,
                "        if self.closed is None:\n            self.take_stock()  #",
                "        if True:\n            self.take_stock()  #",
            ),
        ),
        ("no-starving", "heals", "requests-end"),
        ENDING,
    ),
)
