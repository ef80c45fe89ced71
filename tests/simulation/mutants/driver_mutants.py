"""Mutants of the drivers: dialling, joining, closing, and what the users of a manager rely on."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

MANAGERS = "tests.simulation.managers.run:run_seed"

CLOSING = "outproc.closing"
CONFIRMATIONS = "outproc.confirmations"
DIALLER = "outproc.dialler"
DISPATCH = "outproc.dispatch"
FAULTS = "outproc.session.faults"
INBOUND = "outproc.inbound"
JOINING = "outproc.joining"
OUTBOUND = "outproc.outbound"
PAIRING = "outproc.session.pairing"
POOL = "outproc.pool"
REQUESTING = "outproc.requesting"
SESSION = "outproc.session.session"
TABLE = "outproc.dest_table"
TRANSPORT = "outproc.dest_transport"
VIOLATIONS = "outproc.violations"

DRIVER_MUTANTS = (
    Mutant(
        "dismissed-for-a-wire-that-never-came",
        "R12",
        (Edit(DIALLER, "if link.wire.kind not in self._provided():  #", "if link is None:  #"),),
        ("no-starving",),
        MANAGERS,
    ),
    Mutant(
        "an-older-life-is-asked-about-its-successor",
        "P2",
        (
            Edit(JOINING, "    if link.peer.incarnation != transport.gate.current:\n", "    if False:\n"),
            Edit(
                PAIRING,
                "    return current is not None and current.mine == named.mine and current.yours != named.yours\n",
                "    return current is not None and named.yours > current.yours\n",
            ),
            Edit(
                "outproc.handshake.initiator",
                "        if yours is not None and yours.incarnation != self.peer.incarnation:\n",
                "        if False:\n",
            ),
        ),
        ("loud",),
        "tests.simulation.managers.lives:run_seed",
    ),
    Mutant(
        "dial-dies-with-its-first-caller",
        "P3",
        (
            Edit(
                TABLE,
                "            await entry.event.wait()\n            if entry.error",
                "            try:\n                await entry.event.wait()\n"
                "            except asyncio.CancelledError:\n                entry.task.cancel()\n"
                "                raise\n            if entry.error",
            ),
        ),
        ("one-dial",),
        MANAGERS,
    ),
    Mutant(
        "stale-event-kills-the-fresh-wire",
        "P4",
        (
            Edit(
                POOL,
                "isinstance(slot.state, Ready) and slot.state.wire is wire:",
                "isinstance(slot.state, Ready) and slot.state.wire.wire.kind == wire.wire.kind:",
            ),
        ),
        ("one-dial",),
        MANAGERS,
    ),
    Mutant(
        "late-wire-survives-aclose",
        "P7",
        (
            Edit(
                DIALLER,
                "*self.look_ups.tasks]:\n            task.cancel()\n",
                "*self.look_ups.tasks]:\n            pass\n",
            ),
            Edit(
                CLOSING,
                "    await _cancelled(tasks, max(3 * grace, deadline - node.now()))\n",
                "",
            ),
        ),
        ("closed", "one-dial"),
        MANAGERS,
    ),
    Mutant(
        "ack-before-deliver",
        "P1",
        (
            Edit(
                INBOUND,
                "                self.deliver(delivery)\n",
                '                self._held.append(delivery)\n                self._node.spawn(self._late(), "late")\n',
            ),
            Edit(
                INBOUND,
                "    def deliver(self, delivery: Delivery) -> None:\n",
                "    async def _late(self) -> None:\n"
                "        import asyncio\n\n"
                "        await asyncio.sleep(0.05)\n"
                "        delivery = self._held.pop(0)\n"
                "        if not self._session.ended:\n"
                "            self.deliver(delivery)\n\n"
                "    def deliver(self, delivery: Delivery) -> None:\n",
            ),
            Edit(INBOUND, "        self._news = news\n", "        self._news = news\n        self._held = []\n"),
        ),
        ("loud",),
        MANAGERS,
    ),
    Mutant(
        "bodies-lost-on-the-way-to-the-inbox",
        "P1",
        (Edit(INBOUND, "put_payloads(bodies, first, source, ", "put_payloads(bodies[:1], first, source, "),),
        ("in-order", "loud"),
        MANAGERS,
    ),
    Mutant(
        "last-ack-lost-with-its-wire",
        "P6",
        (Edit(SESSION, "self.unsent.everything(self.receive_lanes, now + self.limits.ack_delay)", "pass"),),
        ("heals", "no-starving", "requests-end"),
        MANAGERS,
    ),
    Mutant(
        "loser-of-a-tie-redialled",
        "P4",
        (
            Edit(DIALLER, "            self.pool.yielded(link)\n", "            self.pool.lost(link, now, error)\n"),
            Edit(POOL, "        if slot.endpoint.kind in self.held:\n            return None\n", ""),
            Edit(DIALLER, "        if endpoint.kind in self.pool.held or (", "        if ("),
        ),
        ("one-dial",),
        MANAGERS,
    ),
    Mutant(
        "older-clock-bricks-a-restart",
        "P6",
        (Edit(PAIRING, "        if wires == 0:\n", "        if wires < 0:\n"),),
        ("heals", "no-starving", "requests-end"),
        MANAGERS,
    ),
    Mutant(
        "expiry-never-fires",
        "P5",
        (
            Edit(
                TRANSPORT,
                "        self.keeping.begin(self.node.now())\n",
                "        pass\n",
            ),
        ),
        ("bounded",),
        MANAGERS,
    ),
    Mutant(
        "waiting-senders-overtaken",
        "P1",
        (Edit(OUTBOUND, "            line[0].go()\n", "            line[-1].go()\n"),),
        ("no-starving", "requests-end"),
        MANAGERS,
    ),
    Mutant(
        "healthy-wire-redialled-when-a-sibling-died",
        "P4",
        (
            Edit(
                POOL,
                "        self._cool(slot, cause, now, was_well=well)\n",
                "        self._cool(slot, cause, now, was_well=well)\n"
                "        for other in self._slots.values():\n"
                "            if isinstance(other.state, Ready):\n"
                "                self._cool(other, cause, now, was_well=True)\n",
            ),
        ),
        ("one-dial",),
        MANAGERS,
    ),
    Mutant(
        "backoff-reset-before-the-wire-proved",
        "P4",
        (
            Edit(POOL, "        well = slot.state.proved or now >= up_until\n", "        well = True\n"),
            Edit(POOL, "AT_ONCE: Final = 8\n", "AT_ONCE: Final = 1_000_000\n"),  # which would soften it
        ),
        ("one-dial",),
        MANAGERS,
    ),
    Mutant(
        "cancelled-send-half-accepted",
        "P1",
        (
            Edit(
                OUTBOUND,
                "                await place.turn\n",
                "                try:\n                    await place.turn\n"
                "                except asyncio.CancelledError:\n"
                "                    self.accept(lane, bytes(4), detail, first=True)\n                    raise\n",
            ),
        ),
        ("intact", "exactly-once", "in-order"),
        MANAGERS,
    ),
    Mutant(
        "cancelled-send-keeps-its-place",
        "P1",
        (
            Edit(
                OUTBOUND,
                "            line.remove(place)\n",
                "            if not place.turn.cancelled():\n                line.remove(place)\n",
            ),
        ),
        ("no-starving", "requests-end"),
        MANAGERS,
    ),
    Mutant(
        "answer-completes-a-newer-request",
        "P1",
        (
            Edit(
                REQUESTING,
                "        pending = self._table.answered(dest, request_id)\n",
                "        pending = self._table.answered(dest, request_id)\n"
                "        if pending is None and self._sent:\n"
                "            pending = next(reversed(self._sent.values()))\n",
            ),
        ),
        ("answers",),
        MANAGERS,
    ),
    Mutant(
        "goodbye-ignored",
        "R14",
        (
            Edit(
                "outproc.goodbyes",
                "detail, finals, then_close=True)\n",
                "detail, finals)\n",
            ),
        ),
        ("ends",),
        "tests.simulation.managers.run:run_ending",
    ),
    Mutant(
        "answer-after-goodbye-joins",
        "P7",
        (Edit(JOINING, "    if transport.closing and not isinstance(", "    if False and not isinstance("),),
        ("typed-errors",),
        MANAGERS,
    ),
    Mutant(
        "drain-forgets-its-futures",
        "P2",
        (Edit(CONFIRMATIONS, "        for future in futures:\n            future.cancel()\n", "        pass\n"),),
        ("typed-errors",),
        MANAGERS,
    ),
    Mutant(
        "request-dropped-by-a-policy-waits-for-ever",
        "P2",
        (
            Edit(DISPATCH, "        transport.outbound.check_kept(receipt)\n", ""),
            Edit(
                REQUESTING,
                "pending.answer.done():\n            pending.answer.set_exception(error)\n",
                "pending.answer.done():\n            pass\n",
            ),
        ),
        ("no-starving", "requests-end"),
        MANAGERS,
    ),
    Mutant(
        "accepted-by-a-dest-that-is-closing",
        "P2",
        (
            Edit(
                OUTBOUND,
                "        self.take_stock()\n        self.closed, self._answers_go = error, False\n",
                "        pass\n",
            ),
        ),
        ("loud",),
        MANAGERS,
    ),
    Mutant(
        "lossy-behind-a-consumer-piles-up",
        "P5",
        (
            Edit(
                "litz.inbox_queue",
                "                batch = self._cut_behind_consumer(opened)\n",
                "                continue\n",
            ),
        ),
        ("bounded",),
        MANAGERS,
    ),
    Mutant(
        "violations-not-counted",
        "R6",
        (Edit(VIOLATIONS, "(proved or link in session.wires) and session.faults.broke(node.now())", "False"),),
        ("violations",),
        MANAGERS,
    ),
    Mutant(
        "one-violation-ends-the-session",
        "R6",
        (Edit(FAULTS, "        return self.count >= self._limit\n", "        return self.count > 0\n"),),
        ("violations",),
        MANAGERS,
    ),
    Mutant(
        "violations-forgiven-for-any-progress",
        "R6",
        (Edit(FAULTS, "now - self._well_since >= self._forgiven_after", "now >= self._well_since"),),
        ("violations",),
        MANAGERS,
    ),
)
