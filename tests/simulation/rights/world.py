"""Managers on virtual time whose rights change: who may be here is, who may not is not, whatever happened before.

b judges a, c and d. In each step somebody sends, wires break, rights change, or b looks again; in between and at the
end it is checked who is there and who was heard.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

from litz.errors import LitzError
from outproc import OutprocTransportManager, TransportOptions
from outproc.local_node import Environment
from outproc.manager_port import ManagerPort
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder
from tests.simulation.rights.invariants import RightsError
from tests.simulation.rights.shop import PLACES, Shop

PEERS = ("a", "c", "d")
STEPS = 40
TOPIC = "vault"


class Everybody:
    """Each dest listens at its own name."""

    async def look_up(self, dest: str) -> Sequence[str]:
        return [f"memory:{dest}"]


class Vault:
    """A service of b; it notes who speaks to it."""

    def __init__(self) -> None:
        self.heard: Counter[str] = Counter()

    def received(self, sender: str, data: memoryview) -> None:
        self.heard[sender] += 1

    def session_began(self, dest: str) -> None: ...

    def session_ended(self, dest: str) -> None: ...

    def wires_changed(self, dest: str) -> None: ...

    def writable(self, dest: str) -> None: ...


class World:
    def __init__(self, seed: int, hits: Counter[str]) -> None:
        self.rng = Random(f"rights {seed}")
        self.hits = hits
        self.network = MemoryNetwork()
        self.forbidden: set[str] = set()
        self.locked: set[str] = set()
        """Who may not speak to the vault."""
        self.broken = False
        self.late = self.rng.random() < 0.5
        self.answer: object = self.rng.choice((False, False, None, "yes", 0))
        """What `authorize` says of who may not."""
        self.opened: Counter[str] = Counter()
        self.got: Counter[str] = Counter()
        self.vault = Vault()
        self.shop = Shop(seed, hits)
        self.nodes = {name: self._node(name) for name in ("b", *PEERS)}
        self._sending: list[asyncio.Task[None]] = []

    def _node(self, name: str) -> OutprocTransportManager:
        rng = Random(self.rng.random())
        places = PLACES if name == "b" and self.shop.active else 4_096
        return OutprocTransportManager(
            name,
            directory=Everybody(),
            builders=[MemoryWireBuilder(self.network)],
            options=TransportOptions(backoff_cap=0.5, session_kept=10.0, handshake_timeout=2.0, max_streams=places),
            authorize=self._judge if name == "b" else None,  # type: ignore[arg-type]  # it answers wrong things too
            environment=Environment(lambda: 1, rng.randbytes, rng),
        )

    def _judge(self, peer: str, what: str, verb: str) -> object:
        self.hits[f"asked {verb}"] += 1
        if self.broken:
            self.hits["authorize raised"] += 1
            raise OSError("the database is away")
        if verb == "stream":
            no = self.shop.forbids(peer, what)
        else:
            no = peer in self.forbidden if verb in ("open", "resume") else (peer in self.locked and what == TOPIC)
        verdict = self.answer if no else True
        return _later(verdict) if self.late else verdict

    # -- what happens -------------------------------------------------------------------------------

    async def run(self) -> None:
        async with self.nodes["b"] as b, self.nodes["a"], self.nodes["c"], self.nodes["d"]:
            await b.listen("memory:b")
            self._port("b").subscribe(TOPIC, self.vault)
            self.shop.begin(b)
            reading = asyncio.create_task(self._read())
            for _ in range(STEPS):
                await self._step()
                self.shop.step(self.nodes, PEERS)
                self.shop.check()
            await self._calm()
            await self.shop.close()
            self.shop.check()
            for task in (*self._sending, reading):
                task.cancel()
            await asyncio.gather(*self._sending, reading, return_exceptions=True)

    async def _step(self) -> None:
        rng, peer = self.rng, self.rng.choice(PEERS)
        chance = rng.random()
        if chance < 0.35:
            self._sending.append(asyncio.create_task(self._send(peer)))
        elif chance < 0.5:
            self._port(peer).post("b", TOPIC, b"open")
        elif chance < 0.65:
            (self.forbidden.discard if peer in self.forbidden else self.forbidden.add)(peer)
        elif chance < 0.75:
            (self.locked.discard if peer in self.locked else self.locked.add)(peer)
        elif chance < 0.8:
            self.broken = not self.broken
        elif chance < 0.9:
            self._cut(peer)
        else:
            await self._look_again()
        await asyncio.sleep(rng.choice((0.0, 0.01, 0.3)))

    async def _send(self, peer: str) -> None:
        try:
            await self.nodes[peer].send("b", b"x", confirm="received", timeout=5.0)
        except (LitzError, TimeoutError):
            self.hits["send failed"] += 1

    async def _read(self) -> None:
        async for message in self.nodes["b"].messages():
            self.got[message.sender] += 1

    def _port(self, name: str) -> ManagerPort:
        running = self.nodes[name]._running()
        return ManagerPort(running.node, running.dests, running.reception.accept, "memory", {})

    def _cut(self, peer: str) -> None:
        for link in list(self.nodes[peer]._running().node.links):
            link.wire.abort()
            self.hits["cut"] += 1

    async def _look_again(self) -> None:
        """After it nobody is here who may not be."""
        b = self.nodes["b"]
        before = {peer for peer in PEERS if b.is_connected(peer)}
        if self.broken:
            await b.reauthorize()
            return
        dropped = await b.reauthorize()
        self.hits["dropped"] += len(dropped)
        for peer in PEERS:
            if peer in self.forbidden and (b.is_connected(peer) or (peer in before and peer in b.list_dests())):
                raise RightsError("forbidden-out", f"{peer} may not be here, and b has looked again")
            # Who lost a stream is among them, and was not dropped.
            if peer in before - self.forbidden and peer in dropped and not self.shop.active:
                raise RightsError("allowed-in", f"{peer} may be here, and was dropped")
        self.shop.looked_again()

    # -- what must be so ----------------------------------------------------------------------------

    async def _calm(self) -> None:
        """Rights stand still. Whoever may not be here is not heard, whoever may is."""
        self.broken = False
        await self._look_again()
        await asyncio.sleep(6.0)  # what was on its way has come, sends have ended
        heard, spoken = Counter(self.got), Counter(self.vault.heard)
        for peer in PEERS:
            await self._send(peer)
            self._port(peer).post("b", TOPIC, b"open")
            await asyncio.sleep(0.5)
            if peer in self.forbidden:
                self._check("forbidden-out", peer, self.got[peer] == heard[peer], "was heard and may not be here")
                self._check("service", peer, self.vault.heard[peer] == spoken[peer], "got to the vault")
                continue
            if self.got[peer] == heard[peer]:
                await asyncio.sleep(60.0)  # it had been refused: it asks again but seldom
                await self._send(peer)
                self._port(peer).post("b", TOPIC, b"open")
                await asyncio.sleep(1.0)
            self._check("allowed-in", peer, self.got[peer] > heard[peer], "may be here and was not heard")
            if peer in self.locked:
                self._check("service", peer, self.vault.heard[peer] == spoken[peer], "got to the vault, and may not")
            else:
                self._check("service", peer, self.vault.heard[peer] > spoken[peer], "may go to the vault, and did not")

    def _check(self, invariant: str, peer: str, good: bool, what: str) -> None:
        self.hits[f"checked {invariant}, {'forbidden' if peer in self.forbidden else 'allowed'}"] += 1
        if not good:
            raise RightsError(invariant, f"{peer} {what}")


async def _later(verdict: object) -> object:
    await asyncio.sleep(0.001)
    return verdict
