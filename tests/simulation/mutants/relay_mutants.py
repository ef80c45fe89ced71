"""Mutants of relaying: turns, windows, limits, and ends that have to be passed on."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

WALK = "tests.simulation.relay.switch_walk:run_seed"
WORLD = "tests.simulation.relay.run:run_seed"
CIRCUIT = "outproc.wires.relay.circuit"
CLIENT = "outproc.wires.relay.client"
ROTATION = "outproc.wires.relay.rotation"
SWITCH = "outproc.wires.relay.switch"


def _mutant(name: str, module: str, old: str, new: str, *killers: str, entry: str = WALK) -> Mutant:
    return Mutant(name, "relay", (Edit(module, old, new),), killers, entry)


RELAY_MUTANTS = (
    _mutant(
        "hub-takes-no-turns", ROTATION, "            elif price <= left:\n", "            elif price >= 0:\n", "fair"
    ),
    _mutant(
        "a-pair-has-a-turn-for-each-circuit",
        ROTATION,
        "        self._pairs.spent(pair, price)\n",
        "        pass\n",
        "fair",
    ),
    _mutant(
        "a-pair-has-any-number-of-circuits",
        SWITCH,
        "            if sum(leg.far == other for leg in legs) >= self.limits.max_circuits_per_pair:\n",
        "            if False:\n",
        "bounded",
    ),
    _mutant(
        "half-the-peer-took-is-given-up",
        "outproc.shown_half",
        "        return half == self._half and self._unanswered > 0\n",
        "        return False\n",
        "blip",
        entry=WORLD,
    ),
    _mutant(
        "hub-window-is-not-replenished",
        SWITCH,
        "                self._grant(leg.other)\n",
        "                pass\n",
        "delivered-in-the-end",
    ),
    _mutant(
        "node-window-is-not-replenished",
        CIRCUIT,
        "        return self.consumed + WINDOW - self.granted >= WINDOW // 4\n",
        "        return False\n",
        "delivered-in-the-end",
    ),
    _mutant(
        "full-hub-forgets-the-last-frame",
        SWITCH,
        "        if leg.passed == leg.taken:\n",
        "        if False:\n",
        "delivered-in-the-end",
        "passed-on",
    ),
    _mutant(
        "close-is-not-passed-on",
        SWITCH,
        "            other.tail = encode_close(other.circuit, code, text)\n        self._ready(other)\n",
        "            pass\n        self._ready(other)\n",
        "passed-on",
        "delivered-in-the-end",
    ),
    _mutant(
        "end-of-a-session-is-not-passed-on",
        SWITCH,
        '                self._end(leg, CloseCode.FAR_ENDED, f"the session of {peer} with the hub ended")\n',
        "                pass\n",
        "passed-on",
        "impossible-state",
        "bounded",
    ),
    _mutant(
        "close-overtakes-what-was-sent",
        SWITCH,
        "                if message.code is CloseCode.ABORTED:\n",
        "                if message.code is not None:\n",
        "in-order",
    ),
    _mutant(
        "hub-grants-whatever-it-holds",
        SWITCH,
        "leg.granted + self.limits.max_buffered - self.unused - self.buffered)",
        "leg.granted + self.limits.max_buffered)",
        "bounded",
    ),
    _mutant(
        "grants-of-closed-circuits-are-kept",
        SWITCH,
        "        self.unused -= leg.granted - leg.taken + other.granted - other.taken\n",
        "",
        "bounded",
    ),
    _mutant(
        "numbers-go-on-over-a-restart",
        SWITCH,
        "        self._peers.pop(peer, None)\n        self._due",
        "        self._due",
        "impossible-state",
    ),
    _mutant(
        "node-sends-above-its-credit",
        CIRCUIT,
        "            return price if self.sent + price <= self.credit else None\n",
        "            return price\n",
        "impossible-state",
    ),
    _mutant(
        "close-of-the-hub-is-not-heard",
        CLIENT,
        "                elif wire is not None:\n                    wire.end(",
        "                elif wire is None:\n                    wire.end(",
        "delivered-in-the-end",
        "passed-on",
        "typed-errors",
        entry=WORLD,
    ),
)
