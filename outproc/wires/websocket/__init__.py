"""The WebSocket wire: `ws://`, `wss://` and Unix sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from litz.late_names import late_names

if TYPE_CHECKING:
    from outproc.wires.websocket.builder import WebSocketWireBuilder

__all__ = ["WebSocketWireBuilder"]

if not TYPE_CHECKING:  # type checkers are to notice names that are not there
    __getattr__ = late_names(__name__, {"WebSocketWireBuilder": "outproc.wires.websocket.builder"})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
