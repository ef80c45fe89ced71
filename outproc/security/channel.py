"""What an authenticator may know of a wire, for those that prove ids differently on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast, runtime_checkable

from outproc.security.authenticator import Authenticator


@dataclass(frozen=True, slots=True)
class Channel:
    """One wire, before its handshake.

    kind          `wire.kind`
    dest          the id that was dialled; None: the wire came in
    secure        `wire.secure`: the channel protects itself, end to end
    certificates  `wire.peer_certificates`
    """

    kind: str
    dest: str | None
    secure: bool
    certificates: tuple[bytes, ...] = field(default=(), repr=False)


@runtime_checkable
class PerWire(Protocol):
    """An authenticator that is asked for another one for each wire. Optional: others serve all wires as they are."""

    def on_wire(self, channel: Channel) -> Authenticator:
        """The authenticator for this wire alone. May keep what it learns of the wire; the wire forgets it at its end.
        Called in the loop's thread for each wire, also for those of strangers: it must be cheap."""


@runtime_checkable
class Prepares(Protocol):
    """An authenticator of one wire that has to fetch something before the handshake can begin."""

    def prepared(self) -> bool:
        """Whether there is nothing to fetch."""

    async def prepare(self) -> None:
        """Fetch it. Nothing is said on the wire before. Raises `UnauthenticatedError` that names the cure; may be
        cancelled (the handshake has a deadline)."""


def bound(authenticator: Authenticator, channel: Channel) -> Authenticator:
    """The authenticator that proves on this wire."""
    # Not `isinstance`, which for protocols costs as much as half a signature, for each wire.
    on_wire: Callable[[Channel], Authenticator] | None = getattr(authenticator, "on_wire", None)
    return authenticator if on_wire is None else on_wire(channel)


def to_prepare(authenticator: Authenticator) -> Prepares | None:
    """The authenticator of one wire, if it has to fetch something before the handshake can begin."""
    if getattr(authenticator, "prepare", None) is None:
        return None
    prepares = cast(Prepares, authenticator)
    return None if prepares.prepared() else prepares
