"""Events as people read them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from litz import ConnectError
from litz.errors import Attempt
from litz.event_words import MAX_WORDS, span, words_of
from litz.events import (
    ConnectFailed,
    Connecting,
    DestCold,
    DestGivenUp,
    DestWarm,
    DropReason,
    EndReason,
    Event,
    EventGap,
    LaneMoved,
    LookUpFailed,
    LostReceipt,
    MessagesDropped,
    MessagesSkipped,
    Outcome,
    PeerDraining,
    PeerViolation,
    ResentReceipt,
    SessionEnded,
    SessionStarted,
    WireDown,
    WireUnusable,
    WireUp,
    Woke,
)
from litz.message import Channel

LOST = LostReceipt((Channel("bob", 1, 0), 7), Outcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class PeerTookATrain(Event):
    """Of another package, so that nothing knows it."""

    error: Exception
    reason: EndReason
    speed: float


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Connecting("bob"), "connecting"),
        (
            ConnectFailed("bob", ConnectError("cannot reach bob", dest="bob"), 0.25),
            "connecting failed: cannot reach bob; next attempt in 250 ms",
        ),
        (
            ConnectFailed("bob", ConnectError("cannot reach bob", dest="bob"), None),
            "connecting failed: cannot reach bob; no further attempt by itself",
        ),
        (
            DestCold("bob", "nobody listens", 12, 600.0, 300.0),
            "cold, only probed from now on: nobody listens; 12 failures in 10 min; next attempt in 5 min",
        ),
        (DestWarm("bob", "it came by itself"), "warm, dialled as usual again: it came by itself"),
        (
            DestGivenUp("bob", "the budget is used up", OSError()),
            "given up, not dialled by itself any more: the budget is used up",
        ),
        (PeerDraining("bob", "restart", 30.0), "the peer is leaving: restart; it means to be back in 30 s"),
        (PeerDraining("bob", "", None), "the peer is leaving"),
        (
            LookUpFailed("bob", (Attempt("directory", OSError("gone")),)),
            "looking it up failed: directory: OSError: gone",
        ),
        (SessionStarted("bob", 3, True), "session started: number 3, its id is proved"),
        (SessionStarted("bob", 3, False), "session started: number 3, its id is a claim"),
        (WireUp("bob", "websocket", "<wire 1>", True), "wire up: <wire 1>, dialled by us"),
        (WireUp("bob", "websocket", "<wire 1>", False), "wire up: <wire 1>, dialled by them"),
        (WireDown("bob", "websocket", "<wire 1>", "reset", 0), "wire down: <wire 1>: reset; no wire left"),
        (WireDown("bob", "websocket", "<wire 1>", "reset", 2), "wire down: <wire 1>: reset; 2 left"),
        (LaneMoved("bob", 1, "<wire 2>", "", "it is faster"), "lane moved: lane 1 to <wire 2>, it is faster"),
        (LaneMoved("bob", 1, "", "<wire 2>", "none is up"), "lane waits for a wire: lane 1, none is up"),
        (MessagesDropped("bob", 2, 5, 9, DropReason.OLDEST), "messages dropped: 5 to 9 of lane 2, oldest"),
        (
            MessagesSkipped("bob", 2, 5, 9, DropReason.TOO_LARGE),
            "messages missing: the sender dropped 5 to 9 of lane 2, too large",
        ),
        (
            SessionEnded("bob", 1, EndReason.PEER_RESTARTED, "a newer one came", (LOST,)),
            "session ended: peer restarted; a newer one came; 1 message not confirmed",
        ),
        (
            SessionEnded(
                "bob",
                1,
                EndReason.PEER_RESTARTED,
                "",
                (),
                (ResentReceipt(LOST.receipt, Outcome.UNKNOWN, LOST.receipt),) * 2,
            ),
            "session ended: peer restarted; 2 messages sent again",
        ),
        (SessionEnded("bob", 1, EndReason.EXPIRED, "", ()), "session ended: expired; all confirmed"),
        (PeerViolation("bob", "<wire 1>", "a bad frame"), "the peer broke the protocol: <wire 1>: a bad frame"),
        (
            WireUnusable("", "tin", "litz-tin", ImportError("no tin")),
            "no wires of kind tin: litz-tin: ImportError: no tin",
        ),
        (Woke("", 8000.0), "the machine woke: it slept for 2.2 h"),
        (EventGap("", 12), "events missed: this reader was too slow for 12"),
        (
            PeerTookATrain("bob", OSError("late"), EndReason.EXPIRED, 1.5),
            "peer took a train: error OSError: late, reason expired, speed 1.5",
        ),
    ],
)
def test_each_event_in_words(event: Event, text: str) -> None:
    assert str(words_of(event)) == text


def test_a_peer_cannot_draw_on_the_terminal_nor_fill_the_memory() -> None:
    words = words_of(WireDown("bob", "websocket", "w", "\x1b[2J\n" + "x" * 10_000, 0))
    assert words.cause.isprintable()
    assert len(words.cause) == MAX_WORDS


def test_what_was_lost_is_told_however_long_the_cause_is() -> None:
    words = words_of(SessionEnded("bob", 1, EndReason.CLOSED_BY_PEER, "x" * 10_000, (LOST, LOST)))
    assert words.cause.endswith("; 2 messages not confirmed")
    assert len(words.cause) == MAX_WORDS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "40 ms"), (1, "1.0 s"), (9.94, "9.9 s"), (42, "42 s"), (600, "10 min"), (86_400, "24.0 h")],
)
def test_times(seconds: float, text: str) -> None:
    assert span(seconds) == text
