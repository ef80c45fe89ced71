"""News of addresses and routes from the kernel of Linux, and the state of both: rtnetlink(7). Needs no privilege.

Of the news only that there are some is of interest: the state is read anew each time, so that nothing is lost when
there were more than the socket holds.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from typing import Final

from outproc.network_news import NetworkState, Way
from outproc.source_address import SOMEWHERE

MAX_ADDRESSES: Final = 4_096
"""Addresses of this host that are looked at."""

_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # links; addresses and routes of IPv4; of IPv6
_ERROR, _DONE, _NEWADDR, _GETADDR, _NEWROUTE, _GETROUTE = 2, 3, 20, 22, 24, 26
_REQUEST, _DUMP = 0x1, 0x300
_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ADDRESS: Final = struct.Struct("=BBBBI")  # family, length of prefix, flags, scope, device
_ROUTE: Final = struct.Struct(
    "=BBBBBBBBI"
)  # family, bits of target and source, tos, table, by whom, scope, type, flags
_ATTRIBUTE: Final = struct.Struct("=HH")  # length, type
_OF_ADDRESS, _OF_LOCAL, _OF_FLAGS = 1, 2, 8
_TARGET, _DEVICE, _GATEWAY = 1, 4, 5
_UNUSABLE: Final = 0x40 | 0x08  # not checked for duplicates yet, or a duplicate
_ONLY_HERE: Final = 254  # the scope of loopback addresses


class Netlink:
    """The kernel's news. Raises OSError where there are none. Not for concurrent use."""

    def __init__(self) -> None:
        self._news = _open(_GROUPS)

    def fileno(self) -> int:
        """Readable when there are news."""
        return self._news.fileno()

    def drain(self) -> bool:
        """Forget the news that came, at most a few hundred; whether there were any."""
        found = False
        for _ in range(256):
            try:
                self._news.recv(65_536)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # some were lost: news all the same
                    raise
            found = True
        return found

    def state(self) -> NetworkState:
        """The network now. Raises OSError if the kernel does not tell."""
        asking = _open(0)
        try:
            return NetworkState(_interfaces(asking), tuple(_ways(asking)))
        finally:
            asking.close()

    def close(self) -> None:
        """Idempotent."""
        self._news.close()


def _open(groups: int) -> socket.socket:
    family: int | None = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError(errno.EAFNOSUPPORT, "this system has no netlink")
    opened = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    try:
        opened.bind((0, groups))
    except BaseException:
        opened.close()
        raise
    return opened


def _interfaces(asking: socket.socket) -> frozenset[str]:
    asking.send(_message(_GETADDR, _REQUEST | _DUMP, _ADDRESS.pack(0, 0, 0, 0, 0)))
    found: set[str] = set()
    for kind, body in _answers(asking):
        interface = interface_in(body) if kind == _NEWADDR else None
        if interface is not None and len(found) < MAX_ADDRESSES:
            found.add(interface)
    return frozenset(found)


def _ways(asking: socket.socket) -> Iterator[Way]:
    for family, number, address in SOMEWHERE:
        packed = socket.inet_pton(number, address)
        route = _ROUTE.pack(number, 8 * len(packed), 0, 0, 0, 0, 0, 0, 0)
        target = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _TARGET) + packed
        asking.send(_message(_GETROUTE, _REQUEST, route + target))
        for kind, body in _datagram(asking):  # an error: there is no such route
            through = through_in(body) if kind == _NEWROUTE else None
            if through is not None:
                yield Way(family, through)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _datagram(asking: socket.socket) -> list[tuple[int, bytes]]:
    # The kernel has answered before `send` returned, so there is nothing to wait for.
    return list(messages_in(asking.recv(262_144)))


def _answers(asking: socket.socket) -> Iterator[tuple[int, bytes]]:
    """All messages of a dump, to its end."""
    while True:
        for kind, body in _datagram(asking):
            if kind == _ERROR:
                raise OSError(-struct.unpack_from("=i", body)[0], "the kernel does not tell its addresses")
            if kind == _DONE:
                return
            yield kind, body


def messages_in(datagram: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message. What is cut off is left out."""
    at = 0
    while at + _HEADER.size <= len(datagram):
        size, kind, *_ = _HEADER.unpack_from(datagram, at)
        if size < _HEADER.size or at + size > len(datagram):
            return
        yield kind, datagram[at + _HEADER.size : at + size]
        at += (size + 3) & ~3


def attributes_in(body: bytes, begin: int) -> dict[int, bytes]:
    """The attributes of a message behind its fixed part."""
    found: dict[int, bytes] = {}
    while begin + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, begin)
        if size < _ATTRIBUTE.size or begin + size > len(body):
            break
        found[kind] = body[begin + _ATTRIBUTE.size : begin + size]
        begin += (size + 3) & ~3
    return found


def interface_in(body: bytes) -> str | None:
    """The address and its network in an RTM_NEWADDR ("10.0.0.7/24"); None if it is not to be used, or only here."""
    if len(body) < _ADDRESS.size:
        return None
    _, prefix, flags, scope, _ = _ADDRESS.unpack_from(body)
    attributes = attributes_in(body, _ADDRESS.size)
    if len(attributes.get(_OF_FLAGS, b"")) == 4:
        flags = struct.unpack("=I", attributes[_OF_FLAGS])[0]
    packed = attributes.get(_OF_LOCAL) or attributes.get(_OF_ADDRESS)
    if packed is None or len(packed) not in (4, 16) or flags & _UNUSABLE or scope == _ONLY_HERE:
        return None
    return f"{ip_address(packed)}/{prefix}"


def through_in(body: bytes) -> str | None:
    """The gateway and the device in an RTM_NEWROUTE, for people and to compare; None if it leads nowhere."""
    attributes = attributes_in(body, _ROUTE.size)
    device = attributes.get(_DEVICE, b"")
    if len(device) != 4:
        return None
    index: int = struct.unpack("=I", device)[0]
    name = str(index)
    with suppress(OSError):
        name = socket.if_indextoname(index)
    gateway = attributes.get(_GATEWAY, b"")
    return f"{ip_address(gateway)} on {name}" if len(gateway) in (4, 16) else name
