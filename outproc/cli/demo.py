"""`litz demo`: three nodes in three processes, each pair with three kinds of wire, which are killed one by one."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
from contextlib import AsyncExitStack, suppress
from itertools import combinations
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from outproc.cli.commands import NewParser
from outproc.cli.cutting_proxy import CuttingProxy
from outproc.cli.demo_children import DemoChild
from outproc.cli.demo_kills import KINDS, NAMES, Kill, KillPlan, Pair
from outproc.cli.demo_node import ARRIVE_TIMEOUT, DRAIN_TIMEOUT
from outproc.cli.demo_table import line_of, table_of
from outproc.cli.demo_verdict import Demands, Verdict, judge, not_shown, too_little
from outproc.cli.demo_wires import HUB
from outproc.cli.outcome import DONE, EXIT_CODES, FAILED, UsageError
from outproc.cli.running import Stop, StoppedError, run

NODES: Final = ("alice", "bob", "carol")
PAIRS: Final = tuple(combinations(NODES, 2))
START_TIMEOUT: Final = 30.0
OPEN_TIMEOUT: Final = 8.0
"""Seconds for all kinds of wire to open; then the killing begins with those that have."""
KILL_EVERY: Final = 1.0
MESSAGES_A_SECOND: Final = 500
"""What must arrive at least, all nodes together, unless --min-messages says otherwise."""
SECONDS_A_HEAL: Final = 5
"""In so many seconds one wire of each kind must heal, unless --min-heals says otherwise."""
LATER: Final = 3.0
"""Times --seconds that it goes on at most while too little has happened: a busy machine opens and heals wires late."""


def add(new_parser: NewParser) -> None:
    """Add the parser."""
    parser = new_parser(
        description="Runs three nodes in three processes, all sending numbered and hashed messages to all. Each pair "
        "has a WebSocket, a WebRTC data channel and a relay wire through a fourth process; about every second one, two "
        "or all three of a pair are killed. Receivers check every message. Exits 1 if one was lost, doubled, reordered "
        "or damaged, or if too little happened to tell. Where WebRTC cannot open it says so, and shows the others.",
        epilog=f"example: litz demo --seconds 30\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to kill wires (default: 20)")
    parser.add_argument(
        "--min-messages", type=int, metavar="N", help=f"fail below (default: {MESSAGES_A_SECOND} a second)"
    )
    parser.add_argument(
        "--min-heals",
        type=int,
        metavar="N",
        help=f"fail below, for each kind of wire (default: one in {SECONDS_A_HEAL} seconds)",
    )
    parser.add_argument("--json", action="store_true", help="print nothing but the verdict, as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.seconds <= 86_400:
        raise UsageError("--seconds is between 1 and 86400")

    async def work(stop: Stop) -> int:
        return await Demo(arguments).run(stop)

    return run(work)


class Demo:
    """One run."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._seconds: float = arguments.seconds
        messages, heals = arguments.min_messages, arguments.min_heals
        self._demands = Demands(
            int(self._seconds * MESSAGES_A_SECOND) if messages is None else messages,
            max(1, int(self._seconds / SECONDS_A_HEAL)) if heals is None else heals,
        )
        self._json: bool = arguments.json
        self._console = Console(stderr=self._json)
        self._rng = Random()
        self._proxy = CuttingProxy(self._rng)
        self._children: dict[str, DemoChild] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in NODES}
        self._rates: dict[tuple[str, str], float] = {}
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}
        self._reported = asyncio.Event()
        self._began: float | None = None
        self._last_kill: Kill | None = None

    async def run(self, stop: Stop) -> int:
        """Run it to its verdict; the exit code."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._proxy)
            for name in (HUB, *NODES):
                self._children[name] = await stack.enter_async_context(DemoChild(name, self._standing))
            try:
                verdict = await stop.unless(self._play())
            except StoppedError:
                print("interrupted: no verdict", file=sys.stderr)
                raise
        if self._json:
            print(json.dumps(verdict.plain()))
        else:
            self._say(str(verdict), "bold green" if verdict.good else "bold red")
        return DONE if verdict.good else FAILED

    async def _play(self) -> Verdict:
        await self._start()
        loop = asyncio.get_running_loop()
        shown, killing = loop.create_task(self._show()), loop.create_task(self._open_and_kill())
        try:
            await asyncio.wait((shown, killing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (shown, killing):
                task.cancel()
            await asyncio.wait((shown, killing))
        for task in (shown, killing):
            if not task.cancelled():
                task.result()
        seconds = self._elapsed()
        problems = await self._finish()
        return judge(self._rows, problems, seconds=seconds, kills=self._kills(), demands=self._demands)

    async def _start(self) -> None:
        secret = secrets.token_hex(32)
        addresses = {}
        for child in self._children.values():
            child.tell("live", secret=secret)
        for name, child in self._children.items():
            addresses[name] = (await child.hear("ready", START_TIMEOUT))["endpoint"]
        for name in NODES:
            urls = {HUB: addresses[HUB]}
            for dest in NODES:
                if dest != name:
                    target = urlsplit(addresses[dest])
                    assert target.hostname is not None
                    assert target.port is not None
                    port = await self._proxy.forward(target.hostname, target.port, _name(name, dest))
                    urls[dest] = f"ws://127.0.0.1:{port}"
            self._children[name].tell("start", directory=urls)

    # -- killing --------------------------------------------------------------------------------------

    async def _open_and_kill(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_TIMEOUT):
                while any(len(kinds) < len(KINDS) for kinds in self._up().values()):
                    await self._news()
        if not self._json:
            for kind, why in not_shown(self._rows).items():
                self._say(f"{NAMES[kind]} did not open ({why}); going on with the others", "bold yellow")
        for name in NODES:
            self._children[name].tell("begin")
        self._began = loop.time()
        plan = KillPlan(PAIRS)
        while (left := self._left()) > 0:
            await asyncio.sleep(min(left, self._rng.uniform(0.7, 1.3) * KILL_EVERY))
            kill = plan.next(self._up())
            while kill is None and self._left() > 0:
                await self._news()
                kill = plan.next(self._up())
            if kill is not None:
                self._execute(kill)

    def _left(self) -> float:
        """Seconds of killing."""
        left = self._seconds - self._elapsed()
        return left if left > 0 or not too_little(self._rows, self._demands) else left + LATER * self._seconds

    def _execute(self, kill: Kill) -> None:
        """One of the two aborts its wires. WebSockets are cut on the way, in the middle of frames; but when no wire is
        to be left, in the same moment as the others."""
        self._last_kill = kill
        one, other = self._rng.sample(kill.pair, 2)
        kinds = kill.kinds if kill.every else [kind for kind in kill.kinds if kind != "websocket"]
        if kinds:
            self._children[one].tell("kill", dest=other, kinds=kinds)
        if "websocket" in kill.kinds and not kill.every:
            self._proxy.cut_named(_name(one, other))

    def _up(self) -> dict[Pair, list[str]]:
        """The kinds of wire that both of a pair have."""
        up = {}
        for pair in PAIRS:
            one, other = self._wires(*pair), self._wires(*pair[::-1])
            up[pair] = [kind for kind in one if kind in other]
        return up

    def _wires(self, node: str, dest: str) -> dict[str, Any]:
        return next((row["wires"] for row in self._rows[node] if row["dest"] == dest), {})

    def _kills(self) -> int:
        killed: int = sum(row["killed"] for rows in self._rows.values() for row in rows)
        return self._proxy.cuts + killed

    async def _finish(self) -> list[str]:
        """No more kills: let everything arrive, and compare what was sent with what came."""
        children = [self._children[name] for name in NODES]
        for child in children:
            child.tell("stop")
        reports = {child.local_id: await child.hear("sent", 2 * DRAIN_TIMEOUT) for child in children}
        for child in children:
            counts = {
                sender: report["counts"][child.local_id]
                for sender, report in reports.items()
                if child.local_id in report["counts"]
            }
            child.tell("expect", counts=counts)
        for child in children:
            self._rows[child.local_id] = (await child.hear("final", 2 * ARRIVE_TIMEOUT))["rows"]
        return [report["problem"] for report in reports.values() if report["problem"]]

    # -- showing --------------------------------------------------------------------------------------

    async def _show(self) -> None:
        if self._json:
            await asyncio.Event().wait()
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(1.0)
                print(line_of(self._rows, seconds=self._elapsed(), kills=self._kills()), flush=True)
        with Live(self._table(), console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    await asyncio.sleep(0.25)
                    live.update(self._table(), refresh=True)
            finally:
                live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        if self._began is None:
            title = "opening three kinds of wire between each two"
        else:
            last = f"; last: {self._last_kill}" if self._last_kill is not None else ""
            title = f"{self._elapsed():.0f} of {self._seconds:.0f} s, {self._kills()} wires killed{last}"
        return table_of(self._rows, self._rates, escape(title), width=self._console.width)

    def _say(self, text: str, style: str) -> None:
        self._console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    def _standing(self, node: str, rows: list[dict[str, Any]]) -> None:
        """A report of a child."""
        if node == HUB:
            return
        self._rows[node] = rows
        self._reported.set()
        now = asyncio.get_running_loop().time()
        for row in rows:
            key = (node, row["dest"])
            if key not in self._seen:
                self._seen[key] = (now, row["received"])
            when, count = self._seen[key]
            if now - when >= 1.0:
                self._rates[key] = (row["received"] - count) / (now - when)
                self._seen[key] = (now, row["received"])

    async def _news(self) -> None:
        self._reported.clear()
        await self._reported.wait()

    def _elapsed(self) -> float:
        """Seconds since the first wire could be killed."""
        return 0.0 if self._began is None else asyncio.get_running_loop().time() - self._began


def _name(one: str, other: str) -> str:
    return "-".join(sorted((one, other)))
