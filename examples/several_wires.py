"""Two kinds of wire to one dest. One is aborted: the other carries on, and only the dead one is dialled again."""

import asyncio

from litz import Endpoint, Wire
from litz.events import WireUp
from outproc import OutprocTransportManager
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder
from outproc.wires.websocket.builder import WebSocketWireBuilder


class BreakableBuilder(WebSocketWireBuilder):
    """Remembers its wires, so that this example can break them."""

    def __init__(self) -> None:
        super().__init__()
        self.wires: list[Wire] = []

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:  # type: ignore[override]  # any wire will do
        self.wires.append(wire := await super().build(dest, endpoint))
        return wire


async def wait_for_wires(manager: OutprocTransportManager, count: int) -> None:
    with manager.events() as events:
        async for _, event in events:
            count -= isinstance(event, WireUp)
            if not count:
                return


async def main() -> None:
    network, breakable = MemoryNetwork(), BreakableBuilder()
    bob = OutprocTransportManager("bob", builders=[WebSocketWireBuilder(), MemoryWireBuilder(network)])
    alice = OutprocTransportManager("alice", builders=[breakable, MemoryWireBuilder(network)])
    async with bob, alice:
        await bob.listen("ws://127.0.0.1:0")
        await bob.listen("memory:bob")
        alice.add_endpoints("bob", bob.endpoints)
        await alice.get_or_create_transport("bob")
        await wait_for_wires(alice, 2)
        for number in range(1000):
            await alice.send("bob", b"%d" % number)
            if number == 500:
                breakable.wires[0].abort()
        await alice.drain("bob", timeout=5)
        await wait_for_wires(alice, 2)
        for slot in alice.snapshot().dests[0].slots:
            print(f"{slot.endpoint.partition(':')[0]} wire: dialled {slot.dials} times")
        numbers = []
        async for message in bob.messages():
            numbers.append(int(message.data))
            if len(numbers) == 1000:
                break
        print("1,000 messages, in order, none twice:", numbers == list(range(1000)))


if __name__ == "__main__":
    asyncio.run(main())
