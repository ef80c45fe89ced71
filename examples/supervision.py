"""A handler that fails: some messages are tried again, one becomes a dead letter, and the others go on.

python examples/supervision.py
"""

import asyncio
import logging

from inproc import Hub, InprocTransportManager
from litz import Message
from litz.backoff import Backoff
from litz.supervised_serving import supervised
from litz.supervision import Supervise

logging.getLogger("litz.supervision").setLevel(logging.CRITICAL)  # it would tell each failure with its traceback

tries: dict[str, int] = {}


async def handler(message: Message) -> None:
    job = message.data
    tries[job] = tries.get(job, 0) + 1
    if job == "flaky job" and tries[job] < 3:
        raise ConnectionError("the database is busy")
    if job == "broken job":
        raise ValueError("this job makes no sense")
    print(f"done: {job}")


async def main() -> None:
    policy = Supervise(
        attempts=3,
        timeout=10,  # seconds for each
        backoff=Backoff(base=0.01, cap=1.0),
        retry=(ConnectionError,),  # nothing else is worth another attempt
    )
    hub = Hub()
    async with InprocTransportManager("alice", hub) as alice, InprocTransportManager("bob", hub) as bob:
        jobs = supervised(handler, policy)
        serving = asyncio.create_task(jobs.serve_on(bob))
        for job in ("first job", "flaky job", "broken job", "last job"):
            await alice.send("bob", job, confirm="processed" if job == "last job" else None)
        print(f"handled {jobs.tally.handled}, retried {jobs.tally.retried}")
        for letter in jobs.dead_letters.take():
            print(f"dead letter from {letter.sender}: {letter.data}, after {letter.attempts} attempt: {letter.error}")
        serving.cancel()
        await asyncio.wait([serving])


asyncio.run(main())
