"""A manager that is made with the wrong things says so at once, and what it takes."""

from __future__ import annotations

from typing import Any

import pytest

from litz.errors import InvalidEndpointError
from outproc import OutprocTransportManager
from outproc.wires.memory import MemoryNetwork, MemoryWireBuilder

BUILDER = MemoryWireBuilder(MemoryNetwork())


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ({"options": {"log_size": 1}}, r"options= takes TransportOptions\(...\), not a dict"),
        ({"relay": True}, r"relay= takes RelayOptions\(...\), not a bool"),
        ({"authenticator": "secret"}, "authenticator= takes an Authenticator, such as .*, not a str"),
        ({"authenticator": b""}, "authenticator= takes an Authenticator"),
        ({"directory": ["ws://127.0.0.1:1"]}, "directory= takes a mapping of ids"),
        ({"builders": BUILDER}, "write builders=.* around it"),
        ({"builders": [MemoryWireBuilder]}, "builders= takes a list of WireBuilder objects"),
        ({"allow_endpoint": None}, "allow_endpoint= takes a function"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_is_of_the_wrong_sort_is_refused(arguments: dict[str, Any], cure: str) -> None:
    with pytest.raises(TypeError, match=cure) as raised:
        OutprocTransportManager("alice", **{"builders": [BUILDER], **arguments})
    assert "secret)" in str(raised.value) or "secret" not in str(raised.value), "it shows what may be a secret"


def test_an_empty_authenticator_is_not_none() -> None:
    """One that counts as false, an empty ring of keys say, must not open the node to everybody."""

    class Ring:
        method, proves, resists_guessing = "ring", "id", True

        def __len__(self) -> int:
            return 0

        async def verify(self, *_: object) -> None:
            raise AssertionError("not called here")

    ring: Any = Ring()
    manager = OutprocTransportManager("alice", builders=[BUILDER], authenticator=ring)
    assert manager._authenticator is ring


async def test_wrong_arguments_of_verbs_name_what_they_take() -> None:
    wrong: Any = 5
    async with OutprocTransportManager("alice", builders=[BUILDER]) as alice:
        with pytest.raises(InvalidEndpointError, match="an endpoint is a URL"):
            await alice.listen(wrong)
        with pytest.raises(InvalidEndpointError, match="an endpoint is a URL"):
            alice.add_endpoints("bob", [wrong])
        with pytest.raises(TypeError, match="serve takes a function"):
            await alice.serve(wrong)
        for interval in (0, -1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="above 0 seconds"):
                alice.start_health_checker(interval)
