"""inproc: the transport manager for peers in one process."""

from inproc.hub import Hub
from inproc.manager import InprocTransportManager
from inproc.options import InprocOptions

__all__ = ["Hub", "InprocOptions", "InprocTransportManager"]
