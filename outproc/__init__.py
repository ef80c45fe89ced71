"""Transport across processes and machines: sessions that outlive their wires."""

from outproc.addressing import Directory
from outproc.manager import OutprocTransportManager
from outproc.options import TransportOptions
from outproc.reachability import Redial
from outproc.relay_options import RelayOptions
from outproc.session.limits import Overflow

__all__ = ["Directory", "OutprocTransportManager", "Overflow", "Redial", "RelayOptions", "TransportOptions"]
