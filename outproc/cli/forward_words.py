"""What `litz expose` and `litz forward` are told: services, targets and places to listen at. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from litz.dest import validate_dest
from outproc.cli.outcome import UsageError

_EXPOSED: Final = re.compile(r"^(?:(?P<node>[^=]+):)?(?P<service>[^:=]+)=(?P<target>.+)$")
_FORWARDED: Final = re.compile(r"^(?P<at>[^=]+)=(?P<dest>.+):(?P<service>[^:]+)$")
_EVERYWHERE: Final = ("*", "0.0.0.0", "::")


@dataclass(frozen=True, slots=True)
class TcpPlace:
    """A host and a port: of a target, or to listen at (port 0: any that is free)."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it. A name is trusted only if it is `localhost`."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixPlace:
    """A Unix socket."""

    path: str
    loopback: bool = True

    def __str__(self) -> str:
        return f"unix:{self.path}"


Place = TcpPlace | UnixPlace


@dataclass(frozen=True, slots=True)
class Exposed:
    """`[ID:]NAME=TARGET`: connections to the service NAME of the node ID (None: not said) go to the target."""

    node: str | None
    service: str
    target: Place


@dataclass(frozen=True, slots=True)
class Forwarded:
    """`PLACE=DEST:NAME`: connections that are accepted at the place go to the service NAME of DEST."""

    at: Place
    dest: str
    service: str


def read_exposed(text: str) -> Exposed:
    """Raises `UsageError`, which shows how it is written."""
    found = _EXPOSED.match(text)
    if found is None:
        raise UsageError(
            f"{text!r} exposes nothing; write for example ssh=127.0.0.1:22, bob:ssh=127.0.0.1:22, db=unix:/run/db"
        )
    target = _place(found["target"], text, "a target")
    if isinstance(target, TcpPlace) and not (target.port and target.host not in _EVERYWHERE):
        raise UsageError(f"{text!r}: a target is a host and a port from 1 to 65535, such as 127.0.0.1:22")
    node = found["node"]
    return Exposed(None if node is None else validate_dest(node), _service(found["service"], text), target)


def read_forwarded(text: str) -> Forwarded:
    """Raises `UsageError`, which shows how it is written."""
    found = _FORWARDED.match(text)
    if found is None:
        raise UsageError(
            f"{text!r} forwards nothing; write for example 2222=bob:ssh, 0.0.0.0:2222=bob:ssh or unix:/tmp/db=bob:db"
        )
    at = found["at"]
    place = _place(at if ":" in at else f"127.0.0.1:{at}", text, "where to listen")
    if isinstance(place, TcpPlace) and place.host == "*":
        place = TcpPlace("0.0.0.0", place.port)
    return Forwarded(place, validate_dest(found["dest"]), _service(found["service"], text))


def _service(name: str, text: str) -> str:
    try:
        return validate_dest(name)
    except ValueError as error:
        raise UsageError(f"{text!r}: the name of a service is written like an id: {error}") from error


def _place(text: str, whole: str, what: str) -> Place:
    kind, colon, path = text.partition(":")
    if kind == "unix" and colon:
        if not path.startswith("/"):
            raise UsageError(f"{whole!r}: the path of a Unix socket begins with a slash: unix:/run/db.sock")
        return UnixPlace(path)
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"{whole!r}: an IPv6 address stands in brackets: [::1]:{port}")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise UsageError(f"{whole!r}: {what} is a host and a port, such as 127.0.0.1:2222, or unix:/path")
    return TcpPlace(host, int(port))
