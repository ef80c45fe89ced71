"""`python -m benchmarks [name...] [--json]`: exit code 1 when a stated limit was missed or a benchmark failed."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict

from benchmarks.contest import Outcome
from benchmarks.suite import BENCHMARKS


def show(outcome: Outcome) -> str:
    """One line for people."""
    values = ", ".join(f"{name} {value:,.0f}" for name, value in outcome.values.items())
    ratio = f"; ratio {outcome.ratio:.2f}" if outcome.ratio is not None else ""
    verdict = "" if outcome.ok is None else f"; {outcome.limit}: {'yes' if outcome.ok else 'NO'}"
    return f"{outcome.name:8} {values} {outcome.unit}{ratio}{verdict}"


async def run(names: list[str], *, as_json: bool) -> int:
    """Run the named benchmarks one after the other; the exit code."""
    outcomes, failed = [], False
    for name in names:
        try:
            outcome = await BENCHMARKS[name]()
        except (RuntimeError, OSError) as error:
            print(f"{name}: not measured: {error}", file=sys.stderr)
            failed = True
            continue
        outcomes.append(outcome)
        failed = failed or outcome.ok is False
        if not as_json:
            print(show(outcome), flush=True)
    if as_json:
        print(json.dumps({"cpus": os.cpu_count(), "outcomes": [asdict(outcome) for outcome in outcomes]}, indent=2))
    return int(failed)


def main() -> int:
    """What `python -m benchmarks` calls."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return asyncio.run(run(arguments.names or list(BENCHMARKS), as_json=arguments.json))


if __name__ == "__main__":
    sys.exit(main())
