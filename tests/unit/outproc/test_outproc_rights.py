"""Verdicts of a user's `authorize` that come late, or in another order than they were asked for."""

from __future__ import annotations

import asyncio

import pytest

from litz.errors import ForbiddenError
from outproc.rights import Rights, Verb
from tests.unit.outproc.town import turns, virtual


class Judge:
    """Answers what it is asked when the test says so, oldest first or not."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Verb, asyncio.Future[bool]]] = []

    async def __call__(self, peer: str, what: str, verb: Verb) -> bool:
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.asked.append((what, verb, answer))
        return await answer

    def answer(self, number: int, verdict: bool) -> None:
        self.asked[number][2].set_result(verdict)


def rights(judge: Judge) -> Rights:
    made = Rights(judge, "me", 5.0)
    made.services = lambda: ("relay",)
    return made


def test_a_late_verdict_does_not_replace_that_of_a_wire_that_came_after() -> None:
    async def scenario() -> None:
        judge = Judge()
        asked = rights(judge)
        first = asyncio.create_task(asked.admit("bob"))
        await turns()
        second = asyncio.create_task(asked.admit("bob"))
        await turns()
        judge.answer(1, True)
        await turns()
        judge.answer(2, False)
        await second
        assert asked.denied == {"bob": frozenset({"relay"})}
        judge.answer(0, True)
        await turns()
        judge.answer(3, True)
        await first
        assert asked.denied == {"bob": frozenset({"relay"})}
        assert not asked._admitting

    virtual(scenario)


def test_one_that_came_after_and_was_refused_says_nothing_of_services() -> None:
    async def scenario() -> None:
        judge = Judge()
        asked = rights(judge)
        first = asyncio.create_task(asked.admit("bob"))
        await turns()
        second = asyncio.create_task(asked.admit("bob"))
        await turns()
        judge.answer(1, False)
        with pytest.raises(ForbiddenError):
            await second
        judge.answer(0, True)
        await turns()
        judge.answer(2, False)
        await first
        assert asked.denied == {"bob": frozenset({"relay"})}

    virtual(scenario)


def test_a_verdict_on_relaying_that_was_asked_for_before_all_were_forgotten_does_not_count() -> None:
    async def scenario() -> None:
        judge = Judge()
        asked = rights(judge)
        assert not asked.may_relay("bob", "carol")
        await turns()
        asked.forget_verdicts()
        judge.answer(0, True)
        await turns()
        assert not asked.may_relay("bob", "carol")
        await turns()
        judge.answer(1, True)
        await turns()
        assert asked.may_relay("bob", "carol")
        await asked.close()

    virtual(scenario)


def test_verdicts_on_relaying_that_fail_are_told_seldom() -> None:
    async def scenario() -> None:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))

        async def fail(peer: str, what: str, verb: str) -> bool:
            raise LookupError(what)

        asked = Rights(fail, "hub", 10.0)
        for number in range(50):
            assert not asked.may_relay("bob", f"nobody {number}")
        assert not asked.may_relay("alice", "nobody")
        await turns()
        assert told == ["litz: no verdict of authorize on relaying"] * 2, "one for each peer"
        await asyncio.sleep(61)
        assert not asked.may_relay("bob", "nobody")
        await turns()
        assert told[2:] == ["litz: no verdict of authorize on relaying (49 more of these were not told)"]
        await asked.close()

    virtual(scenario)
