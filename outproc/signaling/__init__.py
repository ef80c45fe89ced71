"""Signaling: how two nodes that have a session agree on a WebRTC connection. Knows no WebRTC library."""
