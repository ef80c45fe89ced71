"""The WebSocket wire: `ws://`, `wss://` and Unix sockets."""

from outproc.wires.websocket.builder import WebSocketWireBuilder

__all__ = ["WebSocketWireBuilder"]
