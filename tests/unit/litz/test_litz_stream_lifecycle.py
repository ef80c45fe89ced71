"""The life of a stream: every move of the table, every move that is not in it, and which reason counts."""

from __future__ import annotations

from itertools import product

import pytest

from litz.stream_lifecycle import ENDS, TABLE, Happening, StreamEnd, StreamLife, StreamState

WAYS = {
    StreamState.INIT: (),
    StreamState.OPEN: (Happening.OPENED,),
    StreamState.LOCAL_CLOSED: (Happening.OPENED, Happening.FINISHED_HERE),
    StreamState.REMOTE_CLOSED: (Happening.OPENED, Happening.FINISHED_THERE),
    StreamState.DRAINING: (Happening.OPENED, Happening.DRAIN),
    StreamState.CLOSED: (Happening.REFUSED,),
}
"""How each state is reached."""


def life_in(state: StreamState) -> StreamLife:
    life = StreamLife()
    for happening in WAYS[state]:
        assert life.happen(happening)
    assert life.state is state
    return life


@pytest.mark.parametrize(("state", "happening"), list(product(StreamState, Happening)))
def test_every_move_is_in_the_table_or_a_bug_or_too_late(state: StreamState, happening: Happening) -> None:
    life = life_in(state)
    before = life.ending
    if state is StreamState.CLOSED:
        assert not life.happen(happening)
        assert life.ending is before
    elif happening not in TABLE[state]:
        with pytest.raises(RuntimeError, match=f"{state.value} cannot be {happening.value}"):
            life.happen(happening)
        assert life.state is state
    else:
        assert life.happen(happening, code=4, reason="why")
        assert life.state is TABLE[state][happening]
        if life.state is StreamState.CLOSED:
            assert life.ending is not None
            assert (life.ending.how, life.ending.code, life.ending.reason) == (ENDS[happening], 4, "why")
        else:
            assert life.ending is None


@pytest.mark.parametrize("state", list(StreamState))
def test_new_messages_are_sent_while_this_half_is_open(state: StreamState) -> None:
    assert life_in(state).may_send == (state in (StreamState.OPEN, StreamState.REMOTE_CLOSED))


def test_the_first_reason_wins() -> None:
    life = life_in(StreamState.OPEN)
    cause = ValueError("x")
    assert life.happen(Happening.ABORTED_THERE, code=2, reason="first", cause=cause)
    assert not life.happen(Happening.LOST, reason="second")
    assert not life.happen(Happening.ABORTED_HERE, code=1, reason="third")
    assert life.ending is not None
    assert (life.ending.how, life.ending.reason, life.ending.cause) == (StreamEnd.ABORTED_THERE, "first", cause)


@pytest.mark.parametrize("first", [Happening.FINISHED_HERE, Happening.FINISHED_THERE])
def test_both_halves_in_either_order_drain(first: Happening) -> None:
    life = life_in(StreamState.OPEN)
    second = {Happening.FINISHED_HERE: Happening.FINISHED_THERE, Happening.FINISHED_THERE: Happening.FINISHED_HERE}
    life.happen(first)
    life.happen(second[first])
    assert life.state is StreamState.DRAINING
    life.happen(Happening.DRAINED)
    assert life.ending is not None
    assert life.ending.how is StreamEnd.COMPLETE


def test_a_stream_drains_without_a_wire() -> None:
    """The link is no state: whatever is legal with a wire is legal without one."""
    life = life_in(StreamState.OPEN)
    life.link_up = False
    for happening in (Happening.DRAIN, Happening.FINISHED_HERE, Happening.FINISHED_THERE, Happening.DRAINED):
        assert life.happen(happening)
    assert not life.link_up
    assert life.state is StreamState.CLOSED
