"""WebRTC wires opened and closed hundreds of times: descriptors, threads, tasks and memory stay as they are.

Each engine runs in a process of its own, so that nothing but wires is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from outproc.wires.webrtc.engines import EngineName
from tests.prove.percentiles import median
from tests.prove.webrtc_cycles import Held

ROOT = Path(__file__).resolve().parents[2]
CYCLES = int(os.environ.get("LITZ_WEBRTC_CYCLES", "10000"))

SLOPE = 16 * 1024
"""Bytes of resident memory that a cycle may cost, in the middle one of the tenths of 500 cycles (the first is longer,
and any may have a step). Measured: aiortc 1 KiB, wrtc 1 to 4 KiB. A connection that is not freed costs more than
100 KiB."""

SOAK_SLOPE = 2 * 1024
ITS_OWN = 8
"""Descriptors, and threads, that libwebrtc opens and closes now and then for itself. What each cycle leaves would be
hundreds."""


def run(engine: EngineName, cycles: int) -> list[Held]:
    command = [sys.executable, "-m", "tests.prove.webrtc_cycles", engine, str(cycles)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return [Held(**json.loads(line)) for line in done.stdout.splitlines()]


def check(samples: list[Held], slope: int) -> None:
    first, last = samples[0], samples[-1]
    assert max(each.descriptors for each in samples) <= first.descriptors + ITS_OWN, samples
    assert max(each.threads for each in samples) <= first.threads + ITS_OWN, samples
    assert {(each.tasks, each.python_threads) for each in samples} == {(1, 1)}, samples
    per_cycle = median([(two.memory - one.memory) / (two.cycles - one.cycles) for one, two in pairwise(samples)])
    print(
        f"{last.cycles} cycles: {last.descriptors} descriptors, {last.threads} threads, {per_cycle:.0f} bytes a cycle"
    )
    assert per_cycle <= slope, f"memory grew by {per_cycle:.0f} bytes a cycle: {samples}"


@pytest.mark.prove
@pytest.mark.limit(900)
@pytest.mark.parametrize("engine", ["aiortc", "wrtc"])
def test_five_hundred_cycles_leave_nothing(engine: EngineName) -> None:
    check(run(engine, 500), SLOPE)


@pytest.mark.soak
@pytest.mark.limit(7200)
@pytest.mark.parametrize("engine", ["aiortc", "wrtc"])
def test_ten_thousand_cycles_leave_nothing(engine: EngineName) -> None:
    """`LITZ_WEBRTC_CYCLES` says how many."""
    check(run(engine, CYCLES), SOAK_SLOPE)
