"""Told by hand: what sessions leave that end while nobody reads. Of peers that dial `test_outproc_overrun` tells."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from litz.errors import LitzError
from tests.simulation.managers.stage import Stage, play

ROOM: Final = 1 << 20


def test_who_dials_a_node_that_dies_again_and_again_and_reads_nothing_takes_a_bounded_amount() -> None:
    """Each life of `a` is dialled by `b`, which wants something of it, and brings what `b` does not read."""

    async def story(stage: Stage) -> None:
        options: dict[str, Any] = {
            "window_size": ROOM, "session_window_size": ROOM, "process_window_size": ROOM, "max_message": 1 << 18,
        }  # fmt: skip
        b = await stage.actor("b", reach=["a"], **options)
        await b.stop_listening()
        taken = []
        for life in range(20):
            a = await stage.actor("a", clock=float(life))
            with suppress(LitzError, TimeoutError):
                await b.manager.send("a", b"x", confirm="received", timeout=5)
            with suppress(LitzError, TimeoutError):
                for _ in range(12):
                    await a.manager.send("b", bytes(100_000), confirm="received", timeout=1)
            taken.append(b.manager.snapshot().inbox_bytes)
            await stage.crash(a)
        assert max(taken) <= 2 * ROOM
        assert taken[-1] == taken[10], "it does not grow"
        await stage.actor("a", clock=100.0)
        why = "what a sent in earlier sessions waits to be read here; read it"
        await b.until(lambda: why in b.manager.snapshot().dests[0].slots[0].last_error)
        b.listen_in()
        await b.until(lambda: b.manager.snapshot().inbox_bytes == 0)
        await b.manager.send("a", b"x", confirm="received", timeout=5)

    play(story)
