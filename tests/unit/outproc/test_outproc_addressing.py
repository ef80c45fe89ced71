"""Where dests are: what is known, in which order it is tried, and what is refused with its cure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from litz.errors import InvalidDestError, InvalidEndpointError
from litz.wire import Endpoint, EndpointSource, Wire, WireBuilder
from outproc.addressing import MAX_ANSWERS, MAX_FAILURES, MAX_HINTS, Addressing
from outproc.installed_wires import installed_wires


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
    return [str(endpoint) for endpoint in (await addressing.resolve(dest, 1.0)).endpoints]


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


class Failing(Builder):
    """Cannot say where anybody is, and understands its own URLs."""

    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        raise ZeroDivisionError("a bug")


class Hanging(Builder):
    async def endpoints(self, dest: str) -> Sequence[Endpoint]:
        await asyncio.Event().wait()
        return ()


class Says:
    """A directory that answers whatever it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def look_up(self, dest: str) -> Sequence[str]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]  # directories are not ours


async def test_who_fails_costs_nobody_elses_answer() -> None:
    addressing = Addressing([Failing("y"), Builder("x", own=["x:own"])], Says(OSError("down")))
    addressing.add_hints("bob", ["x:hint"])
    resolution = await addressing.resolve("bob", 1.0)
    assert [str(endpoint) for endpoint in resolution.endpoints] == ["x:hint", "x:own"]
    assert list(map(str, resolution.failures)) == ["directory: OSError: down", "y builder: ZeroDivisionError: a bug"]
    assert not resolution.complete


async def test_who_hangs_costs_only_time() -> None:
    resolution = await Addressing([Hanging("y"), Builder("x", own=["x:own"])], None).resolve("bob", 0.01)
    assert [str(endpoint) for endpoint in resolution.endpoints] == ["x:own"]
    assert list(map(str, resolution.failures)) == ["y builder: TimeoutError: no answer within 0.01 s"]


@pytest.mark.parametrize("bad", ["ftp://1", "no url", 7, None, Endpoint("ftp", "ftp://1")])
async def test_one_bad_endpoint_costs_none_of_the_good(bad: object) -> None:
    resolution = await Addressing([Builder("x")], Says(["x:1", bad, "x:2"])).resolve("bob", 1.0)
    assert [str(endpoint) for endpoint in resolution.endpoints] == ["x:1", "x:2"]
    ((who, error),) = [(attempt.endpoint, attempt.error) for attempt in resolution.failures]
    assert (who, type(error)) == ("directory", InvalidEndpointError)
    assert resolution.complete, "everybody has answered"


@pytest.mark.parametrize(("answer", "text"), [("x:1", "a list of URLs"), (None, "not iterable")])
async def test_a_directory_that_gives_no_list_is_named(answer: object, text: str) -> None:
    resolution = await Addressing([Builder("x")], Says(answer)).resolve("bob", 1.0)
    assert resolution.endpoints == []
    ((error),) = [str(attempt.error) for attempt in resolution.failures]
    assert text in error


async def test_what_is_read_of_an_answer_is_bounded() -> None:
    resolution = await Addressing([Builder("x")], Says(f"ftp:{i}" for i in range(10**9))).resolve("bob", 1.0)
    assert len(resolution.failures) == MAX_FAILURES
    resolution = await Addressing([Builder("x")], Says(f"x:{i}" for i in range(10**9))).resolve("bob", 1.0)
    assert len(resolution.endpoints) == MAX_ANSWERS


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


async def test_hints_are_kept_for_a_bounded_number_of_dests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that learns addresses of whoever comes, and hears their goodbyes, kept them all for ever."""
    monkeypatch.setattr("outproc.addressing.MAX_HINTED", 3)
    addressing = Addressing([Builder("x")], None)
    for dest in ("a", "b", "c", "a", "d"):
        addressing.add_hints(dest, [f"x:{dest}"])
    addressing.add_hints("e", [])
    known = [dest for dest in "abcde" if "x:" + dest in await urls(addressing, dest)]
    assert known == ["a", "c", "d"], "b got none for the longest time, and e got none"


async def test_a_bad_hint_changes_nothing() -> None:
    addressing = Addressing([Builder("x")], None)
    with pytest.raises(InvalidEndpointError, match="list of URLs"):
        addressing.add_hints("bob", "x:1")
    with pytest.raises(InvalidEndpointError):
        addressing.add_hints("bob", ["x:1", "ftp://1"])
    assert await urls(addressing) == []


async def test_websockets_are_installed() -> None:
    found = installed_wires().builders
    assert {"ws", "wss", "unix"} <= {scheme for builder in found for scheme in builder.schemes}
    for builder in found:
        await builder.aclose()


async def test_every_address_is_shown_to_the_filter_with_where_it_was_learned() -> None:
    asked: list[tuple[str, EndpointSource]] = []

    def allow(endpoint: Endpoint, source: EndpointSource) -> bool:
        asked.append((str(endpoint), source))
        if "bad" in str(endpoint):
            raise RuntimeError("a mistake of the filter")
        return "no" not in str(endpoint)

    addressing = Addressing([Builder("x", own=["x:own", "x:no-2"])], Says(["x:directory", "x:no-1", "x:bad"]), allow)
    addressing.add_hints("bob", ["x:hint", "x:no-0"])
    resolution = await addressing.resolve("bob", 1.0)
    assert [str(each) for each in resolution.endpoints] == ["x:hint", "x:directory", "x:own"]
    assert asked == [
        ("x:hint", "hints"),
        ("x:no-0", "hints"),
        ("x:directory", "directory"),
        ("x:no-1", "directory"),
        ("x:bad", "directory"),
        ("x:own", "builder"),
        ("x:no-2", "builder"),
    ]
    assert [each.endpoint for each in resolution.failures] == ["x:no-0", "x:no-1", "x:bad", "x:no-2"]
    assert "learned from directory" in str(resolution.failures[1].error)
    assert resolution.complete


@pytest.mark.parametrize("where", ["hints", "mapping", "directory", "builder"])
async def test_by_default_nobody_has_a_link_local_address_dialled(where: str) -> None:
    evil = "x://169.254.169.254:80"
    directory = {"mapping": {"bob": [evil]}, "directory": Says([evil])}.get(where)
    addressing = Addressing([Builder("x", own=[evil] if where == "builder" else ())], directory)  # type: ignore[arg-type]  # one of two
    addressing.add_hints("bob", [evil] if where == "hints" else [])
    resolution = await addressing.resolve("bob", 1.0)
    assert resolution.endpoints == []
    (failure,) = resolution.failures
    assert "allow_endpoint" in str(failure.error)


@pytest.mark.parametrize("wrong", [(0.0, 5.0), (5.0, 1.0), (1.0, float("inf")), (1.0,)])
def test_a_backoff_of_a_builder_that_is_none_is_told_when_the_manager_is_made(wrong: Any) -> None:
    """It used to be found in the first dial, and whoever waited for that waited for ever."""
    builder = Builder("memory")
    builder.backoff = wrong
    with pytest.raises(ValueError, match=r"backoff of the memory builder is \(base, cap\)"):
        Addressing([builder], None)
