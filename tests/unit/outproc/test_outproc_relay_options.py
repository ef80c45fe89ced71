"""What a hub allows is checked when it is said."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from outproc import OutprocTransportManager
from outproc.relay_options import RelayOptions
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_circuits": 0},
        {"max_circuits_per_peer": 0},
        {"max_circuits_per_pair": 0},
        {"window": 1},
        {"max_buffered": 0},
        {"limit": 1},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        RelayOptions(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_hub_needs_the_builder() -> None:
    with pytest.raises(ValueError, match="RelayWireBuilder"):
        OutprocTransportManager("hub", builders=[MemoryWireBuilder(MemoryNetwork())], relay=RelayOptions())
