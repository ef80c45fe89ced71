"""WebRTC wires: data channels, with signaling over the session that already stands.

Imports nothing by itself: a WebRTC library is loaded when the first connection is made.
"""
