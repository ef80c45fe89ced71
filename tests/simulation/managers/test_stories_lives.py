"""Stories of several lives of one node: two processes of one id, and what the older one's word is worth."""

from __future__ import annotations

from tests.simulation.managers.lives import run_seed


def test_an_older_life_is_not_asked_about_its_successor() -> None:
    """Manager seed 1738 once: it answered for a session of which it knew nothing, and what its successor had taken was
    listed as never accepted."""
    for seed in range(20):
        run_seed(seed)
