"""What a node that serves as relay hub allows. Checked when it is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class RelayOptions(BaseModel):
    """Given to a manager it makes the node a hub: nodes with a session here reach each other through it.

    allow_relay            called with (sender, dest) for each circuit; None: everybody may reach everybody. Must not
                           block; who is refused hears the same as for a dest that is not there
    max_circuits           circuits at once
    max_circuits_per_peer  circuits at once of one node, dialled and accepted
    max_circuits_per_pair  circuits at once between the same two nodes
    window                 bytes that a circuit may hold here in each direction
    max_buffered           bytes that all circuits together may hold; each is always granted one frame (64 KiB) more
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_relay: Callable[[str, str], bool] | None = None
    max_circuits: Annotated[int, Field(ge=1)] = 4_096
    max_circuits_per_peer: Annotated[int, Field(ge=1)] = 256
    max_circuits_per_pair: Annotated[int, Field(ge=1)] = 8
    window: Annotated[int, Field(ge=128 << 10)] = 1 << 20
    max_buffered: Annotated[int, Field(ge=1 << 20)] = 64 << 20
