"""The contract of wires over wrtc, and between the two engines: whoever offers, the other answers.

Covers `outproc.wires.webrtc.wrtc_engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from litz.testing import WIRE_CHECKS
from litz.testing.wire_contract import WireCheck
from litz.wire import Wire
from outproc.wires.webrtc.engine import Engine
from outproc.wires.webrtc.engines import EngineName, make_engine
from tests.unit.outproc_webrtc.webrtc_kit import wire_pair

checks = pytest.mark.parametrize("check", WIRE_CHECKS.values(), ids=list(WIRE_CHECKS))


@pytest.mark.both_loops
@checks
async def test_wrtc_wire(check: WireCheck) -> None:
    await check(lambda: wire_pair(make_engine("wrtc")))


def _mixed(offers: EngineName, answers: EngineName) -> Callable[[], AbstractAsyncContextManager[tuple[Wire, Wire]]]:
    ours: Engine = make_engine(offers)
    theirs: Engine = make_engine(answers)
    return lambda: wire_pair(ours, theirs)


@checks
@pytest.mark.parametrize(("offers", "answers"), [("wrtc", "aiortc"), ("aiortc", "wrtc")])
async def test_engines_understand_each_other(check: WireCheck, offers: EngineName, answers: EngineName) -> None:
    await check(_mixed(offers, answers))
