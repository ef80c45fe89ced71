"""Where dests are, and who dials there: hints, the directory, and the wire builders of one node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol, runtime_checkable

from litz.dest import validate_dest
from litz.errors import Attempt, InvalidEndpointError
from litz.wire import Endpoint, EndpointFilter, EndpointSource, Wire, WireBuilder, scheme_of
from outproc.endpoint_filter import allow_endpoint, refusal
from outproc.installed_wires import BrokenWire
from outproc.retry.backoff import Backoff

MAX_HINTS = 32
"""Endpoints kept per dest from `add_endpoints`; the newest stay."""

MAX_HINTED = 65_536
"""Dests whose hints are kept; those that got none for the longest time are forgotten."""

MAX_ANSWERS = 256
"""Endpoints that are read of one answer of a directory or builder."""

MAX_FAILURES = 8
"""Failures of one look-up that are told."""


@runtime_checkable
class Directory(Protocol):
    """Tells where dests are. A plain mapping of ids to URLs is one too.

    Asked when a dest is dialled for the first time, again whenever all its endpoints have failed, and now and then
    while some of them keep failing.
    """

    async def look_up(self, dest: str) -> Sequence[str]:
        """The endpoint URLs of `dest`, best first; none if it is not known. May raise OSError or a LitzError; is
        cancelled after the dial timeout."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a dest is.

    endpoints  all that is known, best first
    failures   what could not be asked, or gave what is no endpoint
    complete   everybody who was asked has answered, so that what is not in `endpoints` is not one any more
    """

    endpoints: list[Endpoint]
    failures: tuple[Attempt, ...] = ()
    complete: bool = True


async def _ready(urls: Iterable[object]) -> Iterable[object]:
    return urls


async def _answer(
    name: str, ask: Callable[[], Awaitable[Iterable[object]]], timeout: float
) -> list[object] | Exception:
    try:
        async with asyncio.timeout(timeout):
            answer = await ask()
        if isinstance(answer, str):
            raise InvalidEndpointError(f"the {name} gave {answer!r}; it should give a list of URLs")
        return list(islice(answer, MAX_ANSWERS))
    except TimeoutError as error:
        return error if str(error) else TimeoutError(f"no answer within {timeout:g} s")
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Of a task of its own, perhaps. Taken for ours, it would end the look-up without an answer.
        failure = ConnectionAbortedError(f"the {name} cancelled its own answer")
        failure.__cause__ = error
        return failure
    except Exception as error:
        # Whatever it raises, the others' answers are good.
        return error


def _check_backoff(builder: WireBuilder) -> None:
    """Raises ValueError here, where it can be mended, and not in each dial."""
    if builder.backoff is None:
        return
    try:
        base, cap = builder.backoff
        Backoff(base, cap)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the backoff of the {builder.kind} builder is (base, cap) in seconds, 0 < base <= cap, "
            f"not {builder.backoff!r}"
        ) from error


class Addressing:
    """Resolves dests to endpoints, and endpoints to builders. Raises ValueError for a backoff that is none."""

    def __init__(
        self,
        builders: Iterable[WireBuilder],
        directory: Mapping[str, Sequence[str]] | Directory | None,
        allow: EndpointFilter = allow_endpoint,
        broken: Iterable[BrokenWire] = (),
    ) -> None:
        self.broken = tuple(broken)
        self.builders = list(builders)
        self.allow = allow
        self._by_scheme: dict[str, WireBuilder] = {}
        for builder in self.builders:
            _check_backoff(builder)
            for scheme in builder.schemes:
                self._by_scheme.setdefault(scheme, builder)
        self._directory = directory
        self._hints: dict[str, dict[Endpoint, None]] = {}
        self.leaving_host: Callable[[], None] | None = None
        """Called before an endpoint is dialled that is not of this host."""
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
            perhaps = "".join(f"; {each}" for each in self.broken)
            raise InvalidEndpointError(f"no installed wire understands {url!r}; schemes there are: {known}{perhaps}")
        return Endpoint(builder.kind, url)

    @property
    def kinds(self) -> list[str]:
        """The kinds of wire there are."""
        return [builder.kind for builder in self.builders]

    def builder_of(self, endpoint: Endpoint) -> WireBuilder:
        return self._by_scheme[endpoint.scheme]

    def add_hints(self, dest: str, urls: Iterable[str]) -> None:
        """Remember endpoints for `dest`, newest last, a bounded number."""
        if isinstance(urls, str):
            raise InvalidEndpointError(f"hints are a list of URLs, not one string {urls!r}")
        endpoints = [self.endpoint(url) for url in urls]
        hints = self._hints.pop(dest, {})
        for endpoint in endpoints:
            hints.pop(endpoint, None)
            hints[endpoint] = None
        while len(hints) > MAX_HINTS:
            del hints[next(iter(hints))]
        if hints:
            self._hints[dest] = hints
        while len(self._hints) > MAX_HINTED:
            del self._hints[next(iter(self._hints))]

    def forget(self, dest: str) -> None:
        self._hints.pop(dest, None)

    async def resolve(self, dest: str, timeout: float) -> Resolution:
        """Hints first, then the directory, then what builders know by the dest alone. They are asked side by side, each
        for at most `timeout` seconds. Never raises: what one of them does costs nobody else's answer."""
        found: dict[Endpoint, None] = {}
        failures: list[Attempt] = []
        asked = self._sources(dest)
        if len(asked) == 1:
            answers = [await _answer(*asked[0], timeout)]
        else:
            answers = await asyncio.gather(*(_answer(*source, timeout) for source in asked))
        # Only now: what a user named meanwhile counts, for nobody asks again because of it.
        for hint in self._hints.get(dest, {}):
            self._admit(hint, "hints", found, failures)
        for (name, _), answer in zip(asked, answers, strict=True):
            if isinstance(answer, Exception):
                failures.append(Attempt(name, answer))
                continue
            for item in answer:
                try:
                    endpoint = self._checked(item)
                except Exception as error:
                    # Directories and builders are not ours: what they name may be anything.
                    failures.append(Attempt(name, error))
                    continue
                self._admit(endpoint, "directory" if name == "directory" else "builder", found, failures)
        complete = not any(isinstance(answer, Exception) for answer in answers)
        return Resolution(list(found), tuple(failures[:MAX_FAILURES]), complete)

    def _admit(
        self, endpoint: Endpoint, source: EndpointSource, found: dict[Endpoint, None], failures: list[Attempt]
    ) -> None:
        """Add the endpoint to what was found, or its refusal to what failed."""
        try:
            allowed = self.allow(endpoint, source)
        except Exception as error:
            # The filter is the user's: one that fails allows nothing.
            failures.append(Attempt(str(endpoint), error))
            return
        if allowed:
            found[endpoint] = None
        else:
            failures.append(Attempt(str(endpoint), refusal(endpoint, source)))

    def _sources(self, dest: str) -> list[tuple[str, Callable[[], Awaitable[Iterable[object]]]]]:
        """Whom to ask, by name, and how: a coroutine is made only once it will be awaited. Builders that only have the
        default answer are not bothered."""
        sources: list[tuple[str, Callable[[], Awaitable[Iterable[object]]]]] = []
        if isinstance(self._directory, Mapping):
            sources.append(("directory", partial(_ready, self._directory.get(dest, ()))))
        elif self._directory is not None:
            sources.append(("directory", partial(self._directory.look_up, dest)))
        own = [builder for builder in self.builders if type(builder).endpoints is not WireBuilder.endpoints]
        return [*sources, *((f"{builder.kind} builder", partial(builder.endpoints, dest)) for builder in own)]

    def _checked(self, item: object) -> Endpoint:
        if isinstance(item, Endpoint) and item.scheme in self._by_scheme:
            return item
        if not isinstance(item, str | Endpoint):
            raise InvalidEndpointError(f"{item!r} is no endpoint; give URLs")
        return self.endpoint(str(item))

    def pace(self, endpoint: Endpoint) -> tuple[float, float] | None:
        return self.builder_of(endpoint).backoff

    async def build(self, dest: str, endpoint: Endpoint) -> Wire:
        builder = self.builder_of(endpoint)
        if self.leaving_host is not None and not builder.is_local(endpoint):
            self.leaving_host()
        return await builder.build(dest, endpoint)

    def is_local(self, endpoint: Endpoint) -> bool:
        """Whether only this host can reach it."""
        return self.builder_of(endpoint).is_local(endpoint)
