"""Reasons to dial a dest that rests, because it is cold or given up, or whose endpoints are dialled seldom: now."""

from __future__ import annotations

from outproc.dialler import Dialler
from outproc.retry.classify import Verdict, classify
from outproc.slots import Cooling, Dead


def restart(dialler: Dialler, now: float, reason: str) -> None:
    """What made dials fail may be mended (`reason` says how): all that is not up has a new chance now, what was given
    up included. A dest that nobody dials from here is left alone."""
    if dialler.closed or not (dialler.wanted or dialler.supervisor.gave_up):
        return
    dialler.wanted = True
    dialler.supervisor.afresh(reason)
    dialler.pool.interrupt(now)
    dialler.look_up()


def trust_changed(dialler: Dialler, now: float) -> None:
    """Keys or rights may be others: what was stopped, or is dialled seldom, for an error that a person had to mend has
    a new chance, also beside wires that are up."""
    states = [slot.state for slot in dialler.pool.slots]
    if dialler.supervisor.gave_up or any(
        isinstance(state, Cooling | Dead) and classify(state.error).verdict is not Verdict.RETRY for state in states
    ):
        restart(dialler, now, "keys and rights were looked at again")


def reopened(dialler: Dialler, now: float) -> None:
    """Somebody here wants the dest before the time at which it said that it would be back."""
    if now < dialler.rests_until:
        dialler.rests_until = 0.0
        dialler.start_round()


def hinted(dialler: Dialler, now: float) -> None:
    """A user has named endpoints."""
    if dialler.supervisor.rests:
        restart(dialler, now, "endpoints were named")
    else:
        dialler.refresh()


def ask_again(dialler: Dialler, *, waits: bool) -> None:
    """Somebody sends to a dest that rests, and perhaps waits for what becomes of it."""
    if dialler.supervisor.begins_anew(waits=waits):
        dialler.start_round()
