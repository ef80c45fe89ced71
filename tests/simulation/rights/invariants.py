"""What must be so of rights."""

from __future__ import annotations

from tests.simulation.seeds import InvariantError


class RightsError(InvariantError):
    """verdict        an authenticator takes exactly the proofs that are right
    forbidden-out  who may not be here is not here once that has been looked at, and is not heard
    allowed-in     who may be here gets in, and is not dropped
    service        exactly who may speak to a service is heard there
    places         a stream makes room for one that is taken, and for nobody else; nobody is rejected by nobody
    """

    names = ("verdict", "forbidden-out", "allowed-in", "service", "places")
