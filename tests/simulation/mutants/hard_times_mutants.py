"""Mutants of hard times: peers that fall silent, wires that break again and again, sessions that come and go while
nobody reads. All of them were in the shipped code once; most were found by hand."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Edit, Mutant

MANAGERS = "tests.simulation.managers.run:run_seed"

SLOW_WIRES = "tests.simulation.managers.run:run_slow_seed"

HARD_TIMES = "tests.simulation.managers.run:run_hard_seed"

JOINING = "outproc.joining"
LINK = "outproc.link"
NODE = "outproc.local_node"
POOL = "outproc.pool"

HEARD = "        self._seen_bytes = self.wire.received_bytes\n"

HARD_TIMES_MUTANTS = (
    Mutant(
        "silence-counted-from-the-look",
        "P6",
        tuple(
            Edit(LINK, HEARD + rest, rest)
            for rest in (
                "        self.liveness.received(now)\n        self.frames_in += 1\n",
                "        self.liveness.received(now)\n        # Not in",
            )
        ),
        ("silent",),
        MANAGERS,
    ),
    Mutant(
        "says-nothing-on-a-wire-that-it-hears",
        "P6",
        (
            Edit(
                LINK,
                "            self.owner.ping(self, self.node.environment.rng.getrandbits(63))\n",
                "            pass\n",
            ),
        ),
        ("silent",),
        MANAGERS,
    ),
    Mutant(
        "looks-only-when-the-peer-is-silent",
        "P6",
        (
            Edit(
                "outproc.health",
                "        return min(due, speak) if speak > now else due\n",
                "        return due\n",
            ),
        ),
        ("silent",),
        SLOW_WIRES,
    ),
    Mutant(
        "what-breaks-again-and-again-dialled-at-once",
        "P4",
        (
            Edit(
                POOL,
                "        return over * (1.0 + self._rng.random()) if over > 0.0 else 0.0\n",
                "        return 0.0\n",
            ),
        ),
        ("one-dial",),
        HARD_TIMES,
    ),
    Mutant(
        "displaced-beside-a-dial-hurries",
        "P6",
        (
            Edit(
                POOL,
                "        if not any(isinstance(each.state, Building) for each in self._slots.values()):\n",
                "        if True:\n",
            ),
        ),
        ("no-starving", "requests-end", "heals", "one-dial"),
        HARD_TIMES,
    ),
    Mutant(
        "ended-sessions-fill-the-memory",
        "P5",
        (
            Edit(
                NODE,
                "        return lanes >= MAX_LEFT or (self.inbox_full and size > self.options.max_message)",
                "        return False",
            ),
        ),
        ("bounded",),
        HARD_TIMES,
    ),
    Mutant(
        "ended-sessions-of-small-messages-have-no-limit",
        "P5",
        (Edit(NODE, "        return lanes >= MAX_LEFT or (", "        return ("),),
        ("bounded",),
        HARD_TIMES,
    ),
    Mutant(
        "ended-sessions-fill-the-memory-of-who-dials",
        "P5",
        (Edit(JOINING, "    if pair is None and transport.node.overrun_by(transport.dest):", "    if False:"),),
        ("bounded",),
        HARD_TIMES,
    ),
)
