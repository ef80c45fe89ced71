"""Run seeds: each raises `SeedFailedError`, or returns what it hit."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from litz.testing import SimLoop, run_simulation
from litz.testing.sim_loop import SimDeadlockError, SimLeakError, SimLimitError
from tests.simulation.managers.record import InvariantError
from tests.simulation.managers.world import World
from tests.simulation.seeds import SeedFailedError

PACKAGE = "tests.simulation.managers"


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
        world = World(loop, seed, trace)
        worlds.append(world)
        await world.run()

    try:
        run = run_simulation(main, seed=seed, max_time=300.0, max_steps=400_000)
    except InvariantError as error:
        raise SeedFailedError(PACKAGE, seed, error.name, error.detail) from error
    except SimDeadlockError as error:
        raise SeedFailedError(PACKAGE, seed, "no-starving", str(error)) from error
    except (SimLeakError, SimLimitError) as error:
        raise SeedFailedError(PACKAGE, seed, "closed", str(error)) from error
    except Exception as error:
        detail = f"{type(error).__name__}: {error}"
        raise SeedFailedError(PACKAGE, seed, "typed-errors", detail) from error
    finally:
        gc.collect(2 if seed % 20 == 0 else 0)  # what lives on in cycles would pile up over a soak
    world = worlds[0]
    return SeedResult(
        seed,
        run.digest,
        world.hits,
        world.heals,
        world.overlaps,
        world.checker.delivered,
    )
