"""Relay wires: two nodes reach each other through a third one, sealed end to end. docs/relay.md specifies it."""

from outproc.wires.relay.builder import RelayWireBuilder

__all__ = ["RelayWireBuilder"]
