"""One of the processes of `litz demo`: sends to all others, checks what it gets, and tells the parent.

Commands come as JSON lines on standard input, news go out as JSON lines on standard output. It ends when told to, or
when standard input does. The node named `HUB` is told of no dests: it relays.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any, Final

from litz.errors import LitzError
from litz.message import Message
from litz.payload import PayloadType
from outproc.cli.demo_check import LANES, SABOTAGE_VARIABLE, Checker, make_message
from outproc.cli.demo_wires import HUB, NodeWires, make_manager
from outproc.cli.running import Stop, run
from outproc.manager import OutprocTransportManager

COMMAND: Final = "demo-node"
BURST: Final = 20
PAUSE: Final = 0.02
"""Seconds between bursts: fast enough to be caught in the middle by every cut, slow enough for two cores."""
TELL_EVERY: Final = 0.25
PROBE_EVERY: Final = 0.2
DRAIN_TIMEOUT: Final = 20.0
ARRIVE_TIMEOUT: Final = 5.0
MAX_LINE: Final = 1 << 20


class DemoNode:
    """The work of one node."""

    def __init__(self, manager: OutprocTransportManager) -> None:
        self._manager = manager
        self.wires = NodeWires(manager)
        self._checker = Checker(manager.local_id, os.environ.get(SABOTAGE_VARIABLE, ""))
        self._sent: dict[str, dict[int, int]] = {}
        self._round_trips: dict[str, deque[float]] = {}
        self._stopping = False
        self._expected: dict[tuple[str, int], int] | None = None
        self._arrived = asyncio.Event()

    def handle(self, message: Message) -> bytes | None:
        """The handler for `serve`: requests are probes of the round trip, all else is checked."""
        if message.is_request:
            return b""
        self._checker.take(message.sender, message.payload_type, message.data)
        if self._expected is not None:
            self._look_whether_arrived()
        return None

    async def send_all(self, dest: str, lane: PayloadType) -> None:
        """Send without end in bursts, until `stop`."""
        rng = Random()
        sent = self._sent.setdefault(dest, {})
        number = 0
        while not self._stopping:
            for _ in range(BURST):
                data = make_message(rng, self._manager.local_id, dest, lane, number)
                await self._manager.send(dest, data, payload_type=lane, when_down="queue")
                number += 1
                sent[lane] = number
            await asyncio.sleep(PAUSE)

    async def probe(self, dest: str) -> None:
        """Measure the round trip of a request now and then."""
        times = self._round_trips.setdefault(dest, deque(maxlen=9))
        while not self._stopping:
            began = time.monotonic()
            with suppress(LitzError):
                await self._manager.request(dest, b"", timeout=5.0, when_down="queue")
                times.append(time.monotonic() - began)
            await asyncio.sleep(PROBE_EVERY)

    async def tell(self) -> None:
        """Tell the parent how it stands, until cancelled."""
        while True:
            await asyncio.sleep(TELL_EVERY)
            say("standing", rows=self.rows())

    def stop(self) -> None:
        """Send no more."""
        self._stopping = True

    def sent(self) -> dict[str, dict[int, int]]:
        """How many were sent, by dest and lane."""
        return self._sent

    async def arrive(self, expected: dict[tuple[str, int], int]) -> None:
        """Wait until all that was sent to us is here; what does not come in time is lost."""
        self._expected = expected
        self._look_whether_arrived()
        with suppress(TimeoutError):
            async with asyncio.timeout(ARRIVE_TIMEOUT):
                await self._arrived.wait()
        for (sender, lane), count in expected.items():
            self._checker.lane(sender, lane).end(count)

    def rows(self) -> list[dict[str, Any]]:
        """One row for each dest: what the table shows."""
        rows = []
        for dest in self._manager.snapshot().dests:
            if dest.dest == HUB:
                continue
            times = self._round_trips.get(dest.dest)
            rows.append(
                {
                    "dest": dest.dest,
                    "state": dest.state.value,
                    "session": dest.session,
                    "round_trip": statistics.median(times) if times else None,
                    "received": self._checker.received(dest.dest),
                    **self._checker.faults(dest.dest).plain(),
                    **self.wires.row(dest),
                }
            )
        return rows

    def _look_whether_arrived(self) -> None:
        assert self._expected is not None
        if all(self._checker.lane(*key).next_number >= count for key, count in self._expected.items()):
            self._arrived.set()


def say(event: str, **details: Any) -> None:
    """One line to the parent."""
    print(json.dumps({"event": event, **details}), flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the node whose id is given."""
    (local_id,) = arguments
    # The parent decides when we end, and its death closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def work(_stop: Stop) -> int:
        await _live(local_id)
        return 0

    try:
        return run(work)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


async def _live(local_id: str) -> None:
    commands = asyncio.StreamReader(limit=MAX_LINE)
    loop = asyncio.get_running_loop()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    try:
        # The secret comes by the pipe: it is in no file, no environment and no list of processes.
        first = await commands.readline()
        if not first:
            return
        async with make_manager(local_id, bytes.fromhex(json.loads(first)["secret"])) as manager:
            listener = await manager.listen("ws://127.0.0.1:0")
            node = DemoNode(manager)
            works = (manager.serve(node.handle), node.tell(), node.wires.follow())
            background = [loop.create_task(work) for work in works]
            try:
                say("ready", endpoint=str(listener.endpoints[0]))
                await _obey(commands, manager, node)
            finally:
                for task in background:
                    task.cancel()
                await asyncio.wait(background)
    finally:
        pipe.close()


async def _obey(commands: asyncio.StreamReader, manager: OutprocTransportManager, node: DemoNode) -> None:
    senders: list[asyncio.Task[None]] = []
    others: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    try:
        while line := await commands.readline():
            command = json.loads(line)
            match command["do"]:
                case "start":
                    for dest, url in command["directory"].items():
                        manager.add_endpoints(dest, [url])
                        if dest != HUB:
                            senders += [loop.create_task(node.send_all(dest, lane)) for lane in LANES]
                            others += [loop.create_task(node.wires.connect(dest)), loop.create_task(node.probe(dest))]
                case "begin":
                    node.wires.begin()
                case "kill":
                    node.wires.kill(command["dest"], command["kinds"])
                case "stop":
                    node.stop()
                    for task in others:
                        task.cancel()
                    await asyncio.gather(*senders)
                    problem = await _drained(manager)
                    say("sent", counts=node.sent(), problem=problem)
                case "expect":
                    counts = command["counts"]
                    await node.arrive(
                        {(name, int(lane)): n for name, lanes in counts.items() for lane, n in lanes.items()}
                    )
                    say("final", rows=node.rows())
    finally:
        for task in (*senders, *others):
            task.cancel()
        if senders:
            await asyncio.wait([*senders, *others])


async def _drained(manager: OutprocTransportManager) -> str:
    try:
        await manager.drain(timeout=DRAIN_TIMEOUT)
    except (LitzError, TimeoutError) as error:
        return f"{manager.local_id} could not deliver everything: {type(error).__name__}: {error}"
    return ""
