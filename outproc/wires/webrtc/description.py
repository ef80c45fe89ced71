"""A session description (SDP) as litz understands it: one data-channel section and nothing else. Pure values.

What a peer sends is read into this by `sdp_filter` and written out anew, so that no byte of the peer's text
reaches the parser of a WebRTC library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

CandidateType = Literal["host", "srflx", "prflx", "relay"]
Setup = Literal["actpass", "active", "passive"]

SCTP_PORT: Final = 5000


@dataclass(frozen=True, slots=True)
class Candidate:
    """One UDP address at which a peer may be reached (RFC 8839, section 5.1). `address` is an IP address in
    canonical text."""

    foundation: str
    priority: int
    address: str
    port: int
    type: CandidateType

    def __str__(self) -> str:
        hidden = ""
        if self.type != "host":
            # Libraries insist on a related address; nobody needs the real one.
            hidden = f" raddr {'::' if ':' in self.address else '0.0.0.0'} rport 9"
        return f"{self.foundation} 1 udp {self.priority} {self.address} {self.port} typ {self.type}{hidden}"


@dataclass(frozen=True, slots=True)
class Description:
    """One side of a connection.

    ufrag, pwd    of ICE
    fingerprint   SHA-256 of the DTLS certificate, 32 bytes
    setup         the DTLS role offered or chosen
    max_message   bytes of the largest message this side takes (0 in SDP means any; here it is a large number)
    mid           of the media section; an answer repeats that of its offer
    """

    ufrag: str
    pwd: str
    fingerprint: bytes
    setup: Setup
    candidates: tuple[Candidate, ...]
    max_message: int
    sctp_port: int = SCTP_PORT
    mid: str = "0"

    @property
    def fingerprint_text(self) -> str:
        """As SDP writes it: upper-case hexadecimal with colons."""
        return self.fingerprint.hex(":").upper()

    def to_sdp(self) -> str:
        """The whole text, from nothing but these fields (RFC 8829, RFC 8841)."""
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            f"a=group:BUNDLE {self.mid}",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{self.mid}",
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.pwd}",
            f"a=fingerprint:sha-256 {self.fingerprint_text}",
            f"a=setup:{self.setup}",
            f"a=sctp-port:{self.sctp_port}",
            f"a=max-message-size:{self.max_message}",
            *(f"a=candidate:{candidate}" for candidate in self.candidates),
            "a=end-of-candidates",
        ]
        return "\r\n".join(lines) + "\r\n"

    def __repr__(self) -> str:
        return f"<description {self.setup}, {len(self.candidates)} candidates>"
