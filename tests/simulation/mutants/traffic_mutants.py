"""Mutants of what travels in a session: R5 to R11."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

SESSION = "outproc.session.session"
AT_START = "outproc.session.lanes_at_start"
SEND = "outproc.session.send_lane"
RECEIVE = "outproc.session.receive_lane"
CONTROL = "outproc.session.control"

STUCK = ("delivered-in-the-end", "signals-overtake", "control-survives")

TRAFFIC_MUTANTS = (
    Mutant(
        "stops-after-a-full-frame",
        "R5",
        (Edit(SESSION, "        self.said_all = left >= ROOM_TO_SPARE and not", "        self.said_all = not"),),
        ("said-all",),
    ),
    Mutant(
        "resume-floods-who-still-checks",
        "R1",
        (Edit(SESSION, "        room = joined.early.room(budget)\n", "        room = budget\n"),),
        ("early-bound",),
    ),
    Mutant(
        "early-data-for-ever",
        "R1",
        (Edit(SESSION, "            joined.early.left = None\n", "            pass\n"),),
        ("delivered-in-the-end", "control-survives", "signals-overtake"),
    ),
    Mutant(
        "epoch-reset-by-a-joining-wire",
        "R5",
        (
            Edit(
                SESSION,
                "        acked = self._take_statement(stated) if",
                "        self._epoch = 0\n        acked = self._take_statement(stated) if",
            ),
            Edit(SEND, "        if epoch <= self.epoch:\n", "        if epoch < 0:\n"),
        ),
        ("lane-moves-forward",),
    ),
    Mutant(
        "lower-epoch-accepted",
        "R5",
        (
            Edit(
                RECEIVE,
                "        if epoch < self.epoch or (epoch == self.epoch and wire is not self.wire):\n",
                "        if epoch == self.epoch and wire is not self.wire:\n",
            ),
        ),
        ("lane-moves-forward",),
    ),
    Mutant(
        "bind-goes-on-at-the-cursor",
        "R5",
        (Edit(SEND, "        self.epoch = epoch\n        self.cursor = self.acked\n", "        self.epoch = epoch\n"),),
        ("honest-peers-never-fault", *STUCK),
    ),
    Mutant(
        "front-not-trimmed",
        "R6",
        (Edit(RECEIVE, "        if behind:\n", "        if behind < 0:\n"),),
        ("intact", "exactly-once", "honest-peers-never-fault"),
    ),
    Mutant(
        "replayed-batch-delivered-again",
        "R6",
        (
            Edit(
                RECEIVE,
                "        if number == self.expected.number and not",
                "        if number <= self.expected.number and not",
            ),
            Edit(
                RECEIVE,
                "        self._charge(len(bodies), size)\n",
                "        if batch.number == self.expected.number:\n            self._charge(len(bodies), size)\n",
            ),
            Edit(
                RECEIVE,
                "self.expected = Position(batch.number + len(bodies), 0)",
                "self.expected = max(self.expected, Position(batch.number + len(bodies), 0))",
            ),
        ),
        ("exactly-once",),
    ),
    Mutant(
        "chunk-offset-ignored-on-rebind",
        "R6",
        (Edit(SEND, "            bodies[0] = rest_of(bodies[0], offset)\n", "            pass\n"),),
        ("honest-peers-never-fault", "intact"),
    ),
    Mutant(
        "piece-not-trimmed",
        "R6",
        (Edit(RECEIVE, "        surplus = self.expected.offset - offset\n", "        surplus = 0\n"),),
        ("honest-peers-never-fault", "intact"),
    ),
    Mutant(
        "resume-below-the-highest-ack",
        "R7",
        (Edit(SEND, "        self.cursor = self.acked\n", "        self.cursor = Position(self.acked.number, 0)\n"),),
        ("resume-at-ack",),
    ),
    Mutant(
        "stale-ack-takes-the-lane-back",
        "R7",
        (
            Edit(
                SEND,
                "        if received > self.acked:\n            self.acked = received\n",
                "        if received != self.acked:\n            self.acked = received\n",
            ),
        ),
        ("impossible-state", "resume-at-ack", "honest-peers-never-fault", "lost-list-exact"),
    ),
    Mutant(
        "stale-positions-taken-as-a-gap",
        "R7",
        (
            Edit(
                SEND,
                "        sent_end = self.high_water\n",
                "        sent_end = self.high_water\n        if received < self.acked:\n"
                '            raise ProtocolError("a gap")\n',
            ),
        ),
        ("honest-peers-never-fault",),
    ),
    Mutant(
        "control-not-resent-after-a-wire-died",
        "R8",
        (Edit(SESSION, "self.unsent.everything(self.receive_lanes, now + self.limits.ack_delay)", "pass"),),
        STUCK,
    ),
    Mutant(
        "control-alone-asks-for-an-ack",
        "R8",
        (Edit(SESSION, "frame_header(self.tag, ack_now) + told", "frame_header(self.tag, True) + told"),),
        ("control-only-is-silent",),
    ),
    Mutant(
        "debounced-ack",
        "R9",
        (
            Edit(
                CONTROL,
                "        if self.due is None or by < self.due:\n",
                "        if self.due is None or by != self.due:\n",
            ),
        ),
        ("ack-within-deadline", "ack-now"),
    ),
    Mutant(
        "ack-now-ignored",
        "R9",
        (
            Edit(
                SESSION,
                "        urgent = (\n            ack_now\n            or lane",
                "        urgent = (\n            lane",
            ),
        ),
        ("ack-now",),
    ),
    Mutant(
        "processed-reported-too-early",
        "R9",
        (
            Edit(
                RECEIVE,
                "Ack(self.lane, self.expected, self.processed,",
                "Ack(self.lane, self.expected, self.expected.number,",
            ),
        ),
        ("ack-not-above-delivered",),
    ),
    Mutant(
        "ack-without-deadline",
        "R9",
        (
            Edit(
                SESSION,
                "        self.unsent.ack(lane.lane, now if urgent else now + self.limits.ack_delay)\n",
                "        self.unsent.ack(lane.lane, now if urgent else now + 1e9)\n",
            ),
        ),
        ("ack-within-deadline", *STUCK),
    ),
    Mutant(
        "credit-without-news-of-its-own",
        "R10",
        (
            Edit(
                SESSION,
                "        self.unsent.credit(lane, by, session=receive_lane.session_credit is not None)\n",
                "",
            ),
        ),
        STUCK,
    ),
    Mutant(
        "credit-ignored-by-the-sender",
        "R10",
        (Edit(SEND, "        if free >= len(sizes):\n            return len(sizes)\n", "        return len(sizes)\n"),),
        ("honest-peers-never-fault",),
    ),
    Mutant(
        "replay-costs-credit",
        "R10",
        (
            Edit(
                SEND,
                "            fresh = sum(sizes[replayed:]) if replayed else total\n",
                "            fresh = total\n",
            ),
        ),
        STUCK,
    ),
    Mutant(
        "session-not-charged-at-the-first-byte",
        "R10",
        (
            Edit(
                SEND,
                "                self.session_credit.used += fresh\n",
                "                self.session_credit.used += fresh if offset is None else 0\n",
            ),
            Edit(RECEIVE, "            credit.charged += size\n", "            credit.charged += 0\n"),
        ),
        ("credit-bound",),
    ),
    Mutant(
        "signal-lane-not-exempt",
        "R10",
        (
            Edit(
                AT_START,
                "            None if lane in PRIORITY_LANES else credit,\n",
                "            credit,\n",
            ),
            Edit(
                AT_START,
                "ReceiveLane(lane, limits, None if lane in PRIORITY_LANES else credit)",
                "ReceiveLane(lane, limits, credit)",
            ),
        ),
        ("signals-overtake",),
    ),
    Mutant(
        "skip-not-replayed",
        "R11",
        (
            Edit(
                SEND,
                "            record = self._entry_record(segment)\n",
                "            if isinstance(segment, Gap) and segment.end <= self.high_water:\n"
                "                self.cursor = Position(segment.end, 0)\n                continue\n"
                "            record = self._entry_record(segment)\n",
            ),
        ),
        ("honest-peers-never-fault", *STUCK),
    ),
    Mutant(
        "fin-not-replayed",
        "R11",
        (
            Edit(
                SEND,
                "            record = self._entry_record(segment)\n",
                "            if isinstance(segment, End) and segment.end <= self.high_water:\n"
                "                self.cursor = Position(segment.end, 0)\n                continue\n"
                "            record = self._entry_record(segment)\n",
            ),
        ),
        STUCK,
    ),
    Mutant(
        "drop-judged-by-the-cursor",
        "R11",
        (
            Edit(SEND, "messages_from(self.high_water)", "messages_from(self.cursor.number)"),
            Edit(
                SEND,
                "        if number < self.high_water:\n            raise RuntimeError",
                "        if number < 0:\n            raise RuntimeError",
            ),
        ),
        ("drop-untransmitted",),
    ),
    Mutant(
        "superseded-judged-by-the-cursor",
        "R11",
        (
            Edit(SEND, "older >= self.high_water:\n", "older >= self.cursor.number:\n"),
            Edit(
                SEND,
                "        if number < self.high_water:\n            raise RuntimeError",
                "        if number < 0:\n            raise RuntimeError",
            ),
        ),
        ("drop-untransmitted",),
    ),
    Mutant(
        "old-latency-first-message-delivered",
        "section 2",
        (
            Edit(
                "outproc.session.lossy_lane",
                "            bodies = bodies[behind:]\n            number = self.expected\n",
                "",
            ),
        ),
        ("lossy-at-most-once",),
    ),
)
