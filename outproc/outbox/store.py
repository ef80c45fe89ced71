"""What an outbox and an inbox ask of their stores: protocols, and the values that go in and out.

A store's methods are called in one thread that is not the loop's, one at a time, in the order of the calls. Each method
that writes is one transaction: all of it is there afterwards, or nothing. They raise `StoreError` and its kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from outproc.outbox.events import DeadReason

ROW_COST = 128
"""Bytes that a row costs besides its payload, by estimate; they count in `max_bytes`."""


class Row(NamedTuple):
    """One message as it is stored. An empty key is none; `again`: it was a dead letter and may have been handled."""

    sequence: int
    key: str
    data: bytes
    attempts: int
    again: bool

    @property
    def size(self) -> int:
        """What counts of it against windows."""
        return len(self.data)


class NewRow(NamedTuple):
    """One message to be stored."""

    sequence: int
    dest: str
    key: str
    created: float
    data: bytes


class Run(NamedTuple):
    """One time that an outbox was opened: its epoch, its random id, and the first sequence it could use."""

    epoch: int
    token: bytes
    first: int


@dataclass(slots=True)
class Peer:
    """What an outbox knows of one dest.

    acked    the highest sequence that its inbox said it has committed
    tried    up to here messages may have been transmitted
    suspect  up to here they may have been transmitted to a process of the peer that is over
    boot     id of the process of the peer that was heard last
    """

    acked: int = 0
    tried: int = 0
    suspect: int = 0
    boot: bytes = b""


@dataclass(slots=True)
class Opened:
    """What an outbox's store holds when it is opened. `runs` are oldest first; the last one is this run."""

    producer: bytes
    runs: list[Run]
    peers: dict[str, Peer]
    backlog: dict[str, int]
    """Messages of each dest."""
    used: int
    """Bytes of all messages, with `ROW_COST` for each; dead letters are told by `look`."""
    last_run: float
    """Wall-clock time at which it was last written to by an earlier run; 0: never."""


@dataclass(slots=True)
class Group:
    """What one commit of an outbox changes. `deleted`: of each dest everything up to a sequence is done; what is `dead`
    becomes a dead letter before that."""

    rows: list[NewRow] = field(default_factory=list)
    deleted: dict[str, int] = field(default_factory=dict)
    dead: list[tuple[int, DeadReason]] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)
    peers: dict[str, Peer] = field(default_factory=dict)
    """Of each dest its whole new state."""
    expire: tuple[float, tuple[str, ...]] | None = None
    """What was created before a time becomes a dead letter, of these dests."""
    retry_from: int | None = None
    """Dead letters that are to be sent again get sequences from here on, at most `RETRIES` of them."""

    def __bool__(self) -> bool:
        return (
            bool(self.rows or self.deleted or self.dead or self.attempts or self.peers or self.expire)
            or self.retry_from is not None
        )


class Look(NamedTuple):
    """What a look at the file tells.

    dead, dead_used  dead letters, and how many bytes they have, with `ROW_COST` for each
    wanted           whether somebody has asked that some of them be sent again: see `Group.retry_from`
    oldest           when the first message that is there was created, in seconds since the Unix epoch; 0: none is there
    """

    dead: int
    dead_used: int
    wanted: bool
    oldest: float


RETRIES = 1_024
"""Dead letters that one commit makes messages again."""


@dataclass(slots=True)
class Written:
    """What a commit did besides storing the rows."""

    removed: dict[str, int] = field(default_factory=dict)
    """Messages that are not there any more, of each dest: deleted, or dead."""
    freed: int = 0
    """Bytes of messages that are gone, with `ROW_COST` for each, less those of dead letters that live again."""
    expired: dict[str, list[int]] = field(default_factory=dict)
    retried: dict[str, int] = field(default_factory=dict)
    """Messages that were dead letters, of each dest."""


class OutboxStore(Protocol):
    """Where an outbox keeps its messages."""

    def open(self, token: bytes, now: float) -> Opened:
        """Open it, and begin a run with the random id `token` and a new, higher epoch: from now on every write of an
        earlier run raises `StoreFencedError`. The token of the first run is the producer's id, too."""

    def write(self, group: Group, now: float) -> Written:
        """Carry out the group in one transaction that survives a crash from then on."""

    def read(self, dest: str, after: int, messages: int, size: int) -> tuple[list[Row], bool]:
        """The messages to `dest` above a sequence, in order: up to `messages` of up to `size` bytes, at least one if
        there is one; and whether these are all. Notes before it returns that they may have been transmitted
        (`Peer.tried`)."""

    def look(self) -> Look:
        """What there is of dead letters now: others may change them at any time (`litz outbox`). Quick, however many
        messages there are."""

    def renew(self, token: bytes) -> tuple[bytes, Run]:
        """Take `token` as producer id and begin a run with it: the sequences of the old one were used by others. All
        that is there counts as transmitted to a process that is over."""

    def close(self) -> None:
        """Free everything. Called once, also after errors; must not raise."""


class Position(NamedTuple):
    """How far an inbox is with one producer of one sender."""

    epoch: int
    run: bytes
    committed: int


Key = tuple[str, bytes]
"""Sender and producer id."""


@dataclass(slots=True, eq=False)
class Work:
    """An effect that is committed together with the note that its message is done.

    `advance`: everything below is done as well, so the position moves to it; otherwise it is noted by itself.
    """

    key: Key
    sequence: int
    work: Callable[[Any], object]
    position: Position
    advance: bool
    outcome: BaseException | bool = False
    """Set by the store. True: applied. False: it had been before. An exception: what the work raised, undone."""


@dataclass(slots=True)
class InboxGroup:
    """What one commit of an inbox changes. The works come first, in order."""

    works: list[Work] = field(default_factory=list)
    positions: dict[Key, Position] = field(default_factory=dict)


class InboxStore(Protocol):
    """Where an inbox keeps its positions."""

    def open(self) -> Mapping[Key, tuple[Position, Sequence[int]]]:
        """Open it. Every position, and the sequences above it of which the effect was committed ahead."""

    def write(self, group: InboxGroup) -> None:
        """Carry out the group in one transaction that survives a crash from then on. A work that raises is undone
        alone. A position never goes back."""

    def close(self) -> None:
        """Free everything. Called once, also after errors; must not raise."""
