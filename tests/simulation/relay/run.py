"""Run seeds of the relay simulation: each raises `SeedFailedError`, or returns what it hit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from litz.testing import SimLoop, run_simulation
from litz.testing.sim_loop import SimDeadlockError, SimLeakError, SimLimitError
from tests.simulation.relay.world import FAULTS, InvariantError, World
from tests.simulation.seeds import SeedFailedError

PACKAGE = "tests.simulation.relay"
MUST_HIT = (*FAULTS, "relayed", "sealed", "direct as well", "slow reader", "circuit closed", "window", "two wait")


@dataclass(frozen=True, slots=True)
class SeedResult:
    seed: int
    digest: str
    hits: Counter[str]
    heals: int
    overlaps: int
    delivered: int


def run_seed(seed: int, trace: Callable[[str], None] | None = None) -> SeedResult:
    """One run, with faults, then without, then closed."""
    worlds: list[World] = []

    async def main(loop: SimLoop) -> None:
        worlds.append(World(loop, seed, trace))
        await worlds[0].run()

    try:
        run = run_simulation(main, seed=seed, max_time=600.0, max_steps=400_000)
    except InvariantError as error:
        raise SeedFailedError(PACKAGE, seed, error.name, error.detail) from error
    except SimDeadlockError as error:
        raise SeedFailedError(PACKAGE, seed, "delivered-in-the-end", str(error)) from error
    except (SimLeakError, SimLimitError) as error:
        raise SeedFailedError(PACKAGE, seed, "closed", str(error)) from error
    except Exception as error:
        raise SeedFailedError(PACKAGE, seed, "typed-errors", f"{type(error).__name__}: {error}") from error
    world = worlds[0]
    return SeedResult(seed, run.digest, world.hits, world.heals, 0, world.delivered)
