"""Reads a session description of a peer, refusing what litz does not use and dropping addresses it must not try. Pure.

A WebRTC library sends UDP packets to every address in a description, so a peer could have us scan ports or talk to
services that trust our network. Hence the rules for addresses here, which hold for every engine.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast, get_args

from outproc.endpoint_filter import METADATA
from outproc.wires.webrtc.description import SCTP_PORT, Candidate, CandidateType, Description, Setup

MAX_SDP: Final = 16 * 1024
"""Characters of a description."""

MAX_CANDIDATES: Final = 32
"""Candidates taken of one description; those after them are dropped."""

MAX_LINES: Final = 512

LOWEST_PORT: Final = 1024
"""Ports below are those of services (DNS, NTP, SNMP), not of peers."""

UNSTATED_MAX_MESSAGE: Final = 64 * 1024
"""When a description does not say (RFC 8841, section 6)."""

ANY_MAX_MESSAGE: Final = 1 << 30
"""When a description says 0, which means any."""

_ICE_WORD: Final = re.compile(r"[A-Za-z0-9+/]+")
_TOKEN: Final = re.compile(r"[!-9;-~]{1,64}")
_FINGERPRINT: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2}")
_MEDIA: Final = re.compile(r"application [0-9]{1,5} (?:UDP|TCP)/DTLS/SCTP webrtc-datachannel")
_ONCE: Final = frozenset({"ice-ufrag", "ice-pwd", "setup", "sctp-port", "max-message-size", "mid"})

AddressCheck = Callable[[str, int], bool]
"""Whether an IP address (text) and port may be tried."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses of a peer may be tried.

    loopback    127.0.0.0/8 and ::1: only for peers on this host
    link_local  169.254.0.0/16 and fe80::/10
    check       asked last, for what the rules allow; it can only forbid
    """

    loopback: bool = False
    link_local: bool = False
    check: AddressCheck | None = None

    def allows(self, text: str, port: int) -> bool:
        """False also for what is no IP address: names are never resolved (mDNS names too)."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if address in METADATA or address.is_multicast or address.is_unspecified or "%" in text:
            return False
        if isinstance(address, ipaddress.IPv6Address) and _wraps_v4(address):
            return False
        if address.is_loopback:
            allowed = self.loopback
        elif address.is_link_local:
            allowed = self.link_local
        else:
            allowed = not (isinstance(address, ipaddress.IPv4Address) and address.is_reserved)
        return allowed and (self.check is None or self.check(str(address), port))


def _wraps_v4(address: ipaddress.IPv6Address) -> bool:
    """Whether it stands for an IPv4 address, which would get past the rules for those."""
    nat64 = ipaddress.IPv6Network("64:ff9b::/96")
    return any((address.ipv4_mapped, address.sixtofour, address.teredo)) or address in nat64


def read_description(text: str, policy: AddressPolicy) -> Description:
    """The description in `text`, with the candidates that `policy` allows (perhaps none: the peer's own checks then
    show where it is).

    Raises ValueError, which says what is wrong and quotes nothing of the peer's.
    """
    if len(text) > MAX_SDP:
        raise ValueError(f"a description of {len(text)} characters; the limit is {MAX_SDP}")
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise ValueError(f"a description of {len(lines)} lines; the limit is {MAX_LINES}")
    if not lines or lines[0] != "v=0":
        raise ValueError("a description starts with v=0")
    media = [line[2:] for line in lines if line.startswith("m=")]
    if len(media) != 1 or not _MEDIA.fullmatch(media[0]):
        raise ValueError("a description has one section, for data channels")
    values, fingerprints, offered = _attributes(lines)
    ufrag, pwd = values.get("ice-ufrag", ""), values.get("ice-pwd", "")
    if not (4 <= len(ufrag) <= 256 and 22 <= len(pwd) <= 256 and _ICE_WORD.fullmatch(ufrag + pwd)):
        raise ValueError("a description needs an ICE user fragment and password")
    setup = values.get("setup", "")
    if setup not in get_args(Setup):
        raise ValueError("a description needs a DTLS role")
    mid = values.get("mid", "0")
    if not _TOKEN.fullmatch(mid):
        raise ValueError("the mid of a description is a short word")
    return Description(
        ufrag=ufrag,
        pwd=pwd,
        fingerprint=_fingerprint(fingerprints),
        setup=cast(Setup, setup),
        candidates=_candidates(offered, policy),
        max_message=_max_message(values.get("max-message-size")),
        sctp_port=_number(values.get("sctp-port", str(SCTP_PORT)), 1, 65535, "SCTP port"),
        mid=mid,
    )


def _attributes(lines: list[str]) -> tuple[dict[str, str], list[str], list[str]]:
    values: dict[str, str] = {}
    fingerprints: list[str] = []
    candidates: list[str] = []
    for line in lines:
        if not line.startswith("a="):
            continue
        name, _, value = line[2:].partition(":")
        if name == "candidate":
            candidates.append(value)
        elif name == "fingerprint":
            fingerprints.append(value)
        elif name in _ONCE and values.setdefault(name, value) != value:
            raise ValueError(f"a description says {name} twice")
    return values, fingerprints, candidates


def _fingerprint(found: list[str]) -> bytes:
    """The one SHA-256 fingerprint. Others, of other functions, are of the same certificate and not needed."""
    texts = {value.partition(" ")[2].strip().upper() for value in found if value[:8].lower() == "sha-256 "}
    text = texts.pop() if texts else ""
    if texts or not _FINGERPRINT.fullmatch(text):
        raise ValueError("a description needs one SHA-256 fingerprint")
    return bytes.fromhex(text.replace(":", ""))


def _max_message(value: str | None) -> int:
    if value is None:
        return UNSTATED_MAX_MESSAGE
    return _number(value, 0, ANY_MAX_MESSAGE, "max-message-size") or ANY_MAX_MESSAGE


def _number(text: str, low: int, high: int, what: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and low <= int(text) <= high):
        raise ValueError(f"the {what} of a description is no number from {low} to {high}")
    return int(text)


def _candidates(lines: list[str], policy: AddressPolicy) -> tuple[Candidate, ...]:
    """Those that can be used; a line that cannot is dropped, because a peer may offer kinds that we do not know."""
    found: dict[tuple[str, int], Candidate] = {}
    for line in lines[: 4 * MAX_CANDIDATES]:
        candidate = _candidate(line, policy)
        if candidate is not None:
            found.setdefault((candidate.address, candidate.port), candidate)
        if len(found) == MAX_CANDIDATES:
            break
    return tuple(found.values())


def _candidate(line: str, policy: AddressPolicy) -> Candidate | None:
    words = line[:512].split()
    if len(words) < 8 or words[1] != "1" or words[2].lower() != "udp" or words[6] != "typ":
        return None
    foundation, priority, address, port, kind = words[0], words[3], words[4], words[5], words[7]
    if kind not in get_args(CandidateType) or not (_ICE_WORD.fullmatch(foundation) and len(foundation) <= 64):
        return None
    try:
        number = _number(port, LOWEST_PORT, 65535, "port")
        rank = _number(priority, 0, (1 << 32) - 1, "priority")
    except ValueError:
        return None
    if not policy.allows(address, number):
        return None
    return Candidate(foundation, rank, str(ipaddress.ip_address(address)), number, cast(CandidateType, kind))
