"""How fast and how large litz is, next to bare `websockets` in the same run: `python -m benchmarks`."""
