"""Mutants of the lanes of streams: their turns, their credit, what is told again, and what they leave behind."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

LANES = "outproc.session.stream_lanes"
SEND = "outproc.session.stream_send_lane"
WINDOW = "outproc.session.stream_window"
STREAM_SEEDS = "tests.simulation.core.run:run_stream_seed"
STUCK = ("stream-complete", "stream-unblocked")


NO_CREDIT = (
    Edit(LANES, "most if lane.sent_size >= most else max(limits.max_entry, min(most, lane.credit_left))", "most"),
    Edit(SEND, "min(streams.large_entry, self.credit_left)", "streams.large_entry"),
)


def _mutant(name: str, rule: str, edit: Edit, *killers: str) -> Mutant:
    return Mutant(name, rule, (edit,), killers or STUCK, STREAM_SEEDS)


STREAM_LANE_MUTANTS: tuple[Mutant, ...] = (
    Mutant("large-entry-without-credit-for-it", "R10", NO_CREDIT, STUCK, STREAM_SEEDS),
    _mutant(
        "large-entry-waits-for-credit-that-never-comes",
        "R10",
        Edit(LANES, "most if lane.sent_size >= most else", "most if True else"),
    ),
    _mutant(
        "large-entry-is-a-violation",
        "R10",
        Edit(WINDOW, "        if size > self._large:", "        if size > self.limits.max_message:"),
        "honest-peers-never-fault",
    ),
    _mutant(
        "stream-out-of-credit-forgets-what-it-may-send",
        "R10",
        Edit(LANES, " or (lane.blocked and lane.held_back):", " or lane.blocked:"),
    ),
    _mutant(
        "stream-out-of-credit-forgets-the-rest-of-an-entry",
        "R10",
        Edit(LANES, " or (lane.blocked and lane.held_back):", " or (lane.blocked and not took):"),
    ),
    _mutant(
        "stream-out-of-credit-holds-up-the-others",
        "R10",
        Edit(LANES, "                del ready[number]\n            elif", "                break\n            elif"),
    ),
    _mutant(
        "credit-does-not-wake-a-stream",
        "R10",
        Edit(
            LANES,
            "                lane.blocked = False\n                self.ready[credit.lane] = lane\n",
            "                lane.blocked = False\n",
        ),
    ),
    _mutant(
        "window-of-a-stream-beyond-the-budget",
        "P5",
        Edit(WINDOW, "min(self.consumed_size + self.window, self.granted_size + self._budget.left)", "1 << 20"),
        "stream-budget",
    ),
    _mutant(
        "first-window-out-of-the-budget",
        "R10",
        Edit(
            WINDOW,
            "        size = self.consumed_size + first\n",
            "        size = self.consumed_size + max(0, min(first, self._budget.left))\n",
        ),
    ),
    _mutant(
        "window-of-a-stream-taken-back",
        "R10",
        Edit(WINDOW, "max(self.granted_messages, messages), max(self.granted_size, size)", "messages, size"),
        "stream-credit",
        "honest-peers-never-fault",
    ),
    _mutant(
        "end-of-a-stream-keeps-its-part-of-the-budget",
        "P5",
        Edit(WINDOW, "            self._budget.add(self.charged_size - self.granted_size)\n", "            pass\n"),
        "stream-nothing-left",
    ),
    _mutant(
        "stream-paused-for-ever",
        "R10",
        Edit(
            LANES,
            "            lane.paused = False\n            self._tell_credit(number, lane, now)\n",
            "            lane.paused = False\n",
        ),
    ),
    _mutant(
        "streams-move-without-replay",
        "R5",
        Edit(LANES, "                lane.cursor = lane.acked\n", ""),
        "honest-peers-never-fault",
        *STUCK,
    ),
    _mutant(
        "stream-keeps-the-epoch-of-an-earlier-wire",
        "R5",
        Edit(LANES, "lane.epoch = self._epoch", "lane.epoch = lane.epoch or self._epoch"),
        "lane-moves-forward",
        *STUCK,
    ),
    _mutant(
        "control-of-streams-not-restated",
        "R8",
        Edit(LANES, "            if lane.has_told:\n", "            if False:\n"),
    ),
    _mutant(
        "control-of-streams-restated-to-who-does-not-know-them",
        "R8",
        Edit(LANES, "            if lane.has_told:\n", "            if True:\n"),
        "honest-peers-never-fault",
    ),
    _mutant(
        "ack-now-ignored-on-streams",
        "R9",
        Edit(LANES, "at_once = ack_now or lane", "at_once = lane"),
        "ack-now",
    ),
    _mutant(
        "late-for-a-stream-is-a-violation",
        "protocol, streams",
        Edit(LANES, "        if number > self._highest[number & 1]:\n", "        if number:\n"),
        "honest-peers-never-fault",
    ),
    _mutant(
        "stream-that-is-gone-is-acknowledged",
        "protocol, streams",
        Edit(LANES, "            self._unsent.forget(number)\n", ""),
        "stream-nothing-left",
        "impossible-state",
    ),
    _mutant(
        "stream-that-is-gone-stays-in-flight",
        "protocol, streams",
        Edit(LANES, "            self.sent_size -= lane.sent_size\n", ""),
        "stream-nothing-left",
    ),
    _mutant(
        "writer-of-a-stream-not-told-of-room",
        "P5",
        Edit(LANES, "            self._roomy.append(number)\n", "            pass\n"),
    ),
    _mutant(
        "stream-with-room-for-everything",
        "P5",
        Edit(SEND, "        waiting = end - self.high_water\n", "        waiting = 0\n"),
        "stream-bound",
    ),
)
