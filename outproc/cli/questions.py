"""What a running node answers over its control socket."""

from __future__ import annotations

from functools import partial

from outproc.cli.control_socket import Answers
from outproc.cli.event_feed import EventFeed
from outproc.cli.ping import ping_of
from outproc.cli.status import status_of
from outproc.manager import OutprocTransportManager


def questions_for(manager: OutprocTransportManager) -> Answers:
    """`status`, `endpoints`, `ping` with a dest, and `events`, with a dest, which is followed."""
    return {
        "status": partial(status_of, manager),
        "endpoints": lambda: manager.endpoints,
        "ping": partial(ping_of, manager),
        "events": partial(EventFeed, manager),
    }
