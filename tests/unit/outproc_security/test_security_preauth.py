"""How many strangers may be in their handshake at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outproc.security.preauth import Busy, PreauthLimiter, Ticket, address_group


def admitted(limiter: PreauthLimiter, address: str, now: float = 0.0) -> Ticket:
    ticket = limiter.admit(address, now)
    assert isinstance(ticket, Ticket)
    return ticket


def test_eight_of_one_address_and_no_more() -> None:
    limiter = PreauthLimiter()
    tickets = [admitted(limiter, f"192.0.2.1:{port}") for port in range(8)]
    assert limiter.admit("192.0.2.1:99", 0.0) == Busy(1.0)
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
    assert limiter.admit("192.0.2.2", 14.5) == Busy(0.5)
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
            assert 0 < answer.retry_after <= 1.0
        assert len(limiter) == len(held) <= 5
        assert sum(ticket.group == f"10.0.0.{address}" for ticket in held) <= 2
    for ticket in held:
        limiter.release(ticket)
    assert len(limiter) == 0
    assert limiter._groups == {}
