"""A limiter that is high narrows the credit of peers (`outproc.local_node`), and gives it back when it is low."""

from __future__ import annotations

import asyncio

from litz import Message, PayloadType
from litz.admission import Amount, SoftAllowSignal
from litz.limiter import Limiter
from litz.order import PerKey
from outproc import OutprocTransportManager
from tests.unit.outproc.town import Town, virtual

WINDOW = 8
TOTAL = 30


def waiting(bob: OutprocTransportManager) -> int:
    """How many messages came and are not processed."""
    (dest,) = bob.snapshot().dests
    return next(lane.inbox for lane in dest.lanes if lane.lane == PayloadType.RPC_RELIABLE)


def test_while_it_is_high_no_credit_is_given_back_and_when_it_is_low_all_goes_on() -> None:
    async def scenario() -> None:
        town = Town()
        gates = [asyncio.Event() for _ in range(TOTAL)]
        done: list[int] = []
        seen: list[tuple[bool, int]] = []

        async def handler(message: Message) -> None:
            await gates[message.number].wait()
            done.append(message.number)

        limiter = Limiter(SoftAllowSignal(Amount(2), Amount(100), low=Amount(0, 0)))
        async with town.manager("bob", window_messages=WINDOW) as bob, town.manager("alice") as alice:
            await bob.listen("memory:bob")
            order = PerKey(lambda message: message.number)
            serving = asyncio.ensure_future(bob.serve(handler, order=order, concurrency=4, admission=limiter))
            for _ in range(TOTAL):
                await alice.send("bob", b"x")
            await asyncio.sleep(1)
            seen.append((limiter.high, waiting(bob)))
            for number in range(4):
                gates[number].set()
            await asyncio.sleep(1)
            seen.append((limiter.high, waiting(bob)))
            assert done == [0, 1, 2, 3]
            for gate in gates:
                gate.set()
            await asyncio.sleep(5)
            seen.append((limiter.high, waiting(bob)))
            assert sorted(done) == list(range(TOTAL))
            serving.cancel()
            await asyncio.wait([serving])
        assert seen == [(True, WINDOW), (True, WINDOW - 4), (False, 0)]

    virtual(scenario)
