"""What is different about wires that lose or reorder frames."""

from __future__ import annotations

from litz.testing import SimLoop, SimNetwork, run_simulation
from litz.testing.sim_network import WireSpec
from outproc.lossy_wires import PINGS, REMEMBERED, HandshakeFrames, is_dependable, pings_on


def test_a_wire_is_dependable_if_it_keeps_order_and_loses_nothing() -> None:
    async def main(loop: SimLoop) -> None:
        network = SimNetwork(loop)
        for ordered in (True, False):
            for reliable in (True, False):
                spec = WireSpec(ordered=ordered, reliable=reliable)
                wire = network.connect(network.host("a"), network.host("b"), spec).dialler
                assert is_dependable(wire) == (ordered and reliable)
                assert pings_on(wire) == (1 if ordered and reliable else PINGS)

    run_simulation(main, seed=1)


def test_a_frame_of_a_handshake_that_comes_twice_is_known_again() -> None:
    frames = HandshakeFrames()
    said = [b'{"number":%d}' % number for number in range(REMEMBERED)]
    assert all(frames.is_new(each) for each in said)
    assert not any(frames.is_new(each) for each in said)
    assert frames.is_new(b"{}")
    assert frames.is_new(said[0]), "only so many are remembered"
