"""How many strangers may be in their handshake at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outproc.security.preauth import MAX_RETRY_AFTER, REMEMBERED, Busy, PreauthLimiter, Ticket, address_group


def admitted(limiter: PreauthLimiter, address: str, now: float = 0.0) -> Ticket:
    ticket = limiter.admit(address, now)
    assert isinstance(ticket, Ticket)
    return ticket


def test_eight_of_one_address_and_no_more() -> None:
    limiter = PreauthLimiter()
    tickets = [admitted(limiter, f"192.0.2.1:{port}") for port in range(8)]
    assert isinstance(limiter.admit("192.0.2.1:99", 0.0), Busy)
    admitted(limiter, "192.0.2.2:1")
    limiter.release(tickets[3])
    admitted(limiter, "192.0.2.1:99")
    assert isinstance(limiter.admit("192.0.2.1:100", 0.0), Busy)


def test_a_hundred_and_twenty_eight_in_all() -> None:
    limiter = PreauthLimiter()
    tickets = [admitted(limiter, f"192.0.2.{n}") for n in range(128)]
    assert len(limiter) == 128
    assert isinstance(limiter.admit("198.51.100.1", 0.0), Busy)
    limiter.release(tickets[0])
    limiter.release(tickets[0])
    admitted(limiter, "198.51.100.1")
    assert isinstance(limiter.admit("198.51.100.2", 0.0), Busy)
    assert repr(limiter) == "<128 handshakes under way from 128 addresses>"


def test_a_ticket_that_is_never_given_back_expires_with_the_deadline() -> None:
    limiter = PreauthLimiter(limit=1, deadline=5.0)
    old = admitted(limiter, "192.0.2.1", 10.0)
    assert isinstance(limiter.admit("192.0.2.2", 14.5), Busy)
    fresh = admitted(limiter, "192.0.2.2", 15.0)
    limiter.release(old)
    assert len(limiter) == 1
    limiter.release(fresh)
    assert len(limiter) == 0


def test_no_limit_must_be_asked_for() -> None:
    limiter = PreauthLimiter(limit=None, per_address=None)
    for _ in range(1000):
        admitted(limiter, "192.0.2.1")
    for limits in ({"limit": 0}, {"per_address": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            PreauthLimiter(**limits)


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8:1:2:3::4]:80", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("/run/litz.sock", ""),
        ("", ""),
        ("[", ""),
        ("host:80", ""),
    ],
)
def test_what_counts_as_one_address(address: str, group: str) -> None:
    assert address_group(address) == group


def test_what_has_no_address_counts_in_all_only() -> None:
    limiter = PreauthLimiter(limit=20, per_address=2)
    for _ in range(20):
        admitted(limiter, "/run/litz.sock")
    assert isinstance(limiter.admit("/run/litz.sock", 0.0), Busy)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 2))))
def test_the_limits_hold_and_nothing_is_left(moves: list[tuple[int, bool, float]]) -> None:
    limiter = PreauthLimiter(limit=5, per_address=2, deadline=3.0)
    held: list[Ticket] = []
    now = 0.0
    for address, release, wait in moves:
        now += wait
        if release and held:
            limiter.release(held.pop(address % len(held)))
            continue
        answer = limiter.admit(f"10.0.0.{address}", now)
        held = [ticket for ticket in held if ticket.until > now]
        if isinstance(answer, Ticket):
            held.append(answer)
        else:
            assert 0 < answer.retry_after <= MAX_RETRY_AFTER
        assert len(limiter) == len(held) <= 5
        assert sum(ticket.group == f"10.0.0.{address}" for ticket in held) <= 2
    for ticket in held:
        limiter.release(ticket)
    assert len(limiter) == 0
    assert limiter._groups == {}


def under_way(limiter: PreauthLimiter, address: str, now: float) -> list[Ticket]:
    """As many of that address as are admitted."""
    tickets = []
    while isinstance(answer := limiter.admit(address, now), Ticket):
        tickets.append(answer)
    return tickets


def test_an_address_whose_peers_prove_their_ids_gets_more_places_up_to_all() -> None:
    """Many honest peers share an address: two thousand behind one translator are in after a few round trips."""
    limiter = PreauthLimiter(limit=128, per_address=8)
    now, rounds, left = 0.0, 0, 2_000
    while left > 0:
        tickets = under_way(limiter, "192.0.2.1", now)
        now += 0.1
        for ticket in tickets:
            limiter.release(ticket, now, proved=True)
        left -= len(tickets)
        rounds += 1
    assert rounds <= 20
    assert len(under_way(limiter, "192.0.2.1", now)) == 128
    assert len(under_way(limiter, "192.0.2.1", now + REMEMBERED + 10)) == 8, "not for ever"


def test_whoever_proves_nothing_keeps_to_the_few_and_halves_what_was_earned() -> None:
    limiter = PreauthLimiter()
    for ticket in under_way(limiter, "192.0.2.1", 0.0):
        limiter.release(ticket, 0.1, proved=True)
    failing = under_way(limiter, "192.0.2.1", 0.2)
    assert len(failing) == 16
    for ticket in failing[:2]:
        limiter.release(ticket, 0.3, proved=False)
    for ticket in failing[2:]:
        limiter.release(ticket)
    assert len(under_way(limiter, "192.0.2.1", 0.4)) == 10
    other = PreauthLimiter()
    for ticket in under_way(other, "192.0.2.9", 0.0):
        other.release(ticket, 1.0, proved=False)
    assert len(under_way(other, "192.0.2.9", 1.0)) == 8


def test_who_is_refused_together_does_not_come_back_together() -> None:
    limiter = PreauthLimiter()
    under_way(limiter, "192.0.2.1", 0.0)
    waits = [limiter.retry_after("192.0.2.1", 0.0, ahead=100) for _ in range(1_000)]
    assert waits == sorted(waits)
    assert len(set(waits)) > 900
    assert 0.5 <= waits[0] < 1.0, "behind those who wait, as fast as they are served"
    assert max(waits) <= MAX_RETRY_AFTER
    assert limiter.retry_after("192.0.2.2", 0.0) < 0.1, "others do not pay for it"


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    limiter = PreauthLimiter(limit=None)
    for number in range(5_000):
        ticket = limiter.admit(f"10.{number >> 8}.{number & 255}.1", 0.0)
        assert isinstance(ticket, Ticket)
        limiter.release(ticket, 0.0, proved=True)
    assert len(limiter._known) <= 1_024
