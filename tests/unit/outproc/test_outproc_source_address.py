"""The network as any system tells it: by the address that would be sent from. Nothing is sent."""

from __future__ import annotations

import errno
import socket

import pytest

from outproc import source_address
from outproc.network_news import NetworkState, Way, change_between
from outproc.source_address import SourceAddresses, is_ours, source_towards


def test_towards_this_host_packets_come_from_it() -> None:
    assert source_towards(socket.AF_INET, "127.0.0.1") == "127.0.0.1"
    assert not source_towards(socket.AF_INET, "no address")


def test_an_address_is_ours_if_it_can_be_bound() -> None:
    assert is_ours("127.0.0.1")
    assert not is_ours("203.0.113.77")


def test_being_out_of_descriptors_says_nothing_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*arguments: object) -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", none_left)
        with pytest.raises(OSError, match="too many"):
            SourceAddresses().state()


def test_an_address_that_was_sent_from_is_gone_when_it_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = {4: "10.0.0.7", 6: ""}
    ours = {"10.0.0.7"}
    families = {number: family for family, number, _ in source_address.SOMEWHERE}
    monkeypatch.setattr(source_address, "source_towards", lambda number, address: sources[families[number]])
    monkeypatch.setattr(source_address, "is_ours", lambda address: address in ours)
    network = SourceAddresses()
    home = network.state()
    assert home == NetworkState(frozenset({"10.0.0.7/32"}), (Way(4, "from 10.0.0.7"),))
    assert change_between(home, network.state()) is None
    sources[4] = "192.168.5.9"
    ours.add("192.168.5.9")
    both = change_between(home, network.state())
    assert both is not None
    assert (both.gone, both.rerouted) == ((), (4,)), "a second way out: the first may carry on"
    ours.remove("10.0.0.7")
    last = change_between(both.after, network.state())
    assert last is not None
    assert last.gone == ("10.0.0.7",)
    assert network.fileno() is None
    assert network.drain() is False
    network.close()
