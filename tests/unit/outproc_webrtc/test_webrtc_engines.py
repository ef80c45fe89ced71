"""Which library carries the wires."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from outproc.wires.webrtc.engines import make_engine


def test_each_is_had_by_its_name() -> None:
    assert make_engine("aiortc").name.startswith("aiortc 1.")
    assert make_engine("wrtc").name.startswith("wrtc 0.")


def test_auto_takes_the_fast_one_where_it_is_installed() -> None:
    assert make_engine().name.startswith("wrtc ")


def test_auto_takes_the_one_that_binds_what_it_is_told() -> None:
    assert make_engine(chosen_addresses=True).name.startswith("aiortc ")
    assert make_engine("wrtc", chosen_addresses=True).name.startswith("wrtc ")


def test_auto_does_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wrtc" else found(name))
    assert make_engine().name.startswith("aiortc ")


def test_auto_does_without_one_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "outproc.wires.webrtc.wrtc_engine", None)
    assert make_engine().name.startswith("aiortc ")


def test_who_asks_for_it_by_name_is_told_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "outproc.wires.webrtc.wrtc_engine", None)
    with pytest.raises(ImportError, match=r"pip install 'litz\[fast\]'"):
        make_engine("wrtc")
