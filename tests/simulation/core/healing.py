"""After the last fault: everything accepted must be delivered and acknowledged within bounded virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from outproc.session.send_lane import SendLane
from outproc.session.session import PRIORITY_LANES
from tests.simulation.core.checker import InvariantError
from tests.simulation.core.ends import ALL_LANES
from tests.simulation.core.world import World

HEAL_TURNS = 400
STREAM_TURNS = 4 * HEAL_TURNS
"""Each stream takes words to and fro, in the smallest windows one message in a turn."""


def heal(world: World) -> None:
    """Faults stop: everything accepted is delivered, consumed and acknowledged within bounded time."""
    for wire in list(world.wires):
        if wire.sick:
            world.verdict(wire)
            world.verdict(wire)
    for peer in world.peers():
        if peer.saying_goodbye:
            peer.end_session(None, cause=True)
    # First nobody reads bulk: signals and replies must get through all the same, and streams that somebody reads.
    for lanes in (PRIORITY_LANES, ALL_LANES):
        for turn in range(HEAL_TURNS if world.streams is None else STREAM_TURNS):
            if _quiet(world, lanes):
                break
            if turn % 20 == 0:
                _redial(world)
            _turn(world, lanes)
        else:
            _complain(world, lanes)


def _turn(world: World, lanes: Sequence[int]) -> None:
    for _ in range(3):
        for wire in list(world.wires):
            for index in world.rng.sample(range(len(wire.ways)), len(wire.ways)):
                for _ in range(len(wire.ways[index].queue)):
                    world.deliver(wire, index)
        if world.streams is not None:
            world.streams.heal_turn(slow=lanes is ALL_LANES)
        for peer in world.peers():
            world.consume(peer, 1_000, lanes)
            peer.pump()
    world.wires = [wire for wire in world.wires if any(wire.ends) or not wire.quiet]
    world.op_tick()


def _redial(world: World) -> None:
    for one, two in combinations(world.plan.names, 2):
        peer, far = world.nodes[one].peers[two], world.nodes[two].peers[one]
        if not peer.joined:
            for dialler in world.rng.choice(((peer,), (far,), (peer, far))):
                world.dial(dialler, may_be_lossy=False)


def _quiet(world: World, lanes: Sequence[int]) -> bool:
    if any(not wire.quiet for wire in world.wires):
        return False
    for peer in world.peers():
        lane_queues = peer.consumer.queues
        send_lanes = peer.session.send_lanes
        if not peer.joined or any(lane_queues[n] or not _settled(send_lanes.get(n)) for n in lanes):
            return False
    return world.streams is None or not world.streams.left(slow=lanes is ALL_LANES)


def _complain(world: World, lanes: Sequence[int]) -> None:
    for peer in world.peers():
        where = f"{peer.node.name} towards {peer.id}"
        if not peer.joined:
            raise InvariantError("reconnects", where)
        far = world.checker.other(world.checker.sides[peer.session])
        for number in lanes:
            lane = peer.session.send_lanes.get(number)
            if lane is None or _settled(lane):
                continue
            state = f"{where}, lane {number}: {lane.acked} of {lane.log.next_number}, processed {lane.processed}"
            delivered = far is not None and far.lanes[number].next == lane.log.next_number
            if delivered:
                raise InvariantError("control-survives", state)
            raise InvariantError("signals-overtake" if lanes is PRIORITY_LANES else "delivered-in-the-end", state)
    left = world.streams.left(slow=lanes is ALL_LANES) if world.streams is not None else []
    if left:
        raise InvariantError("stream-complete" if lanes is ALL_LANES else "stream-unblocked", left[0])
    raise InvariantError("delivered-in-the-end", "the wires are never quiet")


def _settled(lane: SendLane | None) -> bool:
    return lane is None or lane.acked.number == lane.log.next_number
