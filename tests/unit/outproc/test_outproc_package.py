"""What `outproc` exports is loaded when it is first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import outproc
from tests.integration.cli_process import ROOT


def test_every_exported_name_is_there() -> None:
    for name in outproc.__all__:
        assert getattr(outproc, name).__name__ == name
    assert set(outproc.__all__) <= set(dir(outproc))
    with pytest.raises(AttributeError, match="Nothing"):
        _ = outproc.Nothing  # type: ignore[attr-defined]  # it is not there


def test_a_pure_core_does_not_load_the_drivers() -> None:
    code = "import sys, outproc.retry.backoff; sys.exit('outproc.manager' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
