"""Which wires a change of the network concerns, and how many news make one look."""

from __future__ import annotations

from itertools import pairwise

import pytest

from outproc.network_news import LONGEST, MAX_TOLD, QUIET, Calm, NetworkState, Way, address_in, change_between

HOME = NetworkState(frozenset({"10.0.0.7/24", "fe80::7/64"}), (Way(4, "10.0.0.1 on wlan0"),))
CAFE = NetworkState(frozenset({"192.168.5.9/24", "fe80::7/64"}), (Way(4, "192.168.5.1 on wlan0"),))
OTHER_ROUTER = NetworkState(HOME.interfaces, (Way(4, "10.0.0.2 on wlan0"),))
WITH_BRIDGE = NetworkState(HOME.interfaces | {"172.17.0.1/16"}, HOME.ways)
OFFLINE = NetworkState()


def concerned(before: NetworkState, after: NetworkState, local: str, remote: str) -> bool:
    change = change_between(before, after)
    assert change is not None
    return change.concerns(local, remote)


@pytest.mark.parametrize(
    ("before", "after", "local", "remote", "found"),
    [
        (HOME, CAFE, "10.0.0.7:5000", "203.0.113.5:8400", True),  # its address is gone
        (HOME, CAFE, "10.0.0.7:5000", "10.0.0.9:8400", True),  # also towards a neighbour
        (HOME, OTHER_ROUTER, "10.0.0.7:5000", "203.0.113.5:8400", True),  # the way out is another
        (HOME, OTHER_ROUTER, "10.0.0.7:5000", "10.0.0.9:8400", False),  # a neighbour needs no router
        (HOME, OTHER_ROUTER, "[fd00::7]:5000", "[fd00::9]:8400", False),  # the other family
        (HOME, OTHER_ROUTER, "[::ffff:10.0.0.7]:5000", "[::ffff:203.0.113.5]:8400", True),  # the same, wrapped
        (HOME, WITH_BRIDGE, "10.0.0.7:5000", "203.0.113.5:8400", False),  # more than before is no harm
        (HOME, OFFLINE, "127.0.0.1:5000", "127.0.0.1:8400", False),
        (HOME, OFFLINE, "[::1]:5000", "[::1]:8400", False),
        (HOME, OFFLINE, "[fe80::7%2]:5000", "[fe80::9%2]:8400", True),
        (HOME, OFFLINE, "/run/litz.sock", "/run/litz.sock", False),
        (HOME, CAFE, "a", "via hub", False),  # whom the relay's own wire concerns
        (OFFLINE, HOME, "10.0.0.7:5000", "203.0.113.5:8400", True),
    ],
)
def test_which_wires_a_change_concerns(
    before: NetworkState, after: NetworkState, local: str, remote: str, *, found: bool
) -> None:
    assert concerned(before, after, local, remote) is found


def test_what_is_the_same_is_no_change_and_another_mask_is_none_either() -> None:
    assert change_between(HOME, NetworkState(HOME.interfaces, HOME.ways)) is None
    assert change_between(HOME, NetworkState(frozenset({"10.0.0.7/16", "fe80::7/64"}), HOME.ways)) is None


def test_a_change_is_told_in_words() -> None:
    assert str(change_between(HOME, CAFE)) == (
        "10.0.0.7 is gone; 192.168.5.9 is new; the default route of IPv4 is 192.168.5.1 on wlan0"
    )
    assert str(change_between(HOME, OFFLINE)) == "10.0.0.7, fe80::7 are gone; the default route of IPv4 is gone"
    crowd = NetworkState(HOME.interfaces | {f"10.1.{number}.1/24" for number in range(99)}, HOME.ways)
    assert f"and {99 - MAX_TOLD} more are new" in str(change_between(HOME, crowd))


@pytest.mark.parametrize(
    ("end", "found"),
    [
        ("10.0.0.7:1", "10.0.0.7"),
        ("10.0.0.7", "10.0.0.7"),
        ("[fd00::1]:1", "fd00::1"),
        ("fd00::1", "fd00::1"),
        ("[fe80::1%eth0]:1", "fe80::1"),
        ("[::ffff:10.0.0.7]:1", "10.0.0.7"),
        ("host:1", "None"),
        ("", "None"),
        ("[", "None"),
    ],
)
def test_the_address_in_one_end_of_a_path(end: str, found: str) -> None:
    assert str(address_in(end)) == found


def test_one_look_for_news_that_come_together() -> None:
    assert Calm().due is None
    calm = Calm()
    calm.news(10.0)
    calm.news(10.05)
    assert calm.due == 10.05 + QUIET
    calm.looked(10.2)
    assert not calm.due


def test_a_storm_is_looked_at_once_a_second() -> None:
    calm = Calm()
    now = 100.0
    looks: list[float] = []
    while now < 110.0:
        due = calm.due
        if due is not None and due <= now:
            calm.looked(now)
            looks.append(now)
        calm.news(now)
        now += 1 / 256
    assert 9 <= len(looks) <= 10
    assert min(later - sooner for sooner, later in pairwise(looks)) >= LONGEST
