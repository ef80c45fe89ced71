"""Where dests are: what is known, in which order it is tried, and what is refused with its cure."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from litz.errors import InvalidDestError, InvalidEndpointError
from litz.wire import Endpoint, Wire, WireBuilder
from outproc.addressing import MAX_HINTS, Addressing, installed_builders


class Builder(WireBuilder):
    """Understands some schemes, and knows some endpoints by the dest alone."""

    def __init__(self, kind: str, *schemes: str, own: Sequence[str] = ()) -> None:
        self.kind = kind
        self.schemes = schemes or (kind,)
        self.own = [Endpoint(kind, url) for url in own]

    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        return self.own

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        raise ConnectionRefusedError(f"{self.kind} {dest} {endpoint}")


class Known:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def look_up(self, dest: str) -> Sequence[str]:
        self.asked.append(dest)
        return ["x:directory", "x:shared"]


async def urls(addressing: Addressing, dest: str = "bob") -> list[str]:
    return [str(endpoint) for endpoint in await addressing.resolve(dest)]


async def test_hints_come_first_then_the_directory_then_what_builders_know_and_each_once() -> None:
    addressing = Addressing([Builder("x", own=["x:own", "x:shared"])], {"bob": ["x:directory", "x:shared"]})
    addressing.add_hints("bob", ["x:hint", "x:shared"])
    assert await urls(addressing) == ["x:hint", "x:shared", "x:directory", "x:own"]
    assert await urls(addressing, "carol") == ["x:own", "x:shared"]
    addressing.forget("bob")
    assert await urls(addressing) == ["x:directory", "x:shared", "x:own"]


async def test_a_directory_is_asked_each_time() -> None:
    directory = Known()
    addressing = Addressing([Builder("x")], directory)
    assert await urls(addressing) == await urls(addressing) == ["x:directory", "x:shared"]
    assert directory.asked == ["bob", "bob"]
    assert await urls(Addressing([Builder("x")], None)) == []


async def test_only_the_newest_hints_stay() -> None:
    addressing = Addressing([Builder("x")], None)
    addressing.add_hints("bob", [f"x:{number}" for number in range(MAX_HINTS)])
    addressing.add_hints("bob", ["x:0", "x:new"])
    found = await urls(addressing)
    assert len(found) == MAX_HINTS
    assert found[-2:] == ["x:0", "x:new"]
    assert "x:1" not in found


async def test_the_first_builder_of_a_scheme_dials_it() -> None:
    addressing = Addressing([Builder("one", "a", "b"), Builder("two", "b", "c")], None)
    assert [addressing.endpoint(f"{scheme}:1").kind for scheme in "abc"] == ["one", "one", "two"]
    with pytest.raises(ConnectionRefusedError, match="two bob c:1"):
        await addressing.build("bob", addressing.endpoint("c:1"))


def test_what_no_wire_understands_names_the_schemes_there_are() -> None:
    addressing = Addressing([Builder("y"), Builder("x")], None)
    with pytest.raises(InvalidEndpointError, match=r"'ftp://bob'.*x, y"):
        addressing.endpoint("ftp://bob")
    with pytest.raises(InvalidEndpointError, match="none"):
        Addressing([], None).endpoint("x:1")


@pytest.mark.parametrize("directory", [{"bob": "x:1"}, {"bob": ["ftp://1"]}])
def test_a_bad_directory_is_refused_at_once(directory: dict[str, Sequence[str]]) -> None:
    with pytest.raises(InvalidEndpointError):
        Addressing([Builder("x")], directory)
    with pytest.raises(InvalidDestError):
        Addressing([Builder("x")], {"no id": ["x:1"]})


async def test_a_bad_hint_changes_nothing() -> None:
    addressing = Addressing([Builder("x")], None)
    with pytest.raises(InvalidEndpointError, match="list of URLs"):
        addressing.add_hints("bob", "x:1")
    with pytest.raises(InvalidEndpointError):
        addressing.add_hints("bob", ["x:1", "ftp://1"])
    assert await urls(addressing) == []


async def test_websockets_are_installed() -> None:
    found = installed_builders()
    assert {"ws", "wss", "unix"} <= {scheme for builder in found for scheme in builder.schemes}
    for builder in found:
        await builder.aclose()
