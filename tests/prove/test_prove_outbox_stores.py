"""Files of durable messages whose process is killed at random points of its commits are whole afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT

KILLS = 500


@pytest.mark.prove
@pytest.mark.limit(900)
def test_killed_at_random_points_of_commits_the_files_are_consistent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.prove.store_killer", str(tmp_path), str(KILLS), "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=850, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert f"{KILLS} kills" in done.stdout
