"""One seed of signaling: a troubled part, then quiet, in which both sides want each other and must meet once.

python -m tests.simulation.signaling.run 17          # replay one seed
python -m tests.simulation.signaling.run 0 500       # a range, and how often everything was hit
"""

from __future__ import annotations

import sys
from collections import Counter
from random import Random

from tests.simulation.signaling.world import InvariantError, World

STEPS = 120
TORMENTED = 0.05
"""The part of the seeds in which a connection then breaks again and again. Chance of its own, so that the others are
what they were before."""
TORMENT = 400.0
"""Seconds of it: longer than an offer is remembered."""
OFTEN = 0.5
"""Seconds after which it is offered anew: who breaks again and again is dialled twice a second."""


def run_seed(seed: int) -> Counter[str]:
    """Run it; what was hit. Raises `InvariantError`."""
    world = World(seed)
    try:
        for _ in range(STEPS):
            _trouble(world)
        _calm(world)
        _both_want(world)
        torment = Random(f"torment {seed}")
        if torment.random() < TORMENTED:
            _calm(world)
            _break_again_and_again(world, torment)
    except (KeyError, RuntimeError) as error:
        # What drivers keep and what the machine keeps do not agree.
        raise InvariantError("impossible-state", f"seed {seed}: {type(error).__name__}: {error}") from error
    return world.hits


def _trouble(world: World) -> None:
    rng = world.rng
    one, other = rng.sample(world.names, 2)
    node = world.nodes[one]
    chance = rng.random()
    if chance < 0.25:
        world.want(one, other)
    elif chance < 0.60:
        world.deliver(one, other)
    elif chance < 0.72:
        for attempt in [each for each in node.answering if rng.random() < 0.7]:
            world.post_answer(one, attempt)
    elif chance < 0.80:
        if world.open(one, other):
            world.hits["opened"] += 1
    elif chance < 0.84:
        if other in node.building:
            world.hits["build given up"] += 1
            world.end_build(one, other, withdraw=rng.random() < 0.5)
    elif chance < 0.88:
        for attempt in list(node.answering)[:1]:
            world.hits["answer given up"] += 1
            world.end_answer(one, attempt)
    elif chance < 0.93:
        world.replay()
    elif chance < 0.96:
        world.restart_session(one, other)
    elif chance < 0.97:
        world.restart_node(one)
    else:
        world.now += rng.choice((1.0, 60.0, 500.0))


def _calm(world: World) -> None:
    """Everything is delivered, every deadline passes: nothing may be left of the trouble."""
    for _ in range(3):
        for link in sorted(world.links):
            while world.links[link]:
                world.deliver(*link)
        for name in world.names:
            node = world.nodes[name]
            for peer in list(node.building):
                world.end_build(name, peer)
            for attempt in list(node.answering):
                world.end_answer(name, attempt)
    for name in world.names:
        node = world.nodes[name]
        if len(node.attempts):
            raise InvariantError("settles", f"{name} has attempts that nobody owns")
        if node.waiting:
            raise InvariantError("settles", f"{name} waits for {node.waiting} for ever")


def _both_want(world: World) -> None:
    """Both dial at about the same time, messages in any interleaving: one connection, and both builds know."""
    rng = world.rng
    one, other = world.names[0], world.names[1]
    world.connections.clear()
    crossing = rng.random() < 0.7
    world.want(one, other)
    if crossing:
        world.want(other, one)
    links = [(one, other), (other, one)]
    asked = crossing
    for _ in range(60):
        link = rng.choice(links)
        world.deliver(*link)
        if not asked and rng.random() < 0.3:
            asked = True
            world.want(other, one)
        for attempt in list(world.nodes[link[1]].answering):
            world.post_answer(link[1], attempt)
        world.open(*link)
        if world.connections:
            break
    if len(world.connections) != 1:
        raise InvariantError("meets", f"{len(world.connections)} connections of two that want each other")
    if crossing and world.connections[0][:2] != (one, other):
        raise InvariantError("smaller-wins", f"{world.connections[0]} counted, and both had offered")
    if crossing and (world.nodes[one].building or world.nodes[other].building or world.nodes[other].waiting):
        raise InvariantError("both-know", "a build goes on after its connection was made")


def _break_again_and_again(world: World, rng: Random) -> None:
    """One offers, as often as an honest peer does whose connection breaks each time, and nobody else does anything: it
    gets its connection each time."""
    one, other = rng.sample(world.names[:2], 2)
    end = world.now + TORMENT
    while world.now < end:
        world.hits["broke again"] += 1
        connections = len(world.connections)
        world.want(one, other)
        world.deliver(one, other)
        for attempt in list(world.nodes[other].answering):
            world.post_answer(other, attempt)
        world.deliver(other, one)
        world.open(one, other)
        if len(world.connections) == connections:
            raise InvariantError("honest-heard", f"{one} gets no connection after {world.hits['broke again']} offers")
        world.now += OFTEN


def main() -> None:
    first = int(sys.argv[1])
    hits: Counter[str] = Counter()
    for seed in range(first, int(sys.argv[2]) if len(sys.argv) > 2 else first + 1):
        try:
            hits += run_seed(seed)
        except InvariantError as error:
            print(f"seed {seed}: {error}\nreplay: .venv/bin/python -m tests.simulation.signaling.run {seed}")
            raise
    for name, count in sorted(hits.items()):
        print(f"{count:8} {name}")


if __name__ == "__main__":
    main()
