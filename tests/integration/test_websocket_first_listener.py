"""The first listener of a process brings much code. Wires that are up must not feel it: their loop goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import asyncio, json, sys, threading
from litz.wire import Endpoint
from outproc.wires.websocket.builder import WebSocketWireBuilder

loaded_in = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        loaded_in[name] = threading.current_thread() is threading.main_thread()

async def main():
    sys.meta_path.insert(0, Watch())
    builder = WebSocketWireBuilder()
    for _ in range(2):
        listener = await builder.listen(Endpoint("websocket", "ws://127.0.0.1:0"), lambda wire: None)
        await listener.aclose()
    in_loop = [name for name, main in loaded_in.items() if main]
    print(json.dumps({"loaded": len(loaded_in), "aiohttp": "aiohttp" in loaded_in, "in_loop": in_loop}))

assert "aiohttp" not in sys.modules
asyncio.run(main())
"""


def test_what_the_first_listener_needs_is_loaded_beside_the_loop() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=200, check=True
    )
    found = json.loads(done.stdout)
    assert found["aiohttp"] and found["loaded"] > 50
    heavy = [name for name in found["in_loop"] if name.startswith(("aiohttp", "outproc", "websockets"))]
    assert heavy == []
