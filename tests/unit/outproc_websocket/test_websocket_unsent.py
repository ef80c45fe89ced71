"""How much the kernel may hold unsent (`outproc.wires.websocket.unsent`), and where `writelines` may be used."""

from __future__ import annotations

import asyncio

import pytest

from outproc.security.sealing import OVERHEAD
from outproc.session.limits import SessionLimits
from outproc.wires.websocket.tuning import NOTSENT_LOWAT, gathers
from outproc.wires.websocket.unsent import LARGE_LOWAT, Unsent


def allowed(*sizes: int) -> list[int]:
    unsent, found = Unsent(), []
    for size in sizes:
        before = unsent.allowed
        assert unsent.wrote(size) == (unsent.allowed != before)
        found.append(unsent.allowed)
    return found


def test_frames_of_a_path_that_nothing_is_known_of_allow_little_sealed_or_not() -> None:
    frame = SessionLimits().bulk_frame
    assert allowed(frame, frame + OVERHEAD, frame, 1, frame + OVERHEAD) == [NOTSENT_LOWAT] * 5


def test_acks_between_large_frames_change_nothing() -> None:
    assert allowed(1_000_000, *[70, 1_000_000] * 5_000) == [LARGE_LOWAT] * 10_001


@pytest.mark.parametrize("size", [256 << 10, 64 << 10, 20 << 10, 1_000, 70])
def test_small_frames_that_follow_large_ones_allow_little_again(size: int) -> None:
    found = allowed(1_000_000, *[size] * (-(-NOTSENT_LOWAT // size) + 3))
    assert found[-4:] == [NOTSENT_LOWAT] * 4
    assert set(found[:-4]) == {LARGE_LOWAT}
    assert allowed(1_000_000, NOTSENT_LOWAT, size, 1_000_000, 70)[-2:] == [LARGE_LOWAT] * 2


class OfAsyncio(asyncio.Transport):
    """As asyncio's own since 3.12."""

    def writelines(self, list_of_data: object) -> None: ...


OfAsyncio.__module__ = "asyncio.selector_events"


class Other(OfAsyncio):
    """Of another loop."""


def test_writelines_is_used_where_it_gathers_and_tells_when_it_is_full() -> None:
    assert not gathers(asyncio.Transport())
    assert gathers(Other(), (3, 12, 0)), "of another loop"
    for version in ((3, 12, 9), (3, 12, 12), (3, 13, 2), (3, 14, 0)):
        assert gathers(OfAsyncio(), version)
    for version in ((3, 12, 0), (3, 12, 8), (3, 13, 0), (3, 13, 1)):
        assert not gathers(OfAsyncio(), version)
