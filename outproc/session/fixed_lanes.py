"""The lanes that every session has from its start, and where those of streams begin."""

from __future__ import annotations

from typing import Final

from litz.payload import REPLY_LANE, PayloadType

SIGNAL_LANE = int(PayloadType.RPC_SIGNAL)
LOSSY_LANE = int(PayloadType.STREAM_LATENCY_FIRST)
INTERNAL_SIGNAL = 9
INTERNAL_BULK = 10
INTERNAL_LANES = (INTERNAL_SIGNAL, INTERNAL_BULK)
"""What the parts of a node say to each other (`litz.node_port`). Consumed on arrival, made when they are first used."""
STREAMS: Final = 16
"""The first number of a stream. Where lanes share or change wires it stands for all streams together, as a group."""
PRIORITY_LANES = (SIGNAL_LANE, REPLY_LANE, INTERNAL_SIGNAL)
"""Sent before all others, and exempt from the session's credit (as INTERNAL_BULK is)."""
URGENT_LANES = (*PRIORITY_LANES, LOSSY_LANE)
"""Ride on the second strand of a wire that has one, so that they do not wait behind bulk."""
RPC_LANE = int(PayloadType.RPC_RELIABLE)
"""Requests and whatever else: rides there too, while it carries little."""
BULK_LANES = (int(PayloadType.RPC_RELIABLE), int(PayloadType.STREAM_RELIABLE))
SHARING_LANES = (*BULK_LANES, STREAMS, INTERNAL_BULK, LOSSY_LANE)
"""Share a wire in turn, by frames."""
FIXED_LANES = (SIGNAL_LANE, REPLY_LANE, *BULK_LANES)
"""There from the start of every session."""
