"""What a running node tells those who follow its events: `litz events`."""

from __future__ import annotations

from collections import deque
from dataclasses import fields
from enum import Enum
from typing import Any, Final

from litz.dest import validate_dest
from litz.event_log import EventReader
from litz.event_words import words_of
from litz.events import Event, LostReceipt, ResentReceipt
from litz.snapshot import DestSnapshot, HistoryEntry, ManagerSnapshot
from outproc.cli.control_socket import Feed
from outproc.cli.dest_words import standing
from outproc.manager import OutprocTransportManager

LIMIT: Final = 1024
"""Events that wait for a slow follower; what is over that it gets told as a gap."""

MAX_RUNS: Final = 1000
"""Runs of receipts that are listed of one session that ended. The counts are always exact."""


class EventFeed(Feed):
    """First what happened lately, then what is now, then, with `follow`, what happens. Items are numbered from 0.

    Raises `InvalidDestError`, `ManagerStateError` before the manager is up.
    """

    def __init__(self, manager: OutprocTransportManager, dest: str = "", follow: str = "") -> None:
        self._dest = validate_dest(dest) if dest else ""
        self._node = manager.local_id
        self._follow = bool(follow)
        self._reader: EventReader = manager.events(limit=LIMIT)
        self._next = 0
        snapshot = manager.snapshot()
        self._before: deque[dict[str, Any]] = deque(self._past(snapshot))
        self._before.append(_node(snapshot, self._reader.at))
        self._before += [_now(each, self._reader.at) for each in snapshot.dests if self._concerns(each.dest)]

    async def __anext__(self) -> dict[str, Any]:
        item = await self._item()
        self._next += 1
        return {"number": self._next - 1, "node": self._node, **item}

    async def _item(self) -> dict[str, Any]:
        if self._before:
            return self._before.popleft()
        if not self._follow:
            self.end = "that is all"
            raise StopAsyncIteration
        # The loop ends when the manager closes, with StopAsyncIteration.
        self.end = f"node {self._node} has ended"
        while True:
            number, event = await anext(self._reader)
            # What states what is now has been told, dest by dest; what is unusable is told by nothing else.
            if self._concerns(event.dest) and (number >= self._reader.current or not event.dest):
                return live(event, self._reader.at)

    def close(self) -> None:
        self._reader.close()

    def _concerns(self, dest: str) -> bool:
        return dest in ("", self._dest) or not self._dest

    def _past(self, snapshot: ManagerSnapshot) -> list[dict[str, Any]]:
        entries = [*snapshot.history, *(entry for each in snapshot.dests for entry in each.history)]
        entries.sort(key=lambda entry: entry.until)
        return [_past(entry) for entry in entries if self._concerns(entry.dest)]


def _past(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "when": "past",
        "at": entry.until,
        "dest": entry.dest,
        "what": entry.what,
        "cause": entry.cause,
        "times": entry.times,
        "since": entry.at,
    }


def _node(snapshot: ManagerSnapshot, at: float) -> dict[str, Any]:
    return {
        "when": "now",
        "at": at,
        "dest": "",
        "what": f"node {snapshot.local_id} is up",
        "cause": f"listening at {', '.join(snapshot.endpoints) or 'nothing'}",
        "wires": [],
    }


def _now(dest: DestSnapshot, at: float) -> dict[str, Any]:
    return {
        "when": "now",
        "at": at,
        "dest": dest.dest,
        "what": dest.state.value,
        "cause": standing(
            cause=dest.cause,
            retry_in=dest.retry_in,
            cold=dest.cold,
            given_up=dest.given_up,
            draining=dest.draining,
        ),
        "wires": [wire.kind for wire in dest.wires],
        "retry_in": dest.retry_in,
        "cold": dest.cold,
        "given_up": dest.given_up,
    }


def live(event: Event, at: float) -> dict[str, Any]:
    """An event as JSON can hold it, in words and with all of its fields."""
    words = words_of(event)
    return {
        "when": "live",
        "at": at,
        "dest": event.dest,
        "what": words.what,
        "cause": "; ".join(filter(None, words[1:])),
        "event": type(event).__name__,
        "fields": {each.name: _plain(getattr(event, each.name)) for each in fields(event) if each.name != "dest"},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name.lower()
    if isinstance(value, BaseException):
        return {"error": type(value).__name__, "text": str(value)}
    if isinstance(value, tuple):
        if value and isinstance(value[0], LostReceipt | ResentReceipt):
            return _runs(value)
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _runs(receipts: tuple[LostReceipt | ResentReceipt, ...]) -> dict[str, Any]:
    """Exact as long as it is not torn into very many runs: numbers follow each other within a lane."""
    runs: list[dict[str, Any]] = []
    for each in receipts:
        (channel, number), outcome = each.receipt, each.outcome.value
        lane = channel.lane
        last = runs[-1] if runs else None
        if last is not None and (last["lane"], last["last"], last["outcome"]) == (lane, number - 1, outcome):
            last["last"] = number
        else:
            runs.append({"lane": lane, "first": number, "last": number, "outcome": outcome})
    return {"count": len(receipts), "runs": runs[:MAX_RUNS]}
