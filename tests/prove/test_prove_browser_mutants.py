"""Mutants of litz.js: a few characters of its sources made wrong, and the simulation must notice.

The unpatched control is `tests/browser/test_browser_javascript.py`. Not here, because over wires that keep order they
change nothing in the end, or heal with the next JOIN: a late epoch taken (R5), control lost with its wire (R8), an OK
of another half (R2).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.browser.node_js import FOLDER, node_js

pytestmark = pytest.mark.prove

ROOT = Path(__file__).parents[2]
SEEDS = "0-250"


class Mutant(NamedTuple):
    """`old` is in the source exactly once."""

    rule: str
    file: str
    old: str
    new: str


MUTANTS = {
    "resume-from-cursor": Mutant(
        "R7", "send_lane.js", "    this.cursor = this.base;\n    this.offset = this.ackedOffset;\n", ""
    ),
    "same-epoch": Mutant("R5", "session.js", "++this.epoch", "this.epoch || ++this.epoch"),
    "doubles-delivered": Mutant("R6", "receive_lane.js", "bodies = bodies.slice(behind);", "this.number -= behind;"),
    "surplus-kept": Mutant("R6", "receive_lane.js", "bodies[0].subarray(surplus)", "bodies[0]"),
    "no-credit": Mutant(
        "R10", "session.js", "    this.unsentCredits.add(lane);\n    this.unsentAcks.add(lane);\n    if", "    if"
    ),
    "credit-ignored": Mutant("R10", "send_lane.js", "this.chargedMessages >= this.creditMessages ||", ""),
    "charged-again": Mutant("R10", "send_lane.js", "if (this.cursor >= this.highWater) {", "if (true) {"),
    "half-kept": Mutant("R2", "litz.js", "counter: ++this.halves", "counter: (this.halves = 1n)"),
    "unknown-told-as-never": Mutant("P2", "send_lane.js", '? "unknown" :', '? "never accepted" :'),
    "half-open-for-ever": Mutant("health", "link.js", "if (now < dead) return dead;", "return Infinity;"),
    "never-redialled": Mutant("P6", "peer.js", 'stopped ? "stopped" : "cooling"', '"stopped"'),
}


@pytest.mark.limit(600)
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_of_litz_js_are_killed(name: str, tmp_path: Path) -> None:
    mutant = MUTANTS[name]
    web = tmp_path / "outproc/node/web"
    shutil.copytree(ROOT / "outproc/node/web/src", web / "src")
    shutil.copy(ROOT / "outproc/node/web/package.json", web)
    shutil.copytree(FOLDER, tmp_path / "tests/browser/js")
    source = web / "src" / mutant.file
    text = source.read_text("utf-8")
    assert text.count(mutant.old) == 1, "the mutant does not fit the source any more"
    source.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    command = [node_js(), "--test", str(tmp_path / "tests/browser/js/simulation.test.mjs")]
    variables = {name: value for name, value in os.environ.items() if name != "LITZ_JS"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=580, check=False, env={**variables, "SEEDS": SEEDS}
    )
    assert done.returncode != 0, f"{name} ({mutant.rule}) survived the seeds {SEEDS}"
    assert "seed " in done.stdout, done.stdout[-2000:]
