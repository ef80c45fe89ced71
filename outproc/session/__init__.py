"""The session: the relation between two nodes that outlives every wire. Pure: no clock, no I/O, no asyncio.

Rules R1 to R14 are stated in `docs/protocol.md`; each file here names those that it keeps.
"""
