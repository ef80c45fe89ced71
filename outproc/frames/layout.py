"""The numbers of the wire format: types, flags, layouts, sizes. `docs/protocol.md` is the specification."""

from __future__ import annotations

from struct import Struct
from typing import Final

FRAME_MARK: Final = 0x01
ACK_NOW: Final = 0x01

BATCH: Final = 0x10
SKIP: Final = 0x11
FIN: Final = 0x12
LOSSY: Final = 0x13
ACK: Final = 0x20
CREDIT: Final = 0x21
SESSION_CREDIT: Final = 0x22
PING: Final = 0x30
PONG: Final = 0x31
GOODBYE: Final = 0x40
CLOSED: Final = 0x41
LEAVE: Final = 0x42

WIDE: Final = 0x01
CORRELATION: Final = 0x02
KEY: Final = 0x04
ORIGIN: Final = 0x08
"""Of BATCH only."""
COLUMNS: Final = WIDE | CORRELATION | KEY

FRAME_LAYOUT: Final = Struct("<BBHI")
BATCH_LAYOUT: Final = Struct("<BBHIIQII")
SKIP_LAYOUT: Final = Struct("<BBHIIQQ")
FIN_LAYOUT: Final = Struct("<BBHIIQ")
LOSSY_LAYOUT: Final = Struct("<BBHIQ")
ACK_LAYOUT: Final = Struct("<BBHIQIQQ")
CREDIT_LAYOUT: Final = Struct("<BBHIQQ")
NUMBER_LAYOUT: Final = Struct("<BBHIQ")
"""SESSION_CREDIT, PING and PONG."""
GOODBYE_LAYOUT: Final = Struct("<BBHBBH")
PARTIAL: Final = 0x01
"""Of a GOODBYE or CLOSED: not all lanes are named."""
POSITION_LAYOUT: Final = Struct("<IQIQQ")
LEAVE_LAYOUT: Final = Struct("<BBHI")
CORRELATION_LAYOUT: Final = Struct("<BQ")
ORIGIN_LAYOUT: Final = Struct("<QQ")

FRAME_HEADER_SIZE: Final = FRAME_LAYOUT.size
LENGTH_SIZE: Final = 2
WIDE_LENGTH_SIZE: Final = 4
NARROW_LIMIT: Final = 65_535
"""The longest body (bytes) that a narrow length column can express."""
