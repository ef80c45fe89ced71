"""`outproc.pool` under any order of events."""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from litz.errors import InvalidEndpointError
from litz.wire import Endpoint
from outproc.pool import Pool
from outproc.slots import Building, Cooling, Idle, Ready
from tests.unit.outproc.pool_kit import A, B, C, M, Wire


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: one dial per endpoint, live wires untouched, nobody forgotten."""

    dials = Bundle("dials")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.pool: Pool[Wire] = Pool(Random(1))
        self.listed: list[Endpoint] = []
        self.open: list[Endpoint] = []
        self.live: dict[int, Wire] = {}
        self.begun = 0
        self.seen: dict[Endpoint, int] = {}

    @rule(endpoints=st.lists(st.sampled_from([A, B, C, M]), unique=True))
    def relist(self, endpoints: list[Endpoint]) -> None:
        self.listed = endpoints
        self.pool.set_endpoints(endpoints, self.now)

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.1, 1.0, 20.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=dials)
    def begin(self) -> Endpoint | None:
        started = self.pool.begin(self.now)
        assert not set(started) & set(self.open)
        assert set(started) <= set(self.listed)
        self.open += started
        assert self.pool.begin(self.now) == []
        return started[0] if started else None

    @rule(index=st.integers(0, 9), end=st.sampled_from(["built", "failed", "cancelled", "stop"]))
    def settle(self, index: int, end: str) -> None:
        if not self.open:
            return
        endpoint = self.open.pop(index % len(self.open))
        if end == "built":
            wire = Wire()
            taken = self.pool.built(endpoint, wire, self.now)
            assert taken is (endpoint in self.listed)
            if taken:
                self.live[id(wire)] = wire
        elif end == "cancelled":
            self.pool.cancelled(endpoint, self.now)
        else:
            self.pool.failed(endpoint, InvalidEndpointError() if end == "stop" else OSError(), self.now)

    @rule(index=st.integers(0, 9), end=st.sampled_from(["lost", "yielded", "proved"]))
    def wire_news(self, index: int, end: str) -> None:
        if not self.live:
            return
        wire = list(self.live.values())[index % len(self.live)]
        if end == "proved":
            self.pool.proved(wire)
            return
        del self.live[id(wire)]
        if end == "lost":
            self.pool.lost(wire, self.now)
        else:
            self.pool.yielded(wire)

    @rule()
    def winner_lost(self) -> None:
        self.pool.winner_lost(self.now)

    @rule(dial=consumes(dials))
    def interrupt(self, dial: Endpoint | None) -> None:
        self.pool.interrupt(self.now, None if dial is None else dial.kind)

    @rule()
    def woke(self) -> None:
        self.pool.woke(self.now)
        assert not any(isinstance(each.state, Cooling) for each in self.pool.slots)

    @invariant()
    def live_wires_are_the_live_wires(self) -> None:
        assert {id(wire) for wire in self.pool.ready} == set(self.live)

    @invariant()
    def dials_under_way_are_known(self) -> None:
        building = [each.endpoint for each in self.pool.slots if isinstance(each.state, Building)]
        assert sorted(map(str, building)) == sorted(map(str, self.open))

    @invariant()
    def every_listed_endpoint_has_its_slot(self) -> None:
        assert [each.endpoint for each in self.pool.slots if each.listed] == self.listed
        for each in self.pool.slots:
            assert each.listed or isinstance(each.state, Building | Ready)

    @invariant()
    def whoever_can_be_dialled_has_a_time(self) -> None:
        waiting = [each for each in self.pool.slots if isinstance(each.state, Idle | Cooling)]
        assert (self.pool.next_due() is not None) is bool(waiting)
        assert (self.pool.next_due() or 0.0) <= self.now + 6.0


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
