"""What happens once: all who wait are woken, later ones go on at once."""

from __future__ import annotations

import asyncio

from outproc.once import Once


async def test_all_who_wait_are_woken_and_later_ones_go_on_at_once() -> None:
    once = Once()
    waiting = [asyncio.create_task(once.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not once.happened
    waiting[0].cancel()
    once.happen()
    once.happen()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, type(None), type(None)]
    await once.wait()
    assert once.happened
