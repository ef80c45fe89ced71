"""The messages of `litz demo`, and the checker that finds each that is lost, doubled, reordered or damaged. Pure."""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from random import Random
from typing import Final

from litz.payload import PayloadType

LANES: Final = (PayloadType.RPC_RELIABLE, PayloadType.RPC_SIGNAL, PayloadType.STREAM_RELIABLE)
"""The payload types that promise exactly once and in order."""

SABOTAGE_VARIABLE: Final = "LITZ_DEMO_SABOTAGE"
"""For tests of the verdict: makes every checker see one fault that did not happen."""
SABOTAGES: Final = ("drop", "double", "swap", "damage")
SABOTAGED: Final = 50
"""The number of the message that a sabotage hits."""

MAX_MISSING: Final = 100_000
_HEAD: Final = struct.Struct("<Q16s")


def _digest(sender: str, dest: str, lane: int, number: int, payload: bytes) -> bytes:
    head = f"{sender}\0{dest}\0{lane}\0{number}\0".encode()
    return blake2b(head + payload, digest_size=16).digest()


def make_message(rng: Random, sender: str, dest: str, lane: PayloadType, number: int) -> bytes:
    """Message `number` of that lane: mostly small, now and then large enough to be cut in the middle."""
    chance = rng.random()
    if chance < 0.95 or lane is PayloadType.RPC_SIGNAL:
        size = rng.randint(0, 256)
    else:
        size = rng.randint(1024, 4096) if chance < 0.998 else rng.randint(4096, 65536)
    payload = rng.randbytes(size)
    return _HEAD.pack(number, _digest(sender, dest, lane, number, payload)) + payload


@dataclass(slots=True)
class Faults:
    """What a checker found. All of it must be 0."""

    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    damaged: int = 0

    @property
    def any(self) -> bool:
        return bool(self.lost or self.doubled or self.reordered or self.damaged)

    def add(self, other: Faults) -> None:
        """Add up."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.reordered += other.reordered
        self.damaged += other.damaged

    def plain(self) -> dict[str, int]:
        """As JSON can hold it."""
        return asdict(self)


@dataclass(slots=True)
class LaneCheck:
    """One lane of one sender, from the receiver's side."""

    sender: str
    local_id: str
    lane: PayloadType
    received: int = 0
    next_number: int = 0
    missing: dict[int, None] = field(default_factory=dict)
    uncounted: int = 0
    """Missing numbers beyond `MAX_MISSING`, of which only the count is kept."""
    faults: Faults = field(default_factory=Faults)

    def take(self, data: bytes) -> None:
        """A message arrived."""
        self.received += 1
        try:
            number, digest = _HEAD.unpack_from(data)
        except struct.error:
            self.faults.damaged += 1
            return
        if digest != _digest(self.sender, self.local_id, self.lane, number, data[_HEAD.size :]):
            self.faults.damaged += 1
        elif number == self.next_number:
            self.next_number += 1
        elif number > self.next_number:
            self._skip(number)
            self.next_number = number + 1
        elif number in self.missing:
            del self.missing[number]
            self.faults.reordered += 1
        else:
            self.faults.doubled += 1
        self.faults.lost = len(self.missing) + self.uncounted

    def end(self, sent: int) -> None:
        """The sender sent so many in all."""
        if sent > self.next_number:
            self._skip(sent)
            self.next_number = sent
            self.faults.lost = len(self.missing) + self.uncounted

    def _skip(self, until: int) -> None:
        room = max(0, MAX_MISSING - len(self.missing))
        kept = min(until, self.next_number + room)
        self.missing.update(dict.fromkeys(range(self.next_number, kept)))
        self.uncounted += until - kept


class Checker:
    """Everything that one node receives. `sabotage`: one of `SABOTAGES`, or empty."""

    def __init__(self, local_id: str, sabotage: str = "") -> None:
        if sabotage and sabotage not in SABOTAGES:
            raise ValueError(f"{SABOTAGE_VARIABLE} is one of {', '.join(SABOTAGES)}, not {sabotage!r}")
        self._id = local_id
        self._lanes: dict[tuple[str, int], LaneCheck] = {}
        self._sabotage = sabotage
        self._held: bytes | None = None
        self._countdown = SABOTAGED

    def take(self, sender: str, lane: PayloadType, data: bytes) -> None:
        """A message arrived, in this order."""
        check = self.lane(sender, lane)
        if self._sabotage and lane is PayloadType.RPC_RELIABLE:
            self._spoil(check, data)
        else:
            check.take(data)

    def lane(self, sender: str, lane: int) -> LaneCheck:
        """The checker of one lane."""
        check = self._lanes.get((sender, lane))
        if check is None:
            check = self._lanes[sender, lane] = LaneCheck(sender, self._id, PayloadType(lane))
        return check

    def received(self, sender: str) -> int:
        """Messages from `sender`, all lanes."""
        return sum(check.received for (name, _), check in self._lanes.items() if name == sender)

    def faults(self, sender: str) -> Faults:
        """What was found wrong with the messages of `sender`."""
        total = Faults()
        for (name, _), check in self._lanes.items():
            if name == sender:
                total.add(check.faults)
        return total

    def _spoil(self, check: LaneCheck, data: bytes) -> None:
        if self._held is not None:
            check.take(data)
            check.take(self._held)
            self._held, self._sabotage = None, ""
            return
        self._countdown -= check.sender == min(name for name, _ in self._lanes)
        if self._countdown:
            check.take(data)
            return
        match self._sabotage:
            case "double":
                check.take(data)
                check.take(data)
            case "damage":
                check.take(data[:-1] + bytes([data[-1] ^ 1]))
            case "swap":
                self._held = data
        if self._sabotage != "swap":
            self._sabotage = ""
