"""The nemesis: named faults on a simulated network, each counted when it really hit something."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from litz.testing.sim_loop import SimLoop
from litz.testing.sim_network import DIAL_FAULTS, DialFault, SimNetwork
from litz.testing.sim_wire import Side, SimConnection

SIDES: Final[tuple[Side, ...]] = ("dialler", "acceptor")


class Nemesis:
    """Applies faults by name, chosen by its own seed.

    hits    the counter of the network: how often each fault was applied (`"reset"`), and how often things
            happened because of one (`"frame lost in flight"`, `"dial: refuse"`)
    FAULTS  all names. A fault that finds nothing to hit returns False and is not counted

    Faults that last (`stall`, `partition`, `freeze`, `slow link`, `delay`, `dial: hang`) end by `heal_all`,
    or by themselves after a random time of at most `longest` seconds; a link then is as `default_link` of the
    network says. Wires it has killed stay dead.
    """

    def __init__(self, network: SimNetwork, *, seed: int | str = 0, longest: float = 3.0) -> None:
        self.network = network
        self.hits: Counter[str] = network.hits
        self.longest = longest
        self._rng = random.Random(f"nemesis {seed}")
        self._undo: dict[asyncio.TimerHandle, Callable[[], None]] = {}
        self._faults: dict[str, Callable[[], bool]] = {
            "reset": self._reset,
            "reset one side": self._reset_one_side,
            "half open": self._half_open,
            "one-way loss": self._one_way_loss,
            "remote close": self._remote_close,
            "stall": self._stall,
            "delay": self._delay,
            "slow link": self._slow_link,
            "lossy link": self._lossy_link,
            "partition": self._partition,
            "one-way partition": self._one_way_partition,
            "freeze": self._freeze,
            "lag": self._lag,
            "suspend": self._suspend,
        } | {f"dial: {mode}": self._dial_fault(mode) for mode in DIAL_FAULTS}
        self.FAULTS: tuple[str, ...] = tuple(self._faults)

    def add(self, name: str, action: Callable[[], bool]) -> None:
        """Add a fault of the scenario's own (a restart, a takeover). `action` says whether it hit something."""
        if name in self._faults:
            raise ValueError(f"there is a fault {name!r} already")
        self._faults[name] = action
        self.FAULTS = tuple(self._faults)

    def apply(self, name: str) -> bool:
        """Apply the fault now. False: there was nothing it could hit."""
        hit = self._faults[name]()
        if hit and not name.startswith("dial: "):  # those are counted when a dial has them
            self.hits[name] += 1
            self.network.note("fault", name)
        return hit

    def apply_random(self, weights: Mapping[str, float] | Iterable[str] | None = None) -> str | None:
        """Apply one fault of `weights` (names, or names with weights; default: all alike). Returns its name,
        or None if it had nothing to hit."""
        names = list(self.FAULTS if weights is None else weights)
        chances = [weights[name] for name in names] if isinstance(weights, Mapping) else None
        name = self._rng.choices(names, chances)[0]
        return name if self.apply(name) else None

    async def run(
        self,
        seconds: float,
        *,
        every: float = 0.5,
        weights: Mapping[str, float] | Iterable[str] | None = None,
    ) -> None:
        """Apply faults at random times, on average one in `every` seconds, then heal all."""
        loop = self.network.loop
        end = loop.time() + seconds
        chosen = weights if weights is None or isinstance(weights, Mapping) else list(weights)
        try:
            while True:
                pause = self._rng.expovariate(1 / every)
                if loop.time() + pause >= end:
                    break
                await asyncio.sleep(pause)
                self.apply_random(chosen)
            await asyncio.sleep(max(0.0, end - loop.time()))
        finally:
            self.heal_all()

    def heal_all(self) -> None:
        """End all faults that last, and drop dial faults that no dial has had yet."""
        undo, self._undo = self._undo, {}
        for timer, action in undo.items():
            timer.cancel()
            action()
        self.network.dial_faults.clear()
        self.network.heal()

    # -- choosing ------------------------------------------------------------------------------------

    def _connection(self) -> SimConnection | None:
        """One that both ends still believe in."""
        alive = [c for c in self.network.connections if not (c.dialler.dead or c.acceptor.dead)]
        return self._rng.choice(alive) if alive else None

    def _on_connection(self, action: Callable[[SimConnection], None]) -> bool:
        connection = self._connection()
        if connection is not None:
            action(connection)
        return connection is not None

    def _side(self) -> Side:
        return self._rng.choice(SIDES)

    def _later(self, action: Callable[[], None]) -> None:
        """Do `action` after a random time, or when all is healed."""

        def due() -> None:
            del self._undo[timer]
            action()

        timer = self.network.loop.call_later(self._rng.random() * self.longest, due)
        self._undo[timer] = action

    # -- the faults ----------------------------------------------------------------------------------

    def _reset(self) -> bool:
        return self._on_connection(lambda connection: connection.reset())

    def _reset_one_side(self) -> bool:
        return self._on_connection(lambda connection: connection.reset(learn=self._side()))

    def _half_open(self) -> bool:
        return self._on_connection(lambda connection: connection.half_open())

    def _one_way_loss(self) -> bool:
        return self._on_connection(lambda connection: connection.one_way_loss(self._side()))

    def _remote_close(self) -> bool:
        return self._on_connection(lambda connection: connection.shut())

    def _stall(self) -> bool:
        def stall(connection: SimConnection) -> None:
            connection.stall(self._rng.choice((None, *SIDES)))
            self._later(connection.resume)

        return self._on_connection(stall)

    def _delay(self) -> bool:
        def delay(connection: SimConnection) -> None:
            connection.delay(self._rng.random() * 0.3, self._rng.choice((None, *SIDES)))
            self._later(lambda: connection.delay(0.0))

        return self._on_connection(delay)

    def _slow_link(self) -> bool:
        links = self.network.links()
        if not links:
            return False
        link = self._rng.choice(links)
        usual = self.network.default_link
        link.latency, link.jitter = self._rng.random() * 0.2, self._rng.random() * 0.1
        link.bandwidth = self._rng.choice((None, 20_000.0, 1_000_000.0))

        def restore() -> None:
            link.latency, link.jitter, link.bandwidth = usual.latency, usual.jitter, usual.bandwidth

        self._later(restore)
        return True

    def _lossy_link(self) -> bool:
        """Hits wires of lossy and unordered kinds only."""
        lossy = [c for c in self.network.connections if not (c.dialler.reliable or c.dialler.dead or c.acceptor.dead)]
        if not lossy:
            return False
        connection = self._rng.choice(lossy)
        names = [connection.source.name, connection.target.name]
        self._rng.shuffle(names)
        link = self.network.link(*names)
        usual = self.network.default_link
        link.drop, link.duplicate, link.reorder = (self._rng.random() * 0.4 for _ in range(3))

        def restore() -> None:
            link.drop, link.duplicate, link.reorder = usual.drop, usual.duplicate, usual.reorder

        self._later(restore)
        return True

    def _split_hosts(self, *, one_way: bool) -> bool:
        names = [host.name for host in self.network.hosts]
        if len(names) < 2:
            return False
        self._rng.shuffle(names)
        cut = self._rng.randint(1, len(names) - 1)
        self.network.partition(names[:cut], names[cut:], one_way=one_way)
        self._later(self.network.heal)
        return True

    def _partition(self) -> bool:
        return self._split_hosts(one_way=False)

    def _one_way_partition(self) -> bool:
        return self._split_hosts(one_way=True)

    def _freeze(self) -> bool:
        hosts = [host for host in self.network.hosts if not host.frozen]
        if not hosts:
            return False
        host = self._rng.choice(hosts)
        host.freeze()
        self._later(host.thaw)
        return True

    def _lag(self) -> bool:
        """The whole process stands still; timers then run late."""
        loop = self.network.loop
        if not isinstance(loop, SimLoop):
            return False
        loop.stall(self._rng.random() * self.longest)
        return True

    def _suspend(self) -> bool:
        """The machine sleeps: its boot and wall clocks are ahead afterwards."""
        loop = self.network.loop
        if not isinstance(loop, SimLoop):
            return False
        loop.suspend(self._rng.random() * 3600)
        return True

    def _dial_fault(self, mode: str) -> Callable[[], bool]:
        def wait_for_dial() -> bool:
            fault = DialFault(mode, delay=self._rng.random() * self.longest)
            self.network.dial_faults.append(fault)
            return True

        return wait_for_dial
