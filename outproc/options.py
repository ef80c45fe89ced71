"""Everything about a manager that can be set, with its default. Checked when the manager is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from litz.payload import DEFAULT_WIRE_PREFERENCE, PayloadType, WirePreference
from litz.restarts import RestartPolicy
from litz.stream_port import FIRST_WINDOW
from outproc.held_frames import HELD_FRAMES_SIZE
from outproc.reachability import Redial
from outproc.session.limits import Overflow, SessionLimits, StreamLimits
from outproc.streams.table import MAX_STREAMS
from outproc.wire_choice import BestWire, WirePolicy

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class TransportOptions(BaseModel):
    """Counts are of messages, sizes in bytes, times in seconds. Nothing is unlimited; 0 is refused.

    Applies to one manager. The table in `docs/limits.md` says what each protects.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_messages: Count = 16_384
    log_size: Count = 4 << 20
    process_log_size: Count = 256 << 20
    window_messages: Count = 16_384
    window_size: Count = 16 << 20
    session_window_size: Count = 64 << 20
    process_window_size: Count = 512 << 20
    max_message: Count = 16 << 20
    overflow: Mapping[PayloadType, Overflow] = Field(default_factory=dict)
    on_restart: RestartPolicy = "surface"
    """What becomes of unconfirmed messages when a peer restarted: "surface" or "resend", or a mapping of dests (and "*"
    for all others) to these. See `litz.restarts` and docs/restarts.md."""
    wire_preference: WirePreference = Field(default_factory=lambda: dict(DEFAULT_WIRE_PREFERENCE))

    wire_policy: WirePolicy = BestWire()
    """Which of the wires that are up carries a lane: see `outproc.wire_choice`."""

    session_kept: Seconds = 120.0
    tombstones_kept: Seconds = 600.0
    max_tombstones: Count = 4_096
    max_wires: Count = 8
    max_dests: Count = 65_536
    max_requests: Count = 65_536
    max_streams: Annotated[int, Field(ge=1, le=MAX_STREAMS)] = MAX_STREAMS
    """Streams with one peer, both directions together."""
    max_offers: Count = 1_024
    """Of those, the ones that the peer wants to open and that wait to be accepted here."""
    stream_window_size: Annotated[int, Field(ge=FIRST_WINDOW)] = 8 << 20
    """To which what a peer may send on one stream grows, while its reader keeps up."""
    session_stream_size: Count = 64 << 20
    """Granted and not consumed, over all streams of a session, up to which windows grow beyond the first."""
    process_stream_size: Count = 256 << 20
    """The same over all sessions; and what all streams may keep to be sent, or sent again."""

    ping_after: Seconds = 5.0
    dead_after: Seconds = 5.0
    wake_timeout: Seconds = 2.0
    """After a sleep of the machine every wire is pinged, and is dead without a sign of life for so long."""
    sick_after: Seconds = 3.0
    """A wire without an ack for so long, with data outstanding, is sick: its lanes move to another one that is up."""
    watch_network: bool = True
    """Whether changes of this host's addresses and default route are watched, while a wire leads to another host."""
    handshake_timeout: Seconds = 5.0
    dial_timeout: Seconds = 10.0
    close_timeout: Seconds = 5.0
    stagger: Seconds = 0.1
    backoff_base: Seconds = 0.05
    backoff_cap: Seconds = 5.0
    upgrade_cap: Seconds = 60.0
    """Of the waits of an endpoint that keeps failing, or being displaced, while another wire of the dest is up."""
    stable_after: Seconds = 10.0
    redial: Mapping[str, Redial] = Field(default_factory=dict)
    """How single dests are redialled, by id; `"*"` is all others. What it does not name is as the options say."""
    redial_rate: Seconds = 200.0
    """Redials that nobody waits for, a second, all dests together."""
    cold_failures: Count = 10
    cold_after: Seconds = 300.0
    """So many dials that fail for one cause, over so long, without a success, make a dest cold."""
    cold_probe: Seconds = 60.0
    """A cold dest is dialled after half of that to all of it."""
    accept_grace: Seconds = 1.0
    """How long an accepting side waits for the other to redial before it dials an endpoint itself."""

    unauthenticated: Count = 128
    unauthenticated_per_ip: Count = 8
    """With each proof there may be one more at once from that address, for a minute, up to `unauthenticated`."""
    unauthenticated_waiting: Count = 2_048
    """Connections that wait for a place among those; nothing is read from them."""
    unauthenticated_size: Annotated[int, Field(ge=HELD_FRAMES_SIZE)] = 64 << 20
    """Bytes of frames that wait because their senders have not proved their ids yet."""
    wires_per_ip: Count = 4_096
    """Wires in sessions that came in from one address; loopback is not limited by it."""
    sessions_per_second: Seconds = 2.0
    """New sessions of one peer, once it has begun 64 in a row."""
    seal: Literal["auto", "always", "never"] = "auto"
    max_dials: Count = 64

    @model_validator(mode="after")
    def _check(self) -> TransportOptions:
        if self.max_message > min(self.window_size, self.session_window_size, self.process_window_size):
            raise ValueError("max_message is above a receive window: such a message could never arrive")
        if self.max_message > self.process_log_size:
            raise ValueError("max_message is above process_log_size: such a message could never be accepted")
        if any(policy is Overflow.SPILL and kind != PayloadType.RPC_RELIABLE for kind, policy in self.overflow.items()):
            raise ValueError("only RPC_RELIABLE may spill into the outbox; choose another policy for the others")
        return self

    def session_limits(self) -> SessionLimits:
        """The part that the pure session is given."""
        return SessionLimits(
            log_messages=self.log_messages,
            log_size=self.log_size,
            window_messages=self.window_messages,
            window_size=self.window_size,
            session_window_size=self.session_window_size,
            max_message=self.max_message,
            max_wires=self.max_wires,
        )

    def stream_limits(self) -> StreamLimits:
        """The part that the streams of a session are given."""
        return StreamLimits(most_size=self.stream_window_size, budget=self.session_stream_size)
