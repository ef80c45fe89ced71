"""What an outbox says to the inboxes of its dests, and what it makes of their answers.

One conversation for each session: OPEN, ACCEPT, then messages one way and acks the other. What may go next is decided
in `outproc.outbox.outgoing`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from litz.errors import ConnectError, LitzError, MessageDroppedError
from outproc.durable_port import DurablePort
from outproc.handshake import Entropy
from outproc.outbox.commits import Commits
from outproc.outbox.errors import StoreFencedError
from outproc.outbox.events import DeadLettered, DeadReason, DurableUnsupported, InboxWentBack, OutboxRestored
from outproc.outbox.outbox_dest import OutboxDest
from outproc.outbox.outgoing import Findings, Outgoing, heard, is_ours
from outproc.outbox.records import (
    FEATURE,
    TO_INBOX,
    TO_OUTBOX,
    Accept,
    Ack,
    Open,
    Refuse,
    RefuseCode,
    decode_from_inbox,
    encode_open,
)
from outproc.outbox.store import OutboxStore, Peer, Row, Run
from outproc.outbox.store_thread import StoreRunner

READ_MESSAGES: Final = 2_048
READ_BYTES: Final = 1 << 20
RETRY_DELAY: Final = 1.0
"""Seconds until a read that failed is tried again."""


class Conversations:
    """See the module. Implements `PortSubscriber`; all methods belong to the loop and none awaits."""

    def __init__(
        self,
        port: DurablePort,
        store: OutboxStore,
        thread: StoreRunner,
        commits: Commits,
        dests: dict[str, OutboxDest],
        *,
        producer: bytes,
        runs: Sequence[Run],
        entropy: Entropy,
        max_attempts: int,
        report: Callable[[Exception], None],
    ) -> None:
        self._port = port
        self._store = store
        self._thread = thread
        self._commits = commits
        self._dests = dests
        self._producer = producer
        self._runs = list(runs)
        self._entropy = entropy
        self._max_attempts = max_attempts
        self._report = report
        self._renewing = False
        self._burying: dict[int, OutboxDest] = {}
        """Dead letters of which the commit is not known to be there."""
        self.closed = False

    def begin(self) -> None:
        """Hear of sessions, those that stand included, and of what inboxes say."""
        self._port.subscribe(TO_OUTBOX, self)

    @property
    def _over(self) -> bool:
        return self.closed or self._commits.failed is not None

    def go_on(self, state: OutboxDest) -> None:
        """There may be something to do for this dest."""
        if self._over:
            return
        if state.outgoing is not None:
            self._pump(state)
        elif not self._port.has_session(state.name):
            try:
                self._port.want(state.name)
            except ConnectError:
                return  # too many dests are open: at the next visit
        elif not (state.opening or state.refused or self._renewing):
            self._open(state)

    # -- one conversation -----------------------------------------------------------------------------

    def _open(self, state: OutboxDest) -> None:
        if FEATURE not in self._port.features(state.name):
            self._refused(state, "it has no inbox: give its manager inbox=Inbox(path)")
            return
        run = self._runs[-1]
        said = encode_open(Open(run.epoch, self._producer, run.token))
        # If there is no room now, `writable` comes.
        state.opening = self._port.post(state.name, TO_INBOX, said, bulk=True)

    def _refused(self, state: OutboxDest, reason: str) -> None:
        state.refused = reason
        self._port.emit(DurableUnsupported(state.name, reason))

    def _accepted(self, state: OutboxDest, accept: Accept) -> None:
        if not is_ours(accept, self._runs, self._commits.next - 1):
            self._renew(state)
            return
        if accept.committed < state.peer.acked:
            self._port.emit(InboxWentBack(state.name, accept.committed, state.peer.acked))
        state.peer, another = heard(state.peer, accept)
        self._commits.group.peers[state.name] = state.peer
        state.outgoing = Outgoing(
            accept, state.peer, another=another, max_attempts=self._max_attempts, counted=state.counted
        )
        if accept.committed:
            self._confirmed(state, accept.committed)
        self._commits.arm(late=True)
        self._pump(state)

    def _confirmed(self, state: OutboxDest, committed: int) -> None:
        state.peer.acked = committed
        group = self._commits.group
        group.deleted[state.name] = committed
        group.peers[state.name] = state.peer
        state.confirmations.confirmed("durable", committed + 1)
        state.confirmations.confirmed("drained", committed + 1)
        self._commits.arm(late=True)

    def _pump(self, state: OutboxDest) -> None:
        """Post what may go, and read what is missing."""
        out = state.outgoing
        assert out is not None
        while (
            state.held is None
            and (buffers := out.next()) is not None
            and self._port.post(state.name, TO_INBOX, buffers, bulk=True)
        ):
            out.posted()
        self._note(state, out.take_findings())
        if out.wants_read and state.reading is not out:
            state.reading = out
            self._thread.call(
                partial(self._store.read, state.name, out.read_after, READ_MESSAGES, READ_BYTES),
                partial(self._read, state, out),
            )

    def _read(
        self, state: OutboxDest, out: Outgoing, got: tuple[list[Row], bool] | None, error: BaseException | None
    ) -> None:
        if got is not None and got[0]:
            state.peer.tried = max(state.peer.tried, got[0][-1].sequence)
        if state.outgoing is not out or self._over:
            return
        if got is None:
            self._failed(error)
            self._port.loop.call_later(RETRY_DELAY, self._read_again, state, out)
            return
        state.reading = None
        out.add_read(got[0], complete=got[1])
        self._pump(state)

    def _read_again(self, state: OutboxDest, out: Outgoing) -> None:
        if state.outgoing is out and not self._over:
            state.reading = None
            self._pump(state)

    def _failed(self, error: BaseException | None) -> None:
        """A read or a renewal failed."""
        if isinstance(error, StoreFencedError):
            self._commits.fence(error)
        else:
            self._report(error if isinstance(error, LitzError) else LitzError(f"the outbox failed: {error!r}"))

    # -- dead letters ---------------------------------------------------------------------------------

    def _note(self, state: OutboxDest, found: Findings) -> None:
        if not (found.dead or found.attempts):
            return
        self._commits.group.attempts.update(found.attempts)
        state.counted = found.attempts or state.counted
        for sequence, reason in found.dead:
            self._burying[sequence] = state
            self._commits.group.dead.append((sequence, reason))
        self._commits.arm(late=not found.dead)

    def buried(self, dead: Sequence[tuple[int, DeadReason]]) -> None:
        """The commit that made these dead letters is there."""
        for sequence, reason in dead:
            state = self._burying.pop(sequence, None)
            if state is None:
                continue  # found twice
            self.died(state, [sequence], reason)
            if state.outgoing is not None and not self._over:
                state.outgoing.buried([sequence])
                self._pump(state)

    def died(self, state: OutboxDest, sequences: Sequence[int], reason: DeadReason) -> None:
        """Tell everybody concerned that these are dead letters now."""
        error = MessageDroppedError(
            f"{len(sequences)} durable message(s) to {state.name} became dead letters ({reason}); `litz outbox` lists, "
            "retries and purges them"
        )
        for sequence in sequences:
            state.confirmations.fail(sequence, error)
        self._port.emit(DeadLettered(state.name, tuple(sequences), reason))

    # -- another identity -----------------------------------------------------------------------------

    def _renew(self, state: OutboxDest) -> None:
        """An inbox knows of us what we do not: this file is a restored one, or a newer process owns it, which the store
        will tell. Otherwise become another producer."""
        if self._renewing:
            return
        self._renewing = True
        for each in self._dests.values():
            each.session_over()
        self._thread.call(partial(self._store.renew, self._entropy(16)), partial(self._renewed, state))

    def _renewed(self, state: OutboxDest, got: tuple[bytes, Run] | None, error: BaseException | None) -> None:
        self._renewing = False
        if self._over:
            return
        if got is None:
            self._failed(error)
            self._port.loop.call_later(RETRY_DELAY, self.go_on, state)
            return
        self._producer, run = got
        self._runs = [run]
        self._commits.group.peers.clear()
        self._port.emit(OutboxRestored(state.name))
        for each in self._dests.values():
            each.peer = Peer()
            if each.backlog:
                self.go_on(each)

    # -- what is heard (`PortSubscriber`) -------------------------------------------------------------

    def received(self, sender: str, data: memoryview) -> None:
        """The inbox of `sender` says something. Raises ProtocolError."""
        said = decode_from_inbox(data)
        state = self._dests.get(sender)
        if state is None or self._over:
            return
        if isinstance(said, Ack):
            if state.outgoing is not None:
                if state.outgoing.acked(said):
                    self._confirmed(state, said.committed)
                self._pump(state)
        elif state.opening:
            state.opening = False
            if isinstance(said, Accept):
                self._accepted(state, said)
            else:
                self._refusal(state, said)

    def _refusal(self, state: OutboxDest, said: Refuse) -> None:
        if said.code is RefuseCode.FENCED:
            self._renew(state)
        else:
            self._refused(state, "its inbox knows as many senders' files as it may (max_producers)")

    def session_began(self, dest: str) -> None:
        """A session with `dest` stands."""
        state = self._dests.get(dest)
        if state is not None:
            state.session_over()
            if state.backlog or state.handed:
                self.go_on(state)

    def session_ended(self, dest: str) -> None:
        """It is over: the next ACCEPT tells what it was good for."""
        state = self._dests.get(dest)
        if state is not None:
            state.session_over()

    def wires_changed(self, dest: str) -> None:
        """Sessions are all that counts here."""

    def writable(self, dest: str) -> None:
        """What was refused may be posted now."""
        state = self._dests.get(dest)
        if state is not None and (state.backlog or state.outgoing is not None):
            self.go_on(state)
