"""Run seeds: each raises InvariantError with the seed in it, or returns what it hit."""

from __future__ import annotations

from collections.abc import Callable

from outproc.session.internal_lanes import INTERNAL_LIMITS
from tests.simulation.core.checker import InvariantError
from tests.simulation.core.healing import heal
from tests.simulation.core.streams import RANGE
from tests.simulation.core.world import World
from tests.simulation.seeds import SeedFailedError, SeedResult

PACKAGE = "tests.simulation.core"


def run_stream_seed(seed: int) -> SeedResult:
    """One walk with streams."""
    return run_seed(RANGE[seed])


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One walk, with faults, then without."""
    world = World(seed, trace)
    usual = dict(INTERNAL_LIMITS)
    # What the protocol gives the internal lanes is never used up in a walk.
    INTERNAL_LIMITS.update(dict.fromkeys(usual, world.plan.limits))
    try:
        for _ in range(world.plan.steps):
            world.step()
        world.log("heal")
        heal(world)
        if world.streams is not None:
            world.streams.checker.nothing_left([peer.session for peer in world.peers()])
    except InvariantError as error:
        raise SeedFailedError(PACKAGE, seed, error.name, error.detail) from error
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        raise SeedFailedError(PACKAGE, seed, "impossible-state", detail) from error
    finally:
        INTERNAL_LIMITS.update(usual)
    return SeedResult(seed, world.digest, world.hits, world.heals, world.wiretap.overlaps, world.checker.delivered)
