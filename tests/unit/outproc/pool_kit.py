"""What the tests of the pool share: four endpoints, wires that only identity tells apart, no jitter."""

from __future__ import annotations

from random import Random

from litz.wire import Endpoint
from outproc.pool import Pool
from outproc.retry.backoff import Backoff
from outproc.slots import Cooling, Slot

A, B, C = (Endpoint("websocket", f"ws://{name}") for name in "abc")
M = Endpoint("memory", "memory:m")


class Always(Random):
    """No jitter: every delay is its ceiling."""

    def random(self) -> float:
        return 1.0


class Wire:
    """Equal to every other, so that only identity can tell them apart."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def pool_of(*endpoints: Endpoint, now: float = 100.0) -> Pool[Wire]:
    pool: Pool[Wire] = Pool(Always(), backoff=Backoff(base=1.0, cap=8.0))
    pool.set_endpoints(endpoints, now)
    return pool


def ready(pool: Pool[Wire], *endpoints: Endpoint, now: float = 100.0) -> list[Wire]:
    """Bring a wire up to each endpoint."""
    wires = []
    for endpoint in endpoints:
        assert endpoint in pool.begin(now)
        wires.append(Wire())
        assert pool.built(endpoint, wires[-1], now)
    return wires


def slot(pool: Pool[Wire], endpoint: Endpoint) -> Slot[Wire]:
    return next(each for each in pool.slots if each.endpoint == endpoint)


def cooling(pool: Pool[Wire], endpoint: Endpoint) -> tuple[float, int]:
    state = slot(pool, endpoint).state
    assert isinstance(state, Cooling)
    return state.until, state.failures
