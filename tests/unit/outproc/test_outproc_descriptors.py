"""Strangers get a part of the descriptors that the process may have."""

from __future__ import annotations

import resource

import pytest

from outproc.descriptors import for_strangers


@pytest.mark.parametrize(
    ("soft", "wanted", "found"),
    [(1_024, 2_048, 256), (65_536, 2_048, 2_048), (resource.RLIM_INFINITY, 2_048, 2_048), (3, 2_048, 1)],
)
def test_a_quarter_at_most(monkeypatch: pytest.MonkeyPatch, soft: int, wanted: int, found: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, soft))
    assert for_strangers(wanted) == found
