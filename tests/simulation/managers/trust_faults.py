"""Faults of those who must not be trusted: a stranger with a known name, and a network that changes frames."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from litz.errors import LitzError
from litz.testing import SimHost
from litz.testing.sim_wire import Side, SimConnection
from outproc.local_node import Environment
from outproc.manager import OutprocTransportManager
from tests.simulation.managers.plan import TRUST_FAULTS
from tests.simulation.managers.record import InvariantError

if TYPE_CHECKING:
    from tests.simulation.managers.world import World

DEAD_WITHIN = 1.1
"""Seconds after which a sealed wire is dead that got a frame which does not open."""


@dataclass(slots=True, eq=False)
class Spoiled:
    """A frame on its way that must cost its wire."""

    connection: SimConnection
    toward: Side
    frame: bytes
    copies: int
    """How many frames like it may come before the wire is lost."""
    arrived_at: float | None = None


class TrustFaults:
    """Adds them to the nemesis, and watches what becomes of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        self._spoiled: list[Spoiled] = []
        actions = {"impostor": self._impostor, "frame changed": self._change, "frame doubled": self._double}
        assert set(actions) == set(TRUST_FAULTS)
        for name, action in actions.items():
            world.nemesis.add(name, action)

    # -- somebody else ------------------------------------------------------------------------------

    def _impostor(self) -> bool:
        alive = [life for life in self.world.lives if life.alive]
        if not alive:
            return False
        victim = self.rng.choice(alive)
        name = self.rng.choice([name for name in self.world.plan.names if name != victim.name])
        self.world.later(self._pretend(name, victim.name, victim.host.name))
        return True

    async def _pretend(self, name: str, victim: str, where: str) -> None:
        """A newer process that calls itself `name`, without the key of `name`, dials and sends."""
        world = self.world
        rng = Random(f"impostor {world.seed} {self.rng.random()}")
        host = SimHost(world.network, f"impostor of {name}")  # not one of the network's: nothing else happens to it
        started = world.network.host(name).wall_time() + 1_000
        plan = world.plan
        builders = [host.builder(kind, secure=kind in plan.proofs.secure_kinds) for kind in plan.kinds]
        impostor = OutprocTransportManager(
            name,
            directory={victim: [f"{kind}://{where}:1" for kind in plan.kinds]},
            authenticator=plan.proofs.forged(name, rng),
            builders=builders,
            options=plan.options[victim].model_copy(update={"seal": "auto"}),
            environment=Environment(lambda: int(started * 1e9), rng.randbytes, rng),
        )
        async with impostor:
            try:
                await impostor.send(victim, b"\xff" * 20, confirm="received", timeout=1.0)
            except (LitzError, TimeoutError) as error:
                world.log("an impostor of", name, "at", victim, "got", error)
            else:
                raise InvariantError("proved", f"{victim} took a message of an impostor of {name}")

    # -- the network --------------------------------------------------------------------------------

    def _sealed_in_flight(self) -> tuple[SimConnection, Side] | None:
        sealed = self.world.plan.proofs.sealed_kinds
        choices: list[tuple[SimConnection, Side]] = [
            (connection, side)
            for connection in self.world.network.connections
            for side in ("dialler", "acceptor")
            if connection.kind in sealed
            and not (connection.dialler.dead or connection.acceptor.dead)
            and _is_sealed(connection.in_flight(side))
        ]
        return self.rng.choice(choices) if choices else None

    def _change(self) -> bool:
        found = self._sealed_in_flight()
        if found is None:
            return False
        connection, side = found
        frame = bytearray(connection.in_flight(side))
        frame[self.rng.randrange(len(frame))] ^= 1 << self.rng.randrange(8)
        connection.replace_in_flight([bytes(frame)], side)
        self._spoiled.append(Spoiled(connection, side, bytes(frame), 1))
        return True

    def _double(self) -> bool:
        found = self._sealed_in_flight()
        if found is None:
            return False
        connection, side = found
        frame = connection.in_flight(side)
        connection.replace_in_flight([frame, frame], side)
        self._spoiled.append(Spoiled(connection, side, frame, 2))
        return True

    def arrived(self, connection: int, toward: Side, frame: bytes) -> None:
        """A frame was delivered: was it one of those?"""
        for spoiled in self._spoiled:
            if (spoiled.connection.number, spoiled.toward, spoiled.frame) == (connection, toward, frame):
                spoiled.copies -= 1
                if not spoiled.copies:
                    spoiled.arrived_at = self.world.loop.time()
                    self.world.hits["spoiled frame arrived"] += 1

    def check(self) -> None:
        """Wires that got one are dead by now."""
        now = self.world.loop.time()
        for spoiled in list(self._spoiled):
            connection = spoiled.connection
            wire = connection.acceptor if spoiled.toward == "acceptor" else connection.dialler
            if wire.dead:
                self._spoiled.remove(spoiled)
            elif spoiled.arrived_at is not None and now - spoiled.arrived_at > DEAD_WITHIN:
                if self.world.stalled_since(spoiled.arrived_at):
                    continue
                raise InvariantError("proved", f"{connection!r} lives on after a frame that does not open")


def _is_sealed(frame: bytes) -> bool:
    """HELLO and CHALLENGE are readable, nothing after them is."""
    return bool(frame) and not frame.startswith(b"{")
