"""The outbox of one manager: commits what is sent, and sends what is committed until the peer has it for good.

The groups that are committed are in `outproc.outbox.commits`, what is said to peers in `outproc.outbox.conversations`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

from litz.dest import validate_dest
from litz.errors import BackpressureError, InvalidDestError, LitzError, ManagerStateError
from litz.manager import Confirm
from litz.message import Receipt
from litz.snapshot import OutboxSnapshot
from outproc.durable_port import DurablePort
from outproc.local_node import Environment
from outproc.outbox.commits import Commits
from outproc.outbox.conversations import Conversations
from outproc.outbox.errors import OutboxFullError, StoreFencedError
from outproc.outbox.events import StoreFailed
from outproc.outbox.options import OutboxOptions
from outproc.outbox.outbox_dest import OutboxDest
from outproc.outbox.outgoing import Outgoing
from outproc.outbox.records import FEATURE
from outproc.outbox.sight import outbox_snapshot
from outproc.outbox.sqlite_outbox import SqliteOutboxStore
from outproc.outbox.store import ROW_COST, Group, Look, Opened, OutboxStore, Peer, Row, Written
from outproc.outbox.store_thread import RunnerType, StoreRunner, StoreThread

TIDY_EVERY: Final = 60.0
"""Seconds between two looks for what is too old, and before the first."""
LONGEST_GRACE: Final = 3600.0
"""Seconds before the first one after a rest: as long as the rest, but no longer than this."""
VISITED_AT_ONCE: Final = 64
"""Dests without a session that are dialled, or looked through for what is too old, in one visit."""
MAX_DESTS: Final = 65_536


class Outbox:
    """What `outbox=` of a manager takes: the file of its durable messages. Belongs to one manager.

    store    a path, or any `OutboxStore`
    options  limits and times; with a store of your own, those that are the store's have no effect
    runner   what the store's methods are called in, for tests

    `backlog()` and `used` may be asked while the manager runs.
    """

    def __init__(
        self,
        store: OutboxStore | str | Path,
        options: OutboxOptions | None = None,
        *,
        runner: RunnerType = StoreThread,
    ) -> None:
        self._options = options or OutboxOptions()
        self._store = SqliteOutboxStore(store, self._options) if isinstance(store, str | Path) else store
        self._runner = runner
        self._thread: StoreRunner | None = None
        self._opened: Opened | None = None
        self._port: DurablePort | None = None
        self._commits: Commits | None = None
        self._conversations: Conversations | None = None
        self._environment: Environment | None = None
        self._dests: dict[str, OutboxDest] = {}
        self._live = 0
        self._seen = Look(0, 0, wanted=False, oldest=0.0)
        self._following: dict[str, Outgoing] = {}
        """Of the group that is being committed: to whom its rows go on without being read."""
        self._told_failure = False
        self._failure = ""
        self._tick: asyncio.TimerHandle | None = None
        self._tidy_at = 0.0
        self._closed = False

    # -- life -----------------------------------------------------------------------------------------

    async def open(self, environment: Environment) -> None:
        """See `DurableOutbox`."""
        if self._thread is not None or self._closed:
            raise ManagerStateError("an Outbox belongs to one manager; make a new one for the same path")
        self._environment = environment
        self._thread = self._runner("litz outbox", asyncio.get_running_loop())
        opened = await self._thread.run(partial(self._store.open, environment.entropy(16), self._now()))
        self._opened = opened
        self._live = opened.used
        last = opened.runs[-1].first - 1
        for dest in dict.fromkeys([*opened.backlog, *opened.peers]):
            peer = opened.peers.get(dest, Peer())
            self._dests[dest] = OutboxDest(dest, peer, opened.backlog.get(dest, 0), last)

    def attach(self, port: DurablePort) -> None:
        """See `DurableOutbox`."""
        assert self._opened is not None
        assert self._thread is not None
        assert self._environment is not None
        self._port = port
        opened, loop = self._opened, port.loop
        self._commits = Commits(loop, self._store, self._thread, now=self._now, owner=self, first=opened.runs[-1].first)
        self._conversations = Conversations(
            port,
            self._store,
            self._thread,
            self._commits,
            self._dests,
            producer=opened.producer,
            runs=opened.runs,
            entropy=self._environment.entropy,
            max_attempts=self._options.max_attempts,
            report=self._report,
        )
        # Dials begin fresh with each run. After a rest all that waits has its chance before it is found too old.
        rest = self._now() - opened.last_run if opened.last_run else 0.0
        self._tidy_at = loop.time() + max(TIDY_EVERY, min(rest, LONGEST_GRACE))
        self._conversations.begin()
        self._tick = loop.call_later(0.0, self._visit)

    async def aclose(self, timeout: float) -> None:
        """See `DurableOutbox`. What was handed over is committed before."""
        if self._closed:
            return
        self._closed = True
        if self._tick is not None:
            self._tick.cancel()
        if self._thread is None:
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        if self._conversations is not None:
            self._conversations.closed = True
        if self._commits is not None:
            error = ManagerStateError("the manager was closed before the commit; the message may be in the outbox")
            await self._commits.finish(deadline, error)
        await self._thread.stop(self._store.close, max(0.0, deadline - loop.time()))
        ended = ManagerStateError("the manager was closed; the message is in the outbox and is sent by the next run")
        for dest in self._dests.values():
            dest.confirmations.fail_all(ended)

    def backlog(self) -> dict[str, int]:
        """Messages in the file for each dest with any that is not confirmed, dead letters not counted. Confirmed ones
        leave the file with the next commit."""
        return {name: dest.backlog for name, dest in self._dests.items() if dest.waits}

    def snapshot(self) -> OutboxSnapshot:
        """See `DurableOutbox`."""
        port = self._port
        assert port is not None
        due = self._tick.when() - port.loop.time() if self._tick is not None else 0.0
        return outbox_snapshot(
            self._dests.values(),
            port.has_session,
            live=self._live,
            look=self._seen,
            now=self._now(),
            visit_in=max(0.0, due) if self._commits is not None and self._commits.failed is None else None,
            failure=self._failure,
        )

    @property
    def used(self) -> int:
        """Bytes of all messages and dead letters, with what each costs besides its payload."""
        return self._live + self._seen.dead_used

    def _now(self) -> float:
        return self._environment.wall_clock() / 1e9 if self._environment is not None else 0.0

    # -- sending --------------------------------------------------------------------------------------

    async def send(self, dest: str, data: bytes, key: str | None, confirm: Confirm | None) -> Receipt:
        """See `DurableOutbox`. Raises `OutboxFullError` and `StoreError`. Once it has been called the message is on its
        way to the disk: cancelled, it is sent all the same."""
        if self._closed or self._commits is None or self._port is None:
            raise ManagerStateError("the manager is not running")
        if self._commits.failed is not None:
            raise StoreFencedError(*self._commits.failed.args)
        cost = len(data) + ROW_COST
        if self.used + cost > self._options.max_bytes:
            raise OutboxFullError(
                f"the outbox holds {self.used} of {self._options.max_bytes} bytes (max_bytes); try again later, purge "
                "its dead letters, or allow it more"
            )
        state = self._dests.get(dest) if type(dest) is str else None
        if state is None:
            if dest == self._port.local_id:
                raise InvalidDestError(f"{dest} is this node, and sends itself nothing: hand it to the handler here")
            state = self._new_dest(dest)
        self._live += cost
        state.pending += 1
        sequence, committed = self._commits.add(dest, key or "", data)
        done: asyncio.Future[None] | None = None
        if confirm is not None:
            done = self._port.loop.create_future()
            state.confirmations.add(sequence, "durable", done)
        try:
            await committed
            if done is not None:
                await done
        finally:
            if done is not None and not done.cancel() and not done.cancelled():
                done.exception()
        return state.channel, sequence

    # -- what a log spills ----------------------------------------------------------------------------

    def holds(self, dest: str) -> bool:
        """See `DurableOutbox`."""
        state = self._dests.get(dest)
        return state is not None and (state.pending > 0 or state.waits)

    def check_taken(self, dest: str) -> None:
        """See `DurableOutbox`."""
        port = self._port
        if port is not None and port.has_session(dest) and FEATURE not in port.features(dest):
            raise BackpressureError(
                f"the log to {dest} is full, and it has no inbox to spill to: give it inbox=Inbox(path)"
            )

    def is_held(self, dest: str) -> bool:
        """See `DurableOutbox`."""
        state = self._dests.get(dest)
        return state is not None and state.held is not None

    def hold(self, dest: str, until: asyncio.Future[None]) -> None:
        """See `DurableOutbox`."""
        state = self._dests.get(dest) or self._new_dest(dest)
        state.held = until

        def released(_: asyncio.Future[None]) -> None:
            if not until.cancelled():
                until.exception()
            state.held = None
            if self._conversations is not None and not self._closed:
                self._conversations.go_on(state)

        until.add_done_callback(released)

    def _new_dest(self, dest: str) -> OutboxDest:
        validate_dest(dest)
        if len(self._dests) >= MAX_DESTS:
            raise OutboxFullError(f"the outbox knows {MAX_DESTS} dests already; use another file for others")
        state = self._dests[dest] = OutboxDest(dest, Peer(), 0, 0)
        return state

    def unconfirmed(self, dest: str | None) -> list[asyncio.Future[None]]:
        """See `DurableOutbox`. A dead letter counts as done. Raises `StoreFencedError`."""
        if self._commits is None or self._closed:
            return []
        loop = asyncio.get_running_loop()
        gathering: dict[str, int] = {row.dest: row.sequence for row in self._commits.group.rows}
        states = list(self._dests.values()) if dest is None else [each for each in [self._dests.get(dest)] if each]
        futures: list[asyncio.Future[None]] = []
        for state in states:
            if state.backlog or state.handed or state.name in gathering:
                if self._commits.failed is not None:  # nothing is confirmed to this process any more
                    raise StoreFencedError(*self._commits.failed.args)
                futures.append(loop.create_future())
                state.confirmations.add(
                    max(state.last, state.handed, gathering.get(state.name, 0)), "drained", futures[-1]
                )
        return futures

    # -- committing (`CommitOwner`) -------------------------------------------------------------------

    def handing_over(self, group: Group) -> None:
        """What is posted as soon as it is committed is noted as transmitted in the same commit."""
        self._following = {}
        for row in group.rows:
            state = self._dests[row.dest]
            state.handed = row.sequence
            if state.outgoing is not None and state.outgoing.complete:
                self._following[row.dest] = state.outgoing
                state.peer.tried = row.sequence
                group.peers[row.dest] = state.peer

    def committed(self, group: Group, written: Written) -> None:
        """Rows go on to those whose inbox has accepted us; others are dialled."""
        self._told_failure, self._failure = False, ""
        self._live -= written.freed
        if group.dead or group.expire or written.retried:
            self._look()
        fresh: dict[str, list[Row]] = {}
        for row in group.rows:
            fresh.setdefault(row.dest, []).append(Row(row.sequence, row.key, row.data, 0, again=False))
        for name, rows in fresh.items():
            state = self._dests[name]
            state.backlog += len(rows)
            state.pending -= len(rows)
            state.last, state.handed = rows[-1].sequence, 0
            out = state.outgoing
            if out is not None and self._following.get(name) is out:
                out.add_committed(rows)
            elif out is not None:
                out.complete = False  # it came to know the rest in between, so these have to be read
        for name, count in written.retried.items():
            state = self._dests.get(name) or self._new_dest(name)
            state.backlog += count
            state.last = self._commits.next - 1 if self._commits is not None else 0
            if state.outgoing is not None:
                state.outgoing.complete = False
        assert self._conversations is not None
        self._conversations.buried(group.dead)
        for name, sequences in written.expired.items():
            self._conversations.died(self._dests[name], sequences, "expired")
        for name, count in written.removed.items():
            self._dests[name].removed(count)
        for name in dict.fromkeys([*fresh, *written.retried]):
            self._conversations.go_on(self._dests[name])

    def not_committed(self, group: Group, error: LitzError) -> None:
        """Who waited has been told; the rest is told to those who follow the events."""
        self._failure = str(error)
        self._live -= sum(len(row.data) + ROW_COST for row in group.rows)
        for row in group.rows:
            self._dests[row.dest].handed = 0
            self._dests[row.dest].pending -= 1
        if group.deleted or group.dead or group.attempts:
            self._report(error)

    def fenced(self, error: StoreFencedError) -> None:
        """This process sends nothing any more."""
        for state in self._dests.values():
            state.outgoing = None
            state.confirmations.fail_all(error)
        self._report(error)

    def _report(self, error: Exception) -> None:
        self._failure = str(error)
        if not self._told_failure and self._port is not None and not self._closed:
            self._told_failure = True
            self._port.emit(StoreFailed(self._port.local_id, error))

    # -- now and then ---------------------------------------------------------------------------------

    def _visit(self) -> None:
        """Dests that have messages and no session are dialled; dead letters that somebody wants are sent again; what is
        too old dies."""
        port, commits = self._port, self._commits
        assert port is not None
        assert commits is not None
        assert self._conversations is not None
        if commits.failed is not None:
            return
        now = port.loop.time()
        waiting = [state for state in self._dests.values() if state.backlog and not port.has_session(state.name)]
        waiting.sort(key=lambda state: state.visited)
        del waiting[VISITED_AT_ONCE:]
        for state in waiting:
            state.visited = now
            self._conversations.go_on(state)
        if now >= self._tidy_at and waiting:
            self._tidy_at = now + TIDY_EVERY
            # Only of dests without a session: of the others nobody knows what the peer has just now.
            commits.group.expire = (self._now() - self._options.max_age, tuple(state.name for state in waiting))
            commits.arm(late=True)
        self._look()
        self._tick = port.loop.call_later(self._options.revisit, self._visit)

    def _look(self) -> None:
        assert self._thread is not None
        self._thread.call(self._store.look, self._looked)

    def _looked(self, found: Look | None, error: BaseException | None) -> None:
        if found is None or self._closed or self._commits is None:
            return  # a file that cannot be read is told by what is read of it for a reason
        self._seen = found
        if found.wanted:
            self._commits.retry()
