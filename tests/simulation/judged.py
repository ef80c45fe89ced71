"""One seed on virtual time, and whatever it ends with named as an invariant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from litz.testing import SimLoop, run_simulation
from litz.testing.sim_loop import SimDeadlockError, SimLeakError, SimLimitError
from tests.simulation.seeds import InvariantError, SeedFailedError


def judged(
    package: str,
    seed: int,
    main: Callable[[SimLoop], Coroutine[Any, Any, None]],
    *,
    starving: str,
    max_time: float,
    max_steps: int = 400_000,
) -> object:
    """Run `main`, for at most `max_time` virtual seconds, and return the run's digest. Raises `SeedFailedError`.
    `starving` is the invariant that a deadlock breaks."""
    try:
        return run_simulation(main, seed=seed, max_time=max_time, max_steps=max_steps).digest
    except InvariantError as error:
        raise SeedFailedError(package, seed, error.name, error.detail) from error
    except SimDeadlockError as error:
        raise SeedFailedError(package, seed, starving, str(error)) from error
    except (SimLeakError, SimLimitError) as error:
        raise SeedFailedError(package, seed, "closed", str(error)) from error
    except Exception as error:
        raise SeedFailedError(package, seed, "typed-errors", f"{type(error).__name__}: {error}") from error


class CountedWorld(Protocol):
    """The world of one seed that counts what it hits."""

    hits: Counter[str]

    async def run(self) -> None:
        """All of it. Raises the package's InvariantError."""


def counted(
    package: str,
    seed: int,
    world: Callable[[int, SimLoop], CountedWorld],
    *,
    max_time: float,
    max_steps: int = 400_000,
) -> Counter[str]:
    """`judged` for a world whose seeds return what they hit; a deadlock breaks its invariant `alive`."""
    hits: Counter[str] = Counter()

    async def main(loop: SimLoop) -> None:
        made = world(seed, loop)
        await made.run()
        hits.update(made.hits)

    judged(package, seed, main, starving="alive", max_time=max_time, max_steps=max_steps)
    return hits
