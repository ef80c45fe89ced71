"""What an `OutprocTransportManager` is made with: of the right sort, or refused at once, with the cure.

Otherwise a misunderstanding would show in the first dial, or worse: an empty secret would count as no authenticator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from litz.errors import InsecureListenError
from litz.wire import WireBuilder
from outproc.options import TransportOptions
from outproc.relay_options import RelayOptions
from outproc.security.authenticator import Authenticator


def check_arguments(
    directory: object,
    authenticator: object,
    options: object,
    relay: object,
    allow_endpoint: object,
    *,
    authorize: object = None,
) -> None:
    """Raises TypeError. What is None is left out, and fine."""
    if options is not None and not isinstance(options, TransportOptions):
        raise _wrong("options", "TransportOptions(...)", options)
    if relay is not None and not isinstance(relay, RelayOptions):
        raise _wrong("relay", "RelayOptions(...)", relay)
    if authenticator is not None and not hasattr(authenticator, "verify"):
        raise _wrong("authenticator", "an Authenticator, such as SharedKeyAuthenticator(secret)", authenticator)
    if directory is not None and not isinstance(directory, Mapping) and not hasattr(directory, "look_up"):
        raise _wrong("directory", "a mapping of ids to lists of URLs, or an object with look_up(dest)", directory)
    if authorize is not None and not callable(authorize):
        raise _wrong("authorize", "a function of (peer, what, verb), or a coroutine function", authorize)
    if not callable(allow_endpoint):
        raise _wrong("allow_endpoint", "a function of an endpoint and where it was learned", allow_endpoint)


def checked_builders(builders: Iterable[WireBuilder]) -> tuple[WireBuilder, ...]:
    """All of them. Raises TypeError."""
    if isinstance(builders, WireBuilder):
        raise TypeError("builders= takes a list: write builders=[...] around it")
    found = tuple(builders)
    for builder in found:
        if not isinstance(builder, WireBuilder):
            raise _wrong("builders", "a list of WireBuilder objects", builder)
    return found


def check_listen(url: str, authenticator: Authenticator, *, local: bool) -> None:
    """Raises `InsecureListenError` beyond this machine without an authenticator (P8)."""
    if not local and authenticator.proves == "nothing":
        raise InsecureListenError(
            f"{url} can be reached from other hosts, and without an authenticator anybody may claim any id; "
            "pass authenticator=Ed25519Authenticator(...) or SharedKeyAuthenticator(...), or listen on 127.0.0.1"
        )


def _wrong(name: str, wanted: str, given: object) -> TypeError:
    # Not what it is: it may be a secret.
    return TypeError(f"{name}= takes {wanted}, not a {type(given).__name__}")
