"""Everything about WebRTC wires that can be set, with its default. Checked when it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from outproc.wires.webrtc.engine import Engine, IceServer
from outproc.wires.webrtc.engines import EngineName

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=1024, le=65_535)]
Credentials = Callable[[], Awaitable[Sequence[IceServer]]]
"""Returns a list of ICE servers with credentials that are valid for the next dial. Asked before each, for at most
`gather_timeout`. When it fails the loop's exception handler is told, and the dial goes on without."""


class WebRtcOptions(BaseModel):
    """Times in seconds. The table in `docs/limits.md` says what each protects.

    ice_servers     STUN and TURN servers; none: host candidates only
    credentials     an async callable that gives more of them, with credentials of short life
    relay_only      only through TURN: peers do not learn this host's addresses
    ports           first and last UDP port to bind, None: any
    addresses       the local addresses to bind, None: those of all interfaces but loopback
    loopback        whether loopback is bound, and taken of peers. "auto": only loopback while this node proves nothing
                    (it can then not be reached from other hosts by anything else either)
    link_local      whether link-local addresses are taken of peers; the manager's `allow_endpoint` must allow them too
    allow_address   asked for each address of a peer that the rules allow; may forbid it
    every_peer      whether each peer that speaks WebRTC is dialled by it; else only those with a `webrtc:` endpoint
    engine          the WebRTC library: a name (see `outproc.wires.webrtc.engines`) or an object
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    ice_servers: tuple[IceServer, ...] = ()
    credentials: Credentials | None = None
    relay_only: bool = False
    ports: tuple[Port, Port] | None = None
    addresses: tuple[str, ...] | None = None
    loopback: Literal["auto"] | bool = "auto"
    link_local: bool = False
    allow_address: Callable[[str], bool] | None = None
    every_peer: bool = True
    engine: Engine | EngineName = "auto"

    upgrade_after: Seconds = 1.0
    session_wait: Seconds = 2.0
    gather_timeout: Seconds = 2.0
    answer_timeout: Seconds = 5.0
    open_timeout: Seconds = 6.0
    heartbeat: Seconds = 1.0
    dead_after: Seconds = 3.0
    server_rest: Seconds = 60.0
    max_attempts: Annotated[int, Field(ge=1)] = 64

    @model_validator(mode="after")
    def _check(self) -> WebRtcOptions:
        if self.ports is not None and self.ports[0] > self.ports[1]:
            raise ValueError("ports are (first, last)")
        if self.dead_after <= self.heartbeat:
            raise ValueError("dead_after is above heartbeat: a peer needs time to answer")
        if self.relay_only and not self.credentials and not any(each.relays for each in self.ice_servers):
            raise ValueError("relay_only needs a TURN server: name one in ice_servers, or give credentials")
        return self
