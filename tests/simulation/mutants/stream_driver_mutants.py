"""Mutants of the driver of streams and its table (`outproc.streams`)."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

MANAGERS = "tests.simulation.managers.run:run_streaming"
SESSION = "outproc.streams.session_streams"
SIDE = "outproc.streams.side"
LANES = "outproc.streams.side_lanes"
STREAMS = "outproc.streams.streams"
TRAFFIC = "outproc.streams.traffic"
TABLE = "outproc.streams.table"
ROOM = "outproc.streams.log_room"
OFFERS = "outproc.streams.offers"
RESTS = "outproc.streams.rests"

STREAM_DRIVER_MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "cancelled-open-is-forgotten",
        "P7",
        (Edit(STREAMS, "                side.release()  # also when it was opened, and the cancel came first\n", ""),),
        ("streams-end", "streams-free", "streams-left"),
        MANAGERS,
    ),
    Mutant(
        "abort-is-not-answered",
        "P5",
        (Edit(TABLE, "case Effect.SAY_DONE:", "case Effect.SAY_DONE if Effect.TELL_ABORTED not in effects:"),),
        ("streams-left",),
        MANAGERS,
    ),
    Mutant(
        "end-is-told-before-what-came-earlier",
        "P1",
        (
            Edit(
                SIDE,
                '        if self._began:\n            self._tell("finished")',
                '        if True:\n            self._tell("finished")',
            ),
        ),
        ("streams-exact", "streams-end", "streams-free"),
        MANAGERS,
    ),
    Mutant(
        "unread-of-an-ended-stream-is-not-charged",
        "P5",
        (
            Edit(
                LANES,
                "        if not side.unread_entries:\n            self.drop_in(side)",
                "        if True:\n            self.drop_in(side)",
            ),
        ),
        ("bounded",),
        MANAGERS,
    ),
    Mutant(
        "rest-of-a-stream-that-is-over-is-not-charged",
        "P5",
        (
            Edit(
                SESSION,
                "        return self._node.stream_rests.keep(self.dest, size)",
                "        return self._node.stream_rests.keep(self.dest, 0)",
            ),
        ),
        ("bounded",),
        MANAGERS,
    ),
    Mutant(
        "who-has-too-many-rests-gets-further-streams",
        "P5",
        (Edit(OFFERS, "        if self._node.stream_rests.overrun(streams.dest):\n", "        if False:\n"),),
        ("bounded",),
        MANAGERS,
    ),
    Mutant(
        "rest-that-is-let-go-of-stays-charged",
        "P5",
        (Edit(RESTS, "        if self._size:\n", "        if False:\n"),),
        ("bounded", "streams-left"),
        MANAGERS,
    ),
    Mutant(
        "released-and-unread-is-kept",
        "P5",
        (
            Edit(
                SESSION,
                '        """Its user has gone."""\n        self.lanes.drop_in(side)\n',
                '        """Its user has gone."""\n',
            ),
        ),
        ("streams-left",),
        MANAGERS,
    ),
    Mutant(
        "room-is-not-told",
        "P6",
        (
            Edit(
                SESSION,
                "        for number in self.lanes.take_roomy():",
                "        for number in self.lanes.take_roomy()[1:]:",
            ),
        ),
        ("streams-free",),
        MANAGERS,
    ),
    Mutant(
        "room-of-the-process-is-not-told",
        "P6",
        (Edit(ROOM, "        for side in waiting:\n            side.writable()\n", ""),),
        ("streams-free",),
        MANAGERS,
    ),
    Mutant(
        "streams-stay-when-the-session-ends",
        "P2",
        (
            Edit(
                TRAFFIC,
                "            streams.end(ManagerStateError(",
                "            (lambda *_: None)(ManagerStateError(",
            ),
        ),
        ("streams-free", "streams-end", "typed-errors", "no-starving"),
        MANAGERS,
    ),
    Mutant(
        "words-that-found-no-room-are-lost",
        "P1",
        (
            Edit(
                SESSION,
                "                return\n            self.table.took(count)",
                "                pass\n            self.table.took(count)",
            ),
        ),
        ("streams-free", "streams-left", "no-starving", "violations"),
        MANAGERS,
    ),
    Mutant(
        "evicted-although-used",
        "P2",
        (
            Edit(
                SESSION,
                "next((each for each in self._idle.values() if each.entry.placed), None)",
                "next((each for each in self.sides.values() if each.entry.placed and not each.entry.over), None)",
            ),
            Edit(SESSION, "self.table.spare = len(self._idle)", "self.table.spare = 1"),
            Edit(SESSION, "or bool(self._idle)", "or True"),
        ),
        ("streams-end", "no-starving"),
        MANAGERS,
    ),
    Mutant(
        "told-after-the-release",
        "P7",
        (Edit(SIDE, "        self.released = True\n", ""),),
        ("streams-end",),
        MANAGERS,
    ),
    Mutant(
        "confirmed-when-it-was-sent",
        "P1",
        (Edit(LANES, "            side.acked(lane.acked.number)", "            side.acked(lane.high_water)"),),
        ("streams-exact",),
        MANAGERS,
    ),
    Mutant(
        "complete-although-it-was-aborted",
        "P2",
        (Edit(SESSION, "        side.ends(lambda user: user.aborted(code, reason))", "        side.complete()"),),
        ("streams-exact", "streams-end"),
        MANAGERS,
    ),
)
