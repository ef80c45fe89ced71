"""Tests of `outproc.streams.moves`: every way in which two ends of one stream can get past each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from litz.errors import ProtocolError
from outproc.streams.moves import MOVES, OF_THE_PEER, Effect, Input, State, move

WORDS = {
    Effect.SAY_ACCEPT: Input.ACCEPT,
    Effect.SAY_REFUSE: Input.REFUSE,
    Effect.SAY_DONE: Input.DONE,
    Effect.SAY_ABORT: Input.ABORT,
}
USERS = (Input.FINISH, Input.GIVE_UP, Input.TAKE, Input.TURN_DOWN)


@dataclass(frozen=True)
class End:
    """One end of a stream, with what is on its way to the other and what its user was told.

    `end`: where the end of its sending lane is; a lane that is dropped may still arrive, or not.
    """

    state: State
    words: tuple[Input, ...] = ()
    end: str = "open"
    listens: bool = True
    """Whether its incoming lane is there."""
    told: frozenset[Effect] = frozenset()
    did: frozenset[Input] = frozenset()

    def moved(self, by: Input) -> End:
        state, effects = move(self.state, by)
        words, end = self.words, self.end
        for effect in effects:
            if effect in WORDS:
                words += (WORDS[effect],)
            elif effect is Effect.CLOSE_LANE:
                assert end == "open"
                end = "under way"
        if Effect.DROP_OUT in effects and end == "open":
            end = "never"
        listens = self.listens and not {Effect.DROP_IN, Effect.KEEP_IN} & {*effects}
        tells = {effect for effect in effects if effect.name.startswith("TELL")}
        assert not tells & self.told, f"told twice: {self} {by}"
        return End(state, words, end, listens, self.told | tells, self.did | {by})


Both = tuple[End, End]


def steps(ends: Both) -> Iterator[tuple[str, Both]]:
    """Everything that can happen next."""
    for at in (0, 1):
        here, there = ends[at], ends[1 - at]

        def pair(one: End, other: End, at: int = at) -> Both:
            return (one, other) if at == 0 else (other, one)

        if here.words:
            # A word that nobody may say now raises out of here.
            said, rest = here.words[0], replace(here, words=here.words[1:])
            if there.state is State.GONE and said is Input.ABORT:
                yield "abort of what is gone", pair(rest, there)
            else:
                yield f"{said.name} heard in {there.state.name}", pair(rest, there.moved(said))
        if here.end == "under way":
            arrived = replace(here, end="arrived")
            yield f"end taken in {there.state.name}", pair(arrived, there.moved(Input.END) if there.listens else there)
        for by in USERS:
            if by in MOVES[here.state]:
                yield f"{by.name} in {here.state.name}", pair(here.moved(by), there)


def asked() -> Both:
    """The OPEN has just come: what was before is one lane and one word."""
    return End(State.OPENING), End(State.OFFERED)


def all_there_is() -> tuple[dict[Both, list[Both]], Counter[str]]:
    """Every pair of ends that can be reached, what can follow each, and how often each step can be made."""
    start = asked()
    graph: dict[Both, list[Both]] = {}
    names: Counter[str] = Counter()
    waiting = [start]
    while waiting:
        ends = waiting.pop()
        if ends in graph:
            continue
        graph[ends] = []
        for name, following in steps(ends):
            names[name] += 1
            graph[ends].append(following)
            waiting.append(following)
    return graph, names


GRAPH, NAMES = all_there_is()


def test_the_walk_is_complete() -> None:
    """Every row of the table is used, so what holds below holds for all of it. Only an end in the lane is in time's
    hands: it never comes before its own stream's answer was said."""
    used = {(state, by) for state, row in MOVES.items() for by in row}
    seen = set()
    for name in NAMES:
        word, _, rest = name.partition(" ")
        state = State[rest.rpartition(" ")[2]] if rest.rpartition(" ")[2] in State.__members__ else None
        if state is not None:
            seen.add((state, Input.END if word == "end" else Input[word]))
    assert used - seen == set()
    assert len(GRAPH) > 300
    assert NAMES["abort of what is gone"]


def test_whatever_crosses_both_ends_come_to_an_end() -> None:
    """From everything that can be reached, the two can always get to where both numbers are gone, with nothing said."""

    def is_over(end: End) -> bool:
        return end.state is State.GONE and not end.words and end.end != "under way"

    done = {ends for ends in GRAPH if all(map(is_over, ends))}
    assert done
    before: dict[Both, list[Both]] = {ends: [] for ends in GRAPH}
    for ends, following in GRAPH.items():
        for each in following:
            before[each].append(ends)
    reach, waiting = set(done), list(done)
    while waiting:
        for each in before[waiting.pop()]:
            if each not in reach:
                reach.add(each)
                waiting.append(each)
    assert reach == set(GRAPH)


def test_where_nothing_more_can_happen_both_numbers_are_gone() -> None:
    """A stream that its users leave alone after they ended it does not stay in anybody's table."""
    for ends, following in GRAPH.items():
        if not following:
            assert [end.state for end in ends] == [State.GONE, State.GONE], ends


def test_both_users_are_told_the_same_end() -> None:
    for ends, following in GRAPH.items():
        if following:
            continue
        for here, there in (ends, ends[::-1]):
            gave_up = Input.GIVE_UP in here.did
            assert not {Effect.TELL_REFUSED, Effect.TELL_OPEN} <= here.told
            if Effect.TELL_FINISHED in here.told:
                assert there.end == "arrived"
            if Effect.TELL_CONFIRMED in here.told:
                assert here.end == "arrived"
            if Effect.TELL_ABORTED in here.told:
                assert Input.GIVE_UP in there.did
            if Effect.TELL_OPEN in here.told and not gave_up and Effect.TELL_ABORTED not in here.told:
                # Complete: then it is so for both directions.
                assert {Effect.TELL_FINISHED, Effect.TELL_CONFIRMED} <= here.told
            complete = {Effect.TELL_FINISHED, Effect.TELL_CONFIRMED} <= here.told
            if gave_up and Input.TAKE in (here.did | there.did) and not complete:
                heard = Effect.TELL_ABORTED in there.told or Input.GIVE_UP in there.did
                assert heard or {Effect.TELL_FINISHED, Effect.TELL_CONFIRMED} <= there.told, ends


def test_words_out_of_place_are_violations() -> None:
    for state, row in MOVES.items():
        for by in Input:
            if by in row:
                continue
            with pytest.raises(ProtocolError if by in OF_THE_PEER else RuntimeError):
                move(state, by)
