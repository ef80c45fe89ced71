"""Events in words, for people: histories, `litz events`, logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from enum import Enum
from typing import Any, Final, NamedTuple

from litz.events import (
    ConnectFailed,
    Connecting,
    DestCold,
    DestGivenUp,
    DestWarm,
    Event,
    EventGap,
    LaneMoved,
    LookUpFailed,
    MessagesDropped,
    MessagesSkipped,
    NetworkChanged,
    PeerDraining,
    PeerViolation,
    SessionEnded,
    SessionStarted,
    WireDown,
    WireUnusable,
    WireUp,
    Woke,
)

MAX_WORDS: Final = 300
"""Characters of a cause: peers and operating systems have a say in what is in it."""


class Words(NamedTuple):
    """What happened, in a few fixed words; and the cause or the particulars, "" if there are none. What changes from
    one time to the next although nothing new happened (a time to wait, say) is in `passing`."""

    what: str
    cause: str = ""
    passing: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.what, "; ".join(filter(None, (self.cause, self.passing))))))


def words_of(event: Event) -> Words:
    """`event` in words, at most `MAX_WORDS` characters of each kind and no control characters. Events that are not
    known here are told by their class and fields."""
    tell = _TELLERS.get(type(event), _any)
    return Words(*(printable(each)[:MAX_WORDS] for each in tell(event)))


def printable(text: str) -> str:
    """`text` in one line, without what would do something to a terminal."""
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    )


def span(seconds: float) -> str:
    """A time that people can grasp."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def messages(count: int) -> str:
    """How many, in words."""
    return "1 message" if count == 1 else f"{count} messages"


def _connecting(event: Connecting) -> Words:
    return Words("connecting")


def _connect_failed(event: ConnectFailed) -> Words:
    return Words("connecting failed", str(event.error), _again(event.retry_in))


def _again(retry_in: float | None) -> str:
    return "no further attempt by itself" if retry_in is None else f"next attempt in {span(retry_in)}"


def _cold(event: DestCold) -> Words:
    failed = f"{event.failures} failures in {span(event.seconds)}"
    return Words("cold, only probed from now on", event.cause, f"{failed}; {_again(event.retry_in)}")


def _warm(event: DestWarm) -> Words:
    return Words("warm, dialled as usual again", event.reason)


def _given_up(event: DestGivenUp) -> Words:
    return Words("given up, not dialled by itself any more", event.cause)


def _draining(event: PeerDraining) -> Words:
    back = "" if event.returning_in is None else f"it means to be back in {span(event.returning_in)}"
    return Words("the peer is leaving", event.reason, back)


def _look_up_failed(event: LookUpFailed) -> Words:
    return Words("looking it up failed", "; ".join(map(str, event.attempts)))


def _session_started(event: SessionStarted) -> Words:
    return Words("session started", f"number {event.session}, its id is {'proved' if event.verified else 'a claim'}")


def _wire_up(event: WireUp) -> Words:
    return Words("wire up", f"{event.wire}, dialled by {'us' if event.dialled else 'them'}")


def _wire_down(event: WireDown) -> Words:
    left = "no wire left" if not event.wires_left else f"{event.wires_left} left"
    return Words("wire down", f"{event.wire}: {event.cause}; {left}")


def _lane_moved(event: LaneMoved) -> Words:
    if not event.wire:
        return Words("lane waits for a wire", f"lane {event.lane}, {event.reason}")
    return Words("lane moved", f"lane {event.lane} to {event.wire}, {event.reason}")


def _dropped(event: MessagesDropped) -> Words:
    return Words("messages dropped", f"{event.first} to {event.last} of lane {event.lane}, {_name(event.reason)}")


def _skipped(event: MessagesSkipped) -> Words:
    return Words(
        "messages missing",
        f"the sender dropped {event.first} to {event.last} of lane {event.lane}, {_name(event.reason)}",
    )


def _session_ended(event: SessionEnded) -> Words:
    lost = f"{messages(len(event.lost))} not confirmed" if event.lost else "" if event.resent else "all confirmed"
    again = f"{messages(len(event.resent))} sent again" if event.resent else ""
    lost = ", ".join(filter(None, (lost, again)))
    cause = "; ".join(filter(None, (event.reason.value, event.detail)))
    return Words("session ended", cause[: MAX_WORDS - len(lost) - 2] + "; " + lost)


def _violation(event: PeerViolation) -> Words:
    return Words("the peer broke the protocol", f"{event.wire}: {event.detail}")


def _unusable(event: WireUnusable) -> Words:
    return Words(f"no wires of kind {event.name}", f"{event.distribution}: {type(event.error).__name__}: {event.error}")


def _network_changed(event: NetworkChanged) -> Words:
    return Words("network changed", event.what, f"{event.asked} wires asked, {event.given_up} given up")


def _woke(event: Woke) -> Words:
    return Words("the machine woke", f"it slept for {span(event.slept)}")


def _gap(event: EventGap) -> Words:
    return Words("events missed", f"this reader was too slow for {event.missed}")


def _any(event: Event) -> Words:
    name = "".join(f" {each.lower()}" if each.isupper() else each for each in type(event).__name__).strip()
    told = [(each.name.replace("_", " "), getattr(event, each.name)) for each in fields(event) if each.name != "dest"]
    return Words(name, ", ".join(f"{field} {_plain(value)}" for field, value in told))


def _plain(value: Any) -> str:
    if isinstance(value, Enum):
        return _name(value)
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return f"{len(value)}" if isinstance(value, tuple) else str(value)


def _name(value: Enum) -> str:
    return str(value.value) if isinstance(value.value, str) else value.name.lower().replace("_", " ")


_TELLERS: Final[dict[type[Event], Callable[[Any], Words]]] = {
    Connecting: _connecting,
    ConnectFailed: _connect_failed,
    DestCold: _cold,
    DestWarm: _warm,
    DestGivenUp: _given_up,
    PeerDraining: _draining,
    LookUpFailed: _look_up_failed,
    SessionStarted: _session_started,
    WireUp: _wire_up,
    WireDown: _wire_down,
    LaneMoved: _lane_moved,
    MessagesDropped: _dropped,
    MessagesSkipped: _skipped,
    SessionEnded: _session_ended,
    PeerViolation: _violation,
    WireUnusable: _unusable,
    Woke: _woke,
    NetworkChanged: _network_changed,
    EventGap: _gap,
}
