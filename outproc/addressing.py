"""Where dests are, and who dials there: hints, the directory, and the wire builders of one node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from litz.dest import validate_dest
from litz.errors import InvalidEndpointError
from litz.wire import Endpoint, Wire, WireBuilder, scheme_of

MAX_HINTS = 32
"""Endpoints kept per dest from `add_endpoints`; the newest stay."""

ENTRY_POINTS = "litz.wires"


@runtime_checkable
class Directory(Protocol):
    """Tells where dests are. A plain mapping of ids to URLs is one too.

    Asked when a dest is dialled for the first time, and again whenever all its endpoints have failed.
    """

    async def look_up(self, dest: str) -> Sequence[str]:
        """The endpoint URLs of `dest`, best first; none if it is not known. May raise OSError or a LitzError; is
        cancelled after the dial timeout."""


def installed_builders() -> list[WireBuilder]:
    """One builder of every kind of wire that is installed (entry-point group `litz.wires`)."""
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)
    return [entry.load()() for entry in found]


class Addressing:
    """Resolves dests to endpoints, and endpoints to builders."""

    def __init__(
        self, builders: Iterable[WireBuilder], directory: Mapping[str, Sequence[str]] | Directory | None
    ) -> None:
        self.builders = list(builders)
        self._by_scheme: dict[str, WireBuilder] = {}
        for builder in self.builders:
            for scheme in builder.schemes:
                self._by_scheme.setdefault(scheme, builder)
        self._directory = directory
        self._hints: dict[str, dict[Endpoint, None]] = {}
        if isinstance(directory, Mapping):
            for dest, urls in directory.items():
                validate_dest(dest)
                if isinstance(urls, str):
                    raise InvalidEndpointError(f"the directory has {urls!r} for {dest!r}; give a list of URLs")
                for url in urls:
                    self.endpoint(url)

    def endpoint(self, url: str) -> Endpoint:
        """Read a URL. Raises `InvalidEndpointError` that names the schemes there are."""
        builder = self._by_scheme.get(scheme_of(url))
        if builder is None:
            known = ", ".join(sorted(self._by_scheme)) or "none"
            raise InvalidEndpointError(f"no installed wire understands {url!r}; schemes there are: {known}")
        return Endpoint(builder.kind, url)

    def builder_of(self, endpoint: Endpoint) -> WireBuilder:
        return self._by_scheme[endpoint.scheme]

    def add_hints(self, dest: str, urls: Iterable[str]) -> None:
        """Remember endpoints for `dest`, newest last, a bounded number."""
        if isinstance(urls, str):
            raise InvalidEndpointError(f"hints are a list of URLs, not one string {urls!r}")
        endpoints = [self.endpoint(url) for url in urls]
        hints = self._hints.setdefault(dest, {})
        for endpoint in endpoints:
            hints.pop(endpoint, None)
            hints[endpoint] = None
        while len(hints) > MAX_HINTS:
            del hints[next(iter(hints))]

    def forget(self, dest: str) -> None:
        self._hints.pop(dest, None)

    async def resolve(self, dest: str) -> list[Endpoint]:
        """Hints first, then the directory, then what builders know by the dest alone."""
        found = dict(self._hints.get(dest, {}))
        if isinstance(self._directory, Mapping):
            urls = self._directory.get(dest, ())
        else:
            urls = await self._directory.look_up(dest) if self._directory is not None else ()
        for url in urls:
            found[self.endpoint(url)] = None
        for builder in self.builders:
            for endpoint in await builder.endpoints(dest):
                found[endpoint] = None
        return list(found)

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        return await self.builder_of(endpoint).build(dest, endpoint)
