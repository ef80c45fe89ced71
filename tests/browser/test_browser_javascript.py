"""litz.js by itself, under node.js: the vectors, and its session against itself over faulty wires."""

from __future__ import annotations

import pytest

from outproc.node.web.bundle import BUNDLE
from tests.browser.node_js import run_javascript_tests


def test_frames_and_handshake_agree_with_the_vectors() -> None:
    run_javascript_tests(["frames.test.mjs", "halves.test.mjs", "handshake.test.mjs"], 600)


@pytest.mark.limit(900)
def test_simulation_of_the_served_file() -> None:
    # What is served, not its sources: so the bundler is tested with it.
    run_javascript_tests(["simulation.test.mjs"], 850, SEEDS="0-39", LITZ_JS=BUNDLE.as_uri())
