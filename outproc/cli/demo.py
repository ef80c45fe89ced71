"""`litz demo`: three nodes in three processes, all talking to all, while their connections are being cut."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.table import Table

from outproc.cli.cutting_proxy import CuttingProxy
from outproc.cli.demo_children import DemoChild
from outproc.cli.demo_node import ARRIVE_TIMEOUT, DRAIN_TIMEOUT
from outproc.cli.demo_table import Verdict, judge, line_of, table_of
from outproc.cli.outcome import DONE, EXIT_CODES, FAILED, UsageError
from outproc.cli.running import Stop, StoppedError, run

NODES: Final = ("alice", "bob", "carol")
START_TIMEOUT: Final = 30.0
CUT_EVERY: Final = 1.0
MESSAGES_A_SECOND: Final = 500
"""What must arrive at least, all nodes together, unless --min-messages says otherwise."""


def add(commands: Any) -> None:
    """Add the parser."""
    parser = commands.add_parser(
        "demo",
        help="three nodes, connections cut every second, nothing lost (ends by itself)",
        description="Runs three nodes in three processes, all sending numbered and hashed messages to all; cuts each "
        "of their TCP connections about every second, in the middle of frames. Receivers check every message. "
        "Exits 1 if one was lost, doubled, reordered or damaged, or if too little happened to tell.",
        epilog=f"example: litz demo --seconds 30\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to send and cut (default: 15)")
    parser.add_argument(
        "--min-messages", type=int, metavar="N", help=f"fail below (default: {MESSAGES_A_SECOND} a second)"
    )
    parser.add_argument("--min-heals", type=int, metavar="N", help="fail below (default: one every second)")
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
        given_messages, given_heals = arguments.min_messages, arguments.min_heals
        self._min_messages = int(self._seconds * MESSAGES_A_SECOND) if given_messages is None else given_messages
        self._min_heals = max(1, int(self._seconds)) if given_heals is None else given_heals
        self._json: bool = arguments.json
        self._console = Console(stderr=self._json)
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in NODES}
        self._rates: dict[tuple[str, str], float] = {}
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}
        self._began = 0.0

    async def run(self, stop: Stop) -> int:
        """Run it to its verdict; the exit code."""
        async with AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(CuttingProxy(Random()))
            children = [await stack.enter_async_context(DemoChild(name, self._standing)) for name in NODES]
            try:
                verdict = await stop.unless(self._play(proxy, children))
            except StoppedError:
                print("interrupted: no verdict", file=sys.stderr)
                raise
        if self._json:
            print(json.dumps(verdict.plain()))
        else:
            style = "bold green" if verdict.good else "bold red"
            self._console.print(str(verdict), style=style, highlight=False, markup=False, soft_wrap=True)
        return DONE if verdict.good else FAILED

    async def _play(self, proxy: CuttingProxy, children: list[DemoChild]) -> Verdict:
        urls = {}
        for child in children:
            ready = urlsplit((await child.hear("ready", START_TIMEOUT))["endpoint"])
            assert ready.hostname is not None
            assert ready.port is not None
            urls[child.local_id] = f"ws://127.0.0.1:{await proxy.forward(ready.hostname, ready.port)}"
        self._began = asyncio.get_running_loop().time()
        for child in children:
            child.tell("start", directory={name: url for name, url in urls.items() if name != child.local_id})
        await self._cut_and_show(proxy)
        seconds = self._elapsed()
        problems = await self._finish(children)
        return judge(
            self._rows,
            problems,
            seconds=seconds,
            cuts=proxy.cuts,
            min_messages=self._min_messages,
            min_heals=self._min_heals,
        )

    async def _cut_and_show(self, proxy: CuttingProxy) -> None:
        loop = asyncio.get_running_loop()
        work = [loop.create_task(proxy.cut_about_every(CUT_EVERY)), loop.create_task(self._show(proxy))]
        try:
            await asyncio.wait(work, timeout=self._seconds, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in work:
                task.cancel()
            await asyncio.wait(work)
        for task in work:
            if not task.cancelled():
                task.result()

    async def _finish(self, children: list[DemoChild]) -> list[str]:
        """No more cuts: let everything arrive, and compare what was sent with what came."""
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

    async def _show(self, proxy: CuttingProxy) -> None:
        if self._json:
            return
        if not self._console.is_terminal:
            while True:
                await asyncio.sleep(1.0)
                print(line_of(self._rows, seconds=self._elapsed(), cuts=proxy.cuts), flush=True)
        with Live(self._table(proxy), console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    await asyncio.sleep(0.25)
                    live.update(self._table(proxy), refresh=True)
            finally:
                live.update(self._table(proxy), refresh=True)

    def _table(self, proxy: CuttingProxy) -> Table:
        title = f"{self._elapsed():.0f} of {self._seconds:.0f} s, {proxy.cuts} connections cut"
        return table_of(self._rows, self._rates, title)

    def _standing(self, node: str, rows: list[dict[str, Any]]) -> None:
        """A report of a child."""
        self._rows[node] = rows
        now = asyncio.get_running_loop().time()
        for row in rows:
            key = (node, row["dest"])
            when, count = self._seen.get(key, (self._began, 0))
            if now - when >= 1.0:
                self._rates[key] = (row["received"] - count) / (now - when)
                self._seen[key] = (now, row["received"])

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began
