"""Where the nodes of this user on this machine are: their control sockets know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from outproc.cli.control_socket import inquire
from outproc.cli.outcome import CommandError
from outproc.cli.runtime_dir import runtime_dir, socket_path

_EVERYWHERE = re.compile(r"^(\w+://)(0\.0\.0\.0|\[::\])(:\d+.*)?$")


class LocalNodes:
    """A directory: what is `given` of a dest, and without that the node of that id that runs here."""

    def __init__(self, given: Mapping[str, Sequence[str]]) -> None:
        self._given = given

    async def look_up(self, dest: str) -> Sequence[str]:
        """See `outproc.addressing.Directory`."""
        given = self._given.get(dest)
        if given:
            return given
        try:
            endpoints = await inquire(socket_path(runtime_dir(), dest), "endpoints")
        except (OSError, CommandError):
            return ()  # it does not run here, or not any more
        return [reachable(str(endpoint)) for endpoint in endpoints]


def reachable(url: str) -> str:
    """Where somebody on this machine finds what listens at `url`."""
    found = _EVERYWHERE.match(url)
    if found is None:
        return url
    return f"{found[1]}{'127.0.0.1' if found[2] == '0.0.0.0' else '[::1]'}{found[3] or ''}"
