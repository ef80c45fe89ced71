"""Faults that only the world can do: restarts, takeovers, closing at random moments, moving lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from litz.errors import LitzError
from outproc.session.session import FIXED_LANES
from tests.simulation.managers.plan import WORLD_FAULTS

if TYPE_CHECKING:
    from tests.simulation.managers.life import Life
    from tests.simulation.managers.world import World


class Faults:
    """Adds the faults of the world to its nemesis. Each says whether it hit something."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rng = world.rng
        actions: dict[str, Callable[[], bool]] = {
            "reset all": self._reset_all,
            "rebind": self._rebind,
            "cross dial": self._cross_dial,
            "flap": self._flap,
            "late join": self._late_join,
            "restart higher": lambda: self._restart(lower=False),
            "restart lower": lambda: self._restart(lower=True),
            "move": self._move,
            "takeover": lambda: self._takeover(lower=False),
            "takeover lower": lambda: self._takeover(lower=True),
            "close transport": self._close_transport,
            "close all": self._close_all,
            "close manager": self._close_manager,
            "outage": self._outage,
            "consumer restarts": self._consumer_restarts,
        }
        assert set(actions) == {*WORLD_FAULTS, "move"}
        for name, action in actions.items():
            world.nemesis.add(name, action)

    def _alive(self) -> list[Life]:
        return [life for life in self.world.lives if life.alive]

    def _some_life(self) -> Life | None:
        alive = self._alive()
        return self.rng.choice(alive) if alive else None

    # -- wires --------------------------------------------------------------------------------------

    def _reset_all(self) -> bool:
        connections = list(self.world.network.connections)
        for connection in connections:
            connection.reset(learn=self.rng.choice((None, None, "dialler", "acceptor")))
        return bool(connections)

    def _rebind(self) -> bool:
        choices = [(life, transport) for life in self._alive() for transport in life.transports()]
        if not choices:
            return False
        life, transport = self.rng.choice(choices)
        lanes = self.rng.sample(FIXED_LANES, self.rng.randint(1, len(FIXED_LANES)))
        return sum(self.world.mover.move(life, transport, lane) for lane in lanes) > 0

    def _cross_dial(self) -> bool:
        """Both sides dial at once, whatever is up."""
        pairs = [(one, other) for one in self._alive() for other in self._alive() if one.name != other.name]
        if not pairs:
            return False
        for life, other in (pair := self.rng.choice(pairs)), pair[::-1]:
            life.spawn(self._dial(life, other.name), "cross dial")
        return True

    async def _dial(self, life: Life, dest: str) -> None:
        try:
            await life.manager.get_or_create_transport(dest)
        except LitzError as error:
            self.world.log(life, "cross dial", error)

    def _flap(self) -> bool:
        """For a while each wire is reset as soon as it is there."""

        async def flap() -> None:
            end = self.world.loop.time() + self.rng.random() * 1.5
            while self.world.loop.time() < end and not self.world.healed:
                for connection in list(self.world.network.connections):
                    if connection.alive:
                        connection.reset(within=0.005)
                await asyncio.sleep(0.01 + 2 * self.world.plan.link.latency)

        self.world.later(flap())
        return True

    def _late_join(self) -> bool:
        """What a wire in its handshake carries comes late, after its dialler has begun anew."""
        young = [c for c in self.world.network.connections if c.number in self.world.sniffer.shaking]
        lives = {life.host: life for life in self._alive()}
        if not young or young[-1].source not in lives:
            return False
        connection = young[-1]
        connection.delay(0.2 + self.rng.random() * 0.5, "acceptor")
        life = lives[connection.source]
        life.spawn(self._close(life, connection.target.name.rstrip("xy")), "close transport")
        return True

    def _outage(self) -> bool:
        """Nobody reaches anybody, for longer than a session may be kept."""
        names = [host.name for host in self.world.network.hosts]
        self._reset_all()
        for name in names:
            self.world.network.partition([name], [other for other in names if other != name])
        kept = min(options.session_kept for options in self.world.plan.options.values())
        self.world.later(self._end_outage(kept + 1.0 if kept < 3 else 1.0))
        return len(names) > 1

    async def _end_outage(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not self.world.healed:
            self.world.network.heal()

    # -- lives --------------------------------------------------------------------------------------

    def _restart(self, *, lower: bool) -> bool:
        life = self._some_life()
        if life is None:
            return False
        life.crash(tell_peers=self.rng.choice((True, False, None)))
        clock = life.host.clock_offset - (self.rng.random() * 500 + 10 if lower else 0.0)
        self.world.start_later(life.name, life.host.name, clock, after=self.rng.random() * 0.5)
        return True

    def _move(self) -> bool:
        """A node goes on at another address, which only the directory knows."""
        life = self._some_life()
        if life is None:
            return False
        host = life.name if life.host.name.endswith("y") else life.name + "y"
        found = self.world.network.find_host(host)
        if found is not None and found.listeners:
            return False
        life.crash(tell_peers=self.rng.choice((True, False, None)))
        self.world.start_later(life.name, host, life.host.clock_offset, after=self.rng.random() * 0.3)
        return True

    def _takeover(self, *, lower: bool) -> bool:
        """A second process of the same id, while the first lives."""
        names = [n for n in self.world.plan.names if sum(life.name == n for life in self._alive()) == 1]
        if not names:
            return False
        name = self.rng.choice(names)
        life = next(life for life in self._alive() if life.name == name)
        host = name + "x" if life.host.name == name else name
        if self.world.network.find_host(host) is not None and self.world.network.host(host).listeners:
            return False
        clock = life.host.clock_offset - (self.rng.random() * 500 + 10 if lower else 0.0)
        self.world.start_later(name, host, clock, after=0.0, takeover=True)
        return True

    def _close_transport(self) -> bool:
        life = self._some_life()
        if life is None or not life.manager.dest_count:
            return False
        dest = self.rng.choice(life.manager.list_dests())
        life.spawn(self._close(life, dest), "close transport")
        return True

    async def _close(self, life: Life, dest: str) -> None:
        try:
            await life.manager.close_transport(dest, reason="chance")
        except LitzError as error:
            self.world.log(life, "close_transport", error)

    def _close_all(self) -> bool:
        life = self._some_life()
        if life is None or not life.manager.dest_count:
            return False
        life.spawn(self._close_everything(life), "close all")
        return True

    async def _close_everything(self, life: Life) -> None:
        try:
            await life.manager.close_all(reason="chance")
        except LitzError as error:
            self.world.log(life, "close_all", error)

    def _close_manager(self) -> bool:
        life = self._some_life()
        if life is None:
            return False
        life.ended = True
        self.world.later(life.close())
        self.world.start_later(life.name, life.host.name, life.host.clock_offset, after=self.rng.random() * 0.5)
        return True

    def _consumer_restarts(self) -> bool:
        life = self._some_life()
        if life is None or not life.consumers:
            return False

        async def restart() -> None:
            await life.stop_consumers()
            await asyncio.sleep(self.rng.random() * 0.2)
            if life.alive and not life.consumers:
                life.start_consumers()

        life.spawn(restart(), "restart consumers")
        return True
