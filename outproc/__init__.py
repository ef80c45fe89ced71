"""Transport across processes and machines: sessions that outlive their wires.

Names are loaded when they are first used, so that who wants one of the pure cores, or Ctrl-C in the first moment of the
command, does not wait for all drivers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outproc.addressing import Directory
    from outproc.manager import OutprocTransportManager
    from outproc.options import TransportOptions
    from outproc.reachability import Redial
    from outproc.relay_options import RelayOptions
    from outproc.session.limits import Overflow

__all__ = ["Directory", "OutprocTransportManager", "Overflow", "Redial", "RelayOptions", "TransportOptions"]

_HOMES = {
    "Directory": "outproc.addressing",
    "OutprocTransportManager": "outproc.manager",
    "Overflow": "outproc.session.limits",
    "Redial": "outproc.reachability",
    "RelayOptions": "outproc.relay_options",
    "TransportOptions": "outproc.options",
}


if not TYPE_CHECKING:  # type checkers are to notice names that are not there

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
