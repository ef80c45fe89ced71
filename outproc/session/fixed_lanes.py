"""The lanes that every session has from its start."""

from __future__ import annotations

from litz.payload import REPLY_LANE, PayloadType

SIGNAL_LANE = int(PayloadType.RPC_SIGNAL)
LOSSY_LANE = int(PayloadType.STREAM_LATENCY_FIRST)
PRIORITY_LANES = (SIGNAL_LANE, REPLY_LANE)
"""Sent before all others, and exempt from the session's credit."""
BULK_LANES = (int(PayloadType.RPC_RELIABLE), int(PayloadType.STREAM_RELIABLE))
SHARING_LANES = (*BULK_LANES, LOSSY_LANE)
"""Share a wire in turn, by frames."""
FIXED_LANES = (*PRIORITY_LANES, *BULK_LANES)
