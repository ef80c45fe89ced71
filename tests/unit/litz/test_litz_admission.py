"""The four policies at their limits: `litz.admission`."""

from __future__ import annotations

import random
from itertools import product

import pytest

from litz.admission import Admission, Amount, Grant, GrantState, Policy, Queue, Reject, SoftAllow, SoftAllowSignal
from litz.errors import AdmissionRefusedError, BackpressureError

ONE = Amount(1, 0)
LIMIT = 4
CEILING = 6


def fill(core: Admission, count: int, weight: Amount = ONE) -> list[Grant]:
    return [core.ask(weight) for _ in range(count)]


def policies(limit: Amount, ceiling: Amount) -> list[Policy]:
    return [Reject(limit), Queue(limit, waiting=ceiling), SoftAllow(limit, ceiling), SoftAllowSignal(limit, ceiling)]


@pytest.mark.parametrize("weight", [Amount(1, 0), Amount(0, 1), Amount(1, 1)])
@pytest.mark.parametrize("kind", range(4))
def test_every_policy_is_exact_at_its_limit(kind: int, weight: Amount) -> None:
    # Of a limit in count and one in bytes, the one that the weight does not touch is out of the way.
    limit = Amount(LIMIT if weight.count else 1000, LIMIT if weight.size else 1000)
    ceiling = Amount(CEILING if weight.count else 1000, CEILING if weight.size else 1000)
    core = Admission(policies(limit, ceiling)[kind], name="orders")
    states = []
    for _ in range(LIMIT + CEILING + 2):
        try:
            states.append(core.ask(weight).state.name.lower())
        except AdmissionRefusedError as error:
            assert isinstance(error, BackpressureError)
            assert (error.limiter, error.policy) == ("orders", type(core.policy).__name__)
            states.append("refused")
    expected = {
        0: ["admitted"] * LIMIT + ["refused"] * (CEILING + 2),
        1: ["admitted"] * LIMIT + ["waiting"] * CEILING + ["refused"] * 2,
        2: ["admitted"] * CEILING + ["refused"] * (LIMIT + 2),
        3: ["admitted"] * CEILING + ["refused"] * (LIMIT + 2),
    }
    assert states == expected[kind]
    assert core.over_limit == (CEILING - LIMIT if kind >= 2 else 0)
    assert core.refused == states.count("refused")


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize(("size", "fits"), [(LIMIT - 1, True), (LIMIT, True), (LIMIT + 1, False)])
def test_one_heavy_piece_at_limit_minus_one_limit_and_limit_plus_one(kind: int, size: int, fits: bool) -> None:
    core = Admission(policies(Amount(10, LIMIT), Amount(10, LIMIT))[kind])
    if fits:
        assert core.ask(Amount(1, size)).state is GrantState.ADMITTED
    else:
        with pytest.raises(AdmissionRefusedError, match="more than it ever admits"):
            core.ask(Amount(1, size))
        assert (core.used, core.queued, core.waiting) == (Amount(0, 0), Amount(0, 0), 0)


def test_the_queue_is_bounded_in_bytes_too_and_a_refusal_names_limit_policy_and_cure() -> None:
    core = Admission(Queue(Amount(1, 10), waiting=Amount(10, 10)), name="inbound of orders")
    fill(core, 1, Amount(1, 10))
    fill(core, 1, Amount(1, 9))
    core.ask(Amount(1, 1))
    with pytest.raises(
        AdmissionRefusedError, match=r"inbound of orders \(Queue\).*10 bytes wait already.*let more wait"
    ):
        core.ask(Amount(1, 1))


def test_high_once_on_the_way_up_and_low_once_on_the_way_down() -> None:
    core = Admission(SoftAllowSignal(Amount(4, 100), Amount(6, 100), low=Amount(2, 100)))
    grants: list[Grant] = []
    seen = []
    for change in (4, 1, -1, -1, -1, 2, 1, -5):  # to 4, 5, 4, 3, 2, 4, 5, 0
        if change > 0:
            grants += fill(core, change)
        for _ in range(-change):
            core.release(grants.pop())
        seen.append(core.high)
    assert seen == [False, True, True, True, False, False, True, False]
    assert core.used == Amount(0, 0)


def test_high_by_bytes_stays_until_both_are_low() -> None:
    core = Admission(SoftAllowSignal(Amount(10, 10), Amount(20, 20)))  # low at 5 and 5
    heavy = core.ask(Amount(1, 11))
    light = fill(core, 6)
    seen = [core.high]
    for grant in (heavy, light.pop()):
        core.release(grant)
        seen.append(core.high)
    assert seen == [True, True, False], "six pieces are above the low mark in count"


def test_a_heavy_one_is_not_starved_by_light_ones() -> None:
    core = Admission(Queue(Amount(4, 100)))
    running = fill(core, 3)
    heavy = core.ask(Amount(4, 4))
    light = core.ask(ONE)
    assert (heavy.state, light.state) == (GrantState.WAITING, GrantState.WAITING), "one light one would fit"
    with pytest.raises(AdmissionRefusedError):
        core.ask(ONE, may_wait=False)
    assert [core.release(grant) for grant in running] == [[], [], [heavy]]
    assert core.release(heavy) == [light]


def test_who_withdraws_lets_those_behind_it_in() -> None:
    core = Admission(Queue(Amount(4, 100)))
    fill(core, 3)
    heavy = core.ask(Amount(2, 0))
    behind = core.ask(ONE)
    assert core.withdraw(heavy) == [behind]
    with pytest.raises(RuntimeError):
        core.withdraw(heavy)
    assert (core.used, core.queued) == (Amount(4, 0), Amount(0, 0))


def test_a_second_release_is_an_error_at_once() -> None:
    core = Admission(Queue(Amount(1)))
    first = core.ask(ONE)
    waits = core.ask(ONE)
    with pytest.raises(RuntimeError):
        core.release(waits)
    core.release(first)
    with pytest.raises(RuntimeError, match="released twice"):
        core.release(first)
    assert core.used == ONE, "the permit of the other was not given away"


def test_policies_that_make_no_sense_are_refused() -> None:
    for make in (
        lambda: Reject(Amount(0, 1)),
        lambda: Queue(Amount(1, 0)),
        lambda: Queue(Amount(1), waiting=Amount(0)),
        lambda: SoftAllow(Amount(2), Amount(1)),
        lambda: SoftAllowSignal(Amount(2), Amount(3, 1)),
        lambda: SoftAllowSignal(Amount(2), Amount(3), low=Amount(3)),
        lambda: Amount(-1),
        lambda: Admission(Reject(Amount(1))).ask(Amount(0, 0)),
    ):
        with pytest.raises(ValueError):
            make()


class Oracle:
    """What the four policies say, in the plainest words there are."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.running: list[int] = []
        self.line: list[int] = []
        self.high = False

    def ask(self, name: int, size: int) -> str:
        top = self.policy.ceiling if isinstance(self.policy, SoftAllow | SoftAllowSignal) else self.policy.limit
        if not self.line and self.fits([*self.running, size], top):
            self.running.append(size)
            self.note()
            return "ADMITTED"
        if (
            isinstance(self.policy, Queue)
            and self.fits([size], top)
            and self.fits([*self.line, size], self.policy.waiting)
        ):
            self.line.append(size)
            return "WAITING"
        return "refused"

    @staticmethod
    def fits(sizes: list[int], limit: Amount) -> bool:
        return len(sizes) <= limit.count and sum(sizes) <= limit.size

    def leave(self, size: int, *, running: bool) -> int:
        (self.running if running else self.line).remove(size)
        let_in = 0
        while self.line and self.fits([*self.running, self.line[0]], self.policy.limit):
            self.running.append(self.line.pop(0))
            let_in += 1
        self.note()
        return let_in

    def note(self) -> None:
        if isinstance(self.policy, SoftAllowSignal):
            if not self.fits(self.running, self.policy.limit):
                self.high = True
            elif self.fits(self.running, self.policy.low_mark):
                self.high = False


@pytest.mark.parametrize("kind", range(4))
def test_every_short_history_agrees_with_the_plain_words(kind: int) -> None:
    """All histories of five steps: ask for 1, 2 or 5 bytes, release the oldest or the newest, withdraw the first."""
    policy = policies(Amount(3, 6), Amount(4, 8))[kind]
    for steps in product((1, 2, 5, "oldest", "newest", "withdraw"), repeat=5):
        follow(policy, steps)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("seed", range(20))
def test_long_histories_agree_with_the_plain_words(kind: int, seed: int) -> None:
    chance = random.Random(f"{kind} {seed}")
    limit = Amount(chance.randrange(1, 9), chance.randrange(1, 30))
    policy = policies(limit, Amount(limit.count + chance.randrange(9), limit.size + chance.randrange(30)))[kind]
    follow(policy, tuple(chance.choice((1, 2, 3, 9, 20, "oldest", "newest", "withdraw")) for _ in range(500)))


def follow(policy: Policy, steps: tuple[object, ...]) -> None:
    core, oracle = Admission(policy), Oracle(policy)
    grants: list[Grant] = []
    for number, step in enumerate(steps):
        running = [grant for grant in grants if grant.state is GrantState.ADMITTED]
        waiting = [grant for grant in grants if grant.state is GrantState.WAITING]
        if isinstance(step, int):
            wanted = oracle.ask(number, step)
            try:
                grants.append(core.ask(Amount(1, step)))
                assert grants[-1].state.name == wanted, (policy, steps[: number + 1])
            except AdmissionRefusedError:
                assert wanted == "refused", (policy, steps[: number + 1])
        elif step == "withdraw" and waiting:
            grants.remove(waiting[0])
            assert len(core.withdraw(waiting[0])) == oracle.leave(waiting[0].weight.size, running=False)
        elif step != "withdraw" and running:
            grant = running[0 if step == "oldest" else -1]
            grants.remove(grant)
            assert len(core.release(grant)) == oracle.leave(grant.weight.size, running=True)
        assert core.used == Amount(len(oracle.running), sum(oracle.running))
        assert core.queued == Amount(len(oracle.line), sum(oracle.line))
        assert core.high is oracle.high, (policy, steps[: number + 1])
