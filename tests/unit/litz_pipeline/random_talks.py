"""Random schedules of two pipelines over one line, and a checker that stands outside.

Every message says beforehand how each of its attempts goes. The checker sees only what the handlers see (begin and end
of each attempt), what `send` told its callers, and the two reports.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from litz.admission import Amount, Queue, Reject, SoftAllow
from litz.backoff import Backoff
from litz.errors import AdmissionRefusedError, DrainingError, LitzError
from litz.order import Fifo, PerKey
from litz.pipeline import Flow, Item, Outgoing, Pipeline, PipelineEnd, PipelineOptions, PipelineReport, Way
from litz.stream_options import Drain
from litz.supervision import Failure, Remedy, Supervise
from litz.testing import SimLoop
from tests.unit.litz_pipeline.line_pair import MemoryLine, pair

FATES: Final = ("ok", "ok", "ok", "raise", "cancel itself", "hang", "stubborn")
HITS: Counter[str] = Counter()
"""How often everything was hit, over all seeds of a run."""


@dataclass(frozen=True)
class Job:
    """One message: its key, and how its attempts go (the last one repeats)."""

    number: int
    key: int
    fates: tuple[str, ...]
    seconds: float


@dataclass
class Seen:
    """What one end saw."""

    begun: list[tuple[int, int]] = field(default_factory=list)
    """(number, attempt), in order."""
    ended: dict[int, list[str]] = field(default_factory=dict)
    """How each attempt of a message ended: "ok", "failed", "cancelled"."""
    running: dict[int, Job] = field(default_factory=dict)
    offered: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    """Messages whose `send` returned."""
    unparked: Counter[int] = field(default_factory=Counter)
    replies: list[int] = field(default_factory=list)


class End:
    """One end of the talk."""

    def __init__(self, rng: Random, line: MemoryLine, jobs: list[Job]) -> None:
        self.rng = rng
        self.line = line
        self.jobs = jobs
        self.seen = Seen()
        self.options = random_options(rng)
        outgoing = self.make if rng.random() < 0.3 else None
        self.pipeline = Pipeline(self.handle, self.options, outgoing=outgoing, rng=Random(rng.random()))
        self.flow: Flow = self.pipeline.flow(line)

    async def handle(self, item: Item) -> Any:
        if isinstance(item.data, int):
            self.seen.replies.append(item.data)
            return None
        job: Job = item.data
        seen = self.seen
        assert job.number not in seen.running, "one attempt of a message at a time"
        if isinstance(self.options.inbound.order, Fifo):
            assert not seen.running, "one message at a time"
        assert all(other.key != job.key for other in seen.running.values()), "one message of a key at a time"
        seen.running[job.number] = job
        seen.begun.append((job.number, item.attempt))
        ends = seen.ended.setdefault(job.number, [])
        fate = job.fates[min(item.attempt, len(job.fates)) - 1]
        HITS[fate] += 1
        outcome = "cancelled"
        try:
            await asyncio.sleep(job.seconds)
            if fate == "hang":
                await asyncio.sleep(1e6)
            elif fate == "stubborn":
                await stubborn()
            elif fate == "cancel itself":
                outcome = "failed"
                raise asyncio.CancelledError
            elif fate == "raise":
                outcome = "failed"
                raise LookupError(job.number)
            outcome = "ok"
        finally:
            ends.append(outcome)
            del seen.running[job.number]
        return job.number

    async def make(self, message: Outgoing) -> Any:
        """What goes out takes a moment to make, and now and then it cannot be made."""
        await asyncio.sleep(self.rng.choice((0, 0.1)))
        if self.rng.random() < 0.05:
            raise ZeroDivisionError
        return message.data

    async def send_all(self, lane: int, lanes: int) -> None:
        """Send one job in `lanes`. Every job is offered in order; what is refused is not sent at all."""
        try:
            for job in self.jobs[lane::lanes]:
                await asyncio.sleep(self.rng.choice((0, 0, 0.01, 0.5)))
                self.seen.offered.append(job.number)
                try:
                    await self.flow.send(job, key=job.key)
                except AdmissionRefusedError:
                    HITS["refused outbound"] += 1
                except ZeroDivisionError:
                    HITS["cannot be made"] += 1
                else:
                    self.seen.sent.append(job.number)
        except (DrainingError, LitzError):
            HITS["send ended"] += 1


async def stubborn() -> None:
    """Answers a cancellation with another exception."""
    try:
        await asyncio.sleep(1e6)
    except asyncio.CancelledError:
        raise RuntimeError("stubborn") from None


def random_options(rng: Random) -> PipelineOptions:
    """Small limits, any policy. Every attempt has a time, because some hang."""
    by_key = PerKey(by=lambda item: getattr(item.data, "key", None), messages=rng.choice((2, 6, 50)), key_messages=3)
    order = rng.choice((Fifo(messages=rng.choice((1, 5, 50))), by_key, by_key))
    admission = rng.choice(
        (Queue(Amount(2)), Queue(Amount(50)), Reject(Amount(3)), SoftAllow(Amount(1), Amount(4)), Queue(Amount(1)))
    )
    then = rng.choice((Remedy.DROP, Remedy.DEAD_LETTER, Remedy.DEAD_LETTER, Remedy.PARK_KEY, Remedy.CLOSE))
    remedies: dict[Failure | type[BaseException], Remedy] = (
        {Failure.TIMED_OUT: Remedy.ESCALATE} if rng.random() < 0.1 else {}
    )
    return PipelineOptions(
        inbound=Way(order=order, parallel=rng.choice((1, 2, 16)), admission=admission),
        outbound=Way(
            order=rng.choice((Fifo(), PerKey(by=lambda message: message.key, messages=5))),
            admission=rng.choice((Queue(Amount(2)), Reject(Amount(1)), Queue(Amount(50)))),
        ),
        supervise=Supervise(
            attempts=rng.choice((1, 2, 3)),
            timeout=5.0,
            deadline=rng.choice((None, None, 4.0)),
            backoff=Backoff(0.1, 1.0),
            then=then,
            remedies=remedies,
            dead_letters=rng.choice((2, 100, 100)),
            retry_burst=rng.choice((1, 10)),
            retry_share=rng.choice((0.0, 0.5)),
        ),
        fail_fast=rng.random() < 0.5,
        grace=rng.choice((0.5, 20.0, 1000.0)),
        half_close=rng.choice((Drain.BOTH, Drain.BOTH, Drain.BOTH, None, Drain.OUTBOUND, Drain.NONE)),
        sizes=rng.random() < 0.5,
    )


def random_jobs(rng: Random, first: int) -> list[Job]:
    return [
        Job(
            first + number,
            rng.randrange(4),
            tuple(rng.choice(FATES) for _ in range(rng.randint(1, 3))),
            rng.choice((0, 0, 0.02, 0.3)),
        )
        for number in range(rng.choice((0, 5, 25)))
    ]


async def disturb(rng: Random, ends: list[End], tasks: list[asyncio.Task[PipelineReport]]) -> None:
    """Whatever may happen to a stream, at random times; in the end both sides leave."""
    kinds = (("unpark", "skip"), ("drain", "abort", "lose", "cancel", *("unpark", "skip") * 4))[rng.random() < 0.6]
    for _ in range(rng.randint(0, 8)):
        await asyncio.sleep(rng.choice((0.0, 0.05, 1.0, 10.0, 30.0)))
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        side = rng.randrange(2)
        end = ends[side]
        kind = rng.choice(kinds)
        HITS[kind] += 1
        if kind in ("unpark", "skip"):
            for item in end.flow.parked:
                if isinstance(item.data, Job) and kind == "unpark":
                    end.seen.unparked[item.data.number] += 1
                end.flow.unpark(item.key, skip=kind == "skip")
                HITS["was parked"] += 1
        elif kind == "drain":
            end.flow.begin_drain(rng.choice((Drain.BOTH, Drain.BOTH, Drain.INBOUND, Drain.OUTBOUND, Drain.NONE)))
        elif kind == "abort":
            end.flow.abort("random")
        elif kind == "lose":
            end.line.lose()
        elif kind == "cancel":
            tasks[side].cancel()
    await asyncio.sleep(rng.choice((0.0, 30.0, 200.0)))
    for end in ends if rng.random() < 0.5 else ends[::-1]:
        end.flow.begin_drain(Drain.BOTH)
        await asyncio.sleep(rng.choice((0.0, 1.0)))


async def talk(loop: SimLoop, seed: int) -> None:
    """One run, judged."""
    rng = Random(seed)
    client, server = pair()
    ends = [End(rng, client, random_jobs(rng, 0)), End(rng, server, random_jobs(rng, 1000))]
    tasks = [loop.create_task(end.flow.run()) for end in ends]
    lanes = rng.choice((1, 1, 3))
    senders = [loop.create_task(end.send_all(lane, lanes)) for end in ends for lane in range(lanes)]
    await disturb(rng, ends, tasks)
    await asyncio.wait([*tasks, *senders])
    for end, peer, task in ((ends[0], ends[1], tasks[0]), (ends[1], ends[0], tasks[1])):
        judge(end, peer, task, serially=lanes == 1 and isinstance(peer.options.outbound.order, Fifo))


def judge(end: End, peer: End, task: asyncio.Task[PipelineReport], *, serially: bool) -> None:
    """Everything that must be true of one end."""
    report = end.flow.report
    assert report is not None
    seen, supervise = end.seen, end.options.supervise
    HITS[report.reason.value] += 1
    if report.reason is PipelineEnd.ESCALATED:
        assert not task.cancelled()
        assert task.exception() is not None
    # Nothing is left behind.
    for limiter in (end.pipeline.inbound_limiter, end.pipeline.outbound_limiter):
        assert limiter.used == limiter.queued == Amount(0, 0), "a permit leaked"
    assert not seen.running
    # A message is tried as often as its policy says, once for each time its key was unparked, and never after success.
    for number, outcomes in seen.ended.items():
        most = supervise.attempts * (1 + seen.unparked[number])
        assert len(outcomes) <= most, f"{number} ran {len(outcomes)} times of at most {most}"
        assert "ok" not in outcomes[:-1], f"{number} ran again after it was handled"
    # Of a key, and under Fifo of all, none begins before the one before it is over.
    order_key = (lambda job: job.key) if isinstance(end.options.inbound.order, PerKey) else (lambda job: None)
    jobs = {job.number: job for job in peer.jobs}
    last: dict[Any, int] = {}
    for number, _ in seen.begun:
        if not serially:
            break
        key = order_key(jobs[number])
        assert number >= last.get(key, number), f"{number} ran after {last[key]}, which was accepted later"
        last[key] = number
    # What was handled was offered by the peer; what the peer offered one by one came in that order.
    assert set(seen.ended) <= set(peer.seen.offered)
    balance(end, peer, report)


def balance(end: End, peer: End, report: PipelineReport) -> None:
    """The books: each message that was accepted is in exactly one of them."""
    seen = end.seen
    attempts = [outcome for outcomes in seen.ended.values() for outcome in outcomes]
    handled = attempts.count("ok") + len(seen.replies)
    assert report.inbound.handled == handled
    remedies = report.inbound.remedies
    dropped = remedies.get(Remedy.DROP, 0)
    accounted = handled + dropped + report.dead_letters + len(report.outstanding)
    assert report.received == accounted, f"{report}: {report.inbound.plain()}"
    failures = report.inbound.failures
    assert failures.get(Failure.CANCELLED_ITSELF, 0) + failures.get(Failure.RAISED, 0) == attempts.count("failed")
    assert failures.get(Failure.TIMED_OUT, 0) <= attempts.count("cancelled")
    assert len(set(report.outstanding)) == len(report.outstanding)
    graceful = report.reason in (PipelineEnd.COMPLETE, PipelineEnd.DRAINED)
    assert (report.error is None) == graceful
    if report.reason is PipelineEnd.COMPLETE and end.options.half_close is Drain.BOTH:
        # The peer had said its last: nothing it sent is unaccounted for, and nothing was cut.
        assert not report.outstanding or end.pipeline.dead_letters.refused, "cut off although it was complete"
        assert report.interrupted == 0
        written = len(peer.line.peer.came) + end.line.read
        assert report.received == written == end.line.read
