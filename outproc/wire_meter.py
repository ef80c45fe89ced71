"""How well one wire carries: its round trip, its throughput, and whether it is sick. Pure; times in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GAIN: Final = 0.125
"""Weight of a new round trip in the smoothed one (RFC 6298, section 2)."""

RATE_GAIN: Final = 0.25
"""Weight of a new throughput in the smoothed one."""

LIGHT: Final = 16 * 1024
"""A ping with at least so many bytes ahead of it measures the load, not the wire."""

BUSY: Final = 64 * 1024
"""A wire with at least this many bytes buffered at two looks in a row took all it could between them."""

Places = Mapping[int, tuple[int, int]]
"""A position of each lane that a wire carries."""

RATE_KEPT: Final = 600.0
"""After so many seconds a throughput is forgotten: the network may have changed."""

LONGEST_REST: Final = 300.0
"""The longest time for which a wire stays sick although it answers again."""

LONGEST_STEP: Final = 1.0
"""At most so much of the time between two looks counts as without progress: the rest may be our own loop's."""


class WireMeter:
    """Measures of one wire. The driver tells of pings and pongs, and looks at regular times while there is traffic.

    sick_after  seconds without an ack, with data outstanding and nothing drained, after which the wire is sick
    """

    __slots__ = (
        "_ahead",
        "_base",
        "_buffered",
        "_left",
        "_loaded",
        "_looked",
        "_mark",
        "_marker",
        "_rate",
        "_rated",
        "_rest",
        "_sick_after",
        "_stuck",
        "_well_since",
        "round_trip",
        "sick_until",
    )

    def __init__(self, now: float, sick_after: float = 3.0) -> None:
        self._sick_after = sick_after
        self.round_trip: float | None = None
        """Smoothed. While all that was measured was under load, the latest of that; None: not measured yet."""
        self._loaded = True  # what `round_trip` is of
        self._ahead = 0  # bytes written before and after the ping that is out
        self._rate: float | None = None
        self._rated = now
        self._mark: tuple[int, Places] | None = None
        """While it is full: how many bytes were written at an earlier look, and how far its lanes were sent then."""
        self._base: tuple[float, int] | None = None
        """When such a mark was seen to be acknowledged, and its bytes."""
        self._looked = now
        self._buffered = 0
        self._left = 0
        self._marker: object = None
        self._stuck = 0.0
        self._rest = 0.0
        self._well_since = now
        self.sick_until: float | None = None
        """None: it is well. Else it is sick, and an answer to a ping of later than this makes it well."""

    # -- round trip ---------------------------------------------------------------------------------

    def pinged(self, written: int, buffered: int) -> None:
        """A ping goes out, when `written` bytes were ever written, `buffered` of which wait."""
        self._ahead = written - buffered

    def ponged(self, seconds: float, written: int) -> None:
        """Its pong came. What was written around the ping delays it, so such a measure counts only as long as there is
        no better one: otherwise a lane would flee from its own load."""
        loaded = written - self._ahead >= LIGHT
        if self.round_trip is None or self._loaded:
            self.round_trip = seconds
            self._loaded = loaded
        elif not loaded:
            self.round_trip += GAIN * (seconds - self.round_trip)

    # -- looks --------------------------------------------------------------------------------------

    def look(self, now: float, *, outstanding: bool, sent: Places, acked: Places, left: int, buffered: int) -> bool:
        """Look at the wire. Returns whether it has just fallen sick, or is well again.

        outstanding  whether anything that was given to it is not acknowledged
        sent, acked  of each lane that it carries: what was given to it, and what the peer has acknowledged
        left         bytes that ever left it for the system
        buffered     bytes that wait in it
        """
        step, self._looked = now - self._looked, now
        drained = self._buffered > 0 and left > self._left
        if min(buffered, self._buffered) >= BUSY:
            self._measure(now, left + buffered, sent, acked)
        else:
            self._mark = self._base = None
        acks = acked != self._marker
        self._marker, self._left, self._buffered = acked, left, buffered
        if not outstanding or acks or drained:
            self._stuck = 0.0
            # The ack may be of what another wire carried, so one that is resting rests on.
            return False
        self._stuck += min(step, LONGEST_STEP)
        # On a very slow wire an ack takes its time.
        if self._stuck < self._sick_after + 2 * (self.round_trip or 0.0) or self.sick_until is not None:
            return False
        self._fall_sick(now)
        return True

    def _measure(self, now: float, written: int, sent: Places, acked: Places) -> None:
        """It is full: how much arrives in which time? What left it for the system says little: kernels, proxies and
        hubs take megabytes at once, to pass them on at leisure."""
        if self._mark is not None:
            marked, places = self._mark
            if not places.keys() <= acked.keys():
                self._base = None  # a lane has left
            elif any(acked[lane] < place for lane, place in places.items()):
                return
            else:
                if self._base is not None and now > self._base[0]:
                    self._rate_seen(now, (marked - self._base[1]) / (now - self._base[0]))
                self._base = (now, marked)
        self._mark = (written, sent)

    def _rate_seen(self, now: float, rate: float) -> None:
        known = self.throughput(now)
        self._rate = rate if known is None else known + RATE_GAIN * (rate - known)
        self._rated = now

    def throughput(self, now: float) -> float | None:
        """Bytes a second that arrived while it was the bottleneck, smoothed; None: never measured, or long ago."""
        return self._rate if self._rate is not None and now - self._rated <= RATE_KEPT else None

    # -- sickness -----------------------------------------------------------------------------------

    @property
    def sick(self) -> bool:
        """Whether it took data and gave no sign of it for long."""
        return self.sick_until is not None

    def _fall_sick(self, now: float) -> None:
        if now - self._well_since > 2 * LONGEST_REST:
            self._rest = 0.0
        # Each time twice as long: a wire on which only small frames pass answers pings.
        self._rest = min(LONGEST_REST, 2 * self._rest or self._sick_after)
        self.sick_until = now + self._rest
        self._stuck = 0.0

    def answered(self, now: float, pinged: float) -> bool:
        """A pong came to the ping sent at `pinged`. Returns whether the wire is well again by that."""
        if self.sick_until is None or pinged < self.sick_until:
            return False
        self.sick_until = None
        self._well_since = now
        return True
