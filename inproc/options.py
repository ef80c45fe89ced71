"""What can be set about an in-process manager."""

from __future__ import annotations

from dataclasses import dataclass

from litz.restarts import RestartPolicy, check_policy


@dataclass(frozen=True, slots=True)
class InprocOptions:
    """Limits and times of one manager.

    queue_messages, queue_bytes
        of each lane of each dest: what may be sent and not processed. Bytes count for buffers and strings;
        other objects count 0. An empty lane takes one message of any size.
    pending_requests  requests that wait for their reply.
    connect_timeout   seconds that `when_down="wait"` waits for a dest that is not on the hub.
    close_timeout     seconds that `aclose` waits for running handlers.
    max_dests         dests at once.
    max_streams       streams with one dest at once; more are refused, busy.
    on_restart        about what a peer that was gone without a word did not take: see `litz.restarts`.
    """

    queue_messages: int = 16_384
    queue_bytes: int = 16 * 1024 * 1024
    pending_requests: int = 65_536
    connect_timeout: float = 0.0
    close_timeout: float = 5.0
    max_dests: int = 65_536
    max_streams: int = 4_096
    on_restart: RestartPolicy = "surface"

    def __post_init__(self) -> None:
        for name in ("queue_messages", "queue_bytes", "pending_requests", "max_dests", "max_streams"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1")
        if self.connect_timeout < 0 or self.close_timeout < 0:
            raise ValueError("times are not negative")
        check_policy(self.on_restart)
