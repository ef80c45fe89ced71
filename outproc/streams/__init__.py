"""Streams between two nodes: the words they say about them, the table of one session, and the driver that carries them
(docs/streams.md, docs/protocol.md)."""
