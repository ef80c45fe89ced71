"""What a running node answers over its control socket."""

from __future__ import annotations

from functools import partial

from outproc.cli.control_socket import Answers
from outproc.cli.event_feed import EventFeed
from outproc.cli.passage_feed import PassageQuestions
from outproc.cli.passages import Passages
from outproc.cli.ping import ping_of
from outproc.cli.status import status_of
from outproc.manager import OutprocTransportManager


def questions_for(manager: OutprocTransportManager, passages: Passages | None = None) -> Answers:
    """`status`, `endpoints`, `ping` with a dest, and `events`, with a dest, which is followed; where there are
    `passages` also `expose` and `forward`, which are followed too."""
    about = PassageQuestions(manager, passages) if passages is not None else None
    more: Answers = {"expose": about.expose, "forward": about.forward} if about is not None else {}
    return {
        "status": partial(status_of, manager, passages),
        "endpoints": lambda: manager.endpoints,
        "ping": partial(ping_of, manager),
        "events": partial(EventFeed, manager),
        **more,
    }
