"""What a running node answers over its control socket."""

from __future__ import annotations

from functools import partial

from outproc.cli.control_socket import Answers
from outproc.cli.ping import ping_of
from outproc.cli.status import status_of
from outproc.manager import OutprocTransportManager


def questions_for(manager: OutprocTransportManager) -> Answers:
    """`status`, and `ping` with a dest."""
    return {"status": partial(status_of, manager), "ping": partial(ping_of, manager)}
