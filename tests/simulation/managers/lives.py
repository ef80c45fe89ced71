"""The story of two processes of one id, of which the older answers late. Found by seed 1738; seeds vary its times."""

from __future__ import annotations

import asyncio
import sys
from random import Random

from litz.events import EndReason, Outcome, SessionEnded
from litz.testing.sim_wire import SimConnection
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.stage import Actor, Stage, play
from tests.simulation.seeds import SeedFailedError


def reasons(actor: Actor) -> list[EndReason]:
    return [event.reason for event in actor.events if isinstance(event, SessionEnded)]


async def first_join(stage: Stage, source: str) -> SimConnection:
    """Wait until a JOIN is on its way on a wire that `source` dialled, and return its connection."""
    for _ in range(20_000):
        for connection in stage.network.connections:
            if connection.source.name == source and b'"type":"join"' in connection.in_flight("acceptor"):
                return connection
        await asyncio.sleep(0.001)
    raise AssertionError(f"{source} sends no JOIN")


async def an_older_life_answers_late(stage: Stage, rng: Random) -> None:
    """b's wire to the old a is in its handshake when the new a comes. The old one answers MISMATCH for the session with
    itself; b must not ask it for the session with the new one, nor believe what it says of that."""
    b = await stage.actor("b", reach=["a"])
    old = await stage.actor("a", reach=["b"])
    await b.manager.send("a", b"one", confirm="processed")
    # The old one discards the session while they are cut off; b comes back for it, and the answer is late.
    stage.network.partition(["a"], ["b"])
    stage.cut()
    await old.manager.close_transport("b")
    stage.network.heal()
    late = await first_join(stage, "b")
    late.stall("dialler")
    await asyncio.sleep(0.015 + rng.random() / 20)
    # Meanwhile they pair anew over another wire, and then a new process takes the id.
    await old.manager.send("b", b"from the old one", confirm="processed")
    new = await stage.actor("a", host="ax", reach=["b"], clock=10.0)
    await new.manager.send("b", b"from the new one", confirm="processed")
    (wire,) = [each for each in stage.network.connections if each.source.name == "ax"]
    wire.stall("acceptor")
    await b.manager.send("a", b"to the new one")
    await new.until(lambda: new.got == [b"to the new one"])
    late.resume()
    await asyncio.sleep(0.1 + rng.random() / 2)
    for event in b.events:
        for lost in event.lost if isinstance(event, SessionEnded) and event.session == 2 else ():
            if lost.outcome is Outcome.NEVER_ACCEPTED:
                raise InvariantError("loud", f"{lost.receipt!r} is listed as never accepted, and was delivered")
    assert reasons(b) == [EndReason.UNKNOWN_TO_PEER, EndReason.PEER_RESTARTED]
    wire.resume()
    await b.manager.drain("a")
    await b.manager.send("a", b"more", confirm="processed")
    assert new.got == [b"to the new one", b"more"]


def run_seed(seed: int) -> None:
    """Play it with the times of `seed`. Raises SeedFailedError when an invariant does not hold."""
    try:
        play(lambda stage: an_older_life_answers_late(stage, Random(seed)), seed=seed)
    except InvariantError as error:
        raise SeedFailedError("tests.simulation.managers.lives", seed, error.name, error.detail) from error


if __name__ == "__main__":
    run_seed(int(sys.argv[1]))
