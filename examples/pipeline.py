"""A stream with a pipeline at both ends: accounts in parallel, each in order, and a graceful end that loses nothing.

python examples/pipeline.py
"""

import asyncio
from collections import defaultdict

from inproc import Hub, InprocTransportManager
from litz.admission import Amount, Queue
from litz.order import PerKey
from litz.pipeline import Item, PipelineOptions, Way, open_pipeline, pipeline

balance: dict[str, int] = defaultdict(int)


async def book(item: Item) -> str:
    """Book one entry. Of one account one after the other; the others do not wait for it."""
    account, amount = item.data
    before = balance[account]
    await asyncio.sleep(0.001 if account == "slow" else 0)
    balance[account] = before + amount  # would lose entries, if two of one account ran at once
    return f"{account} has {balance[account]}"


async def main() -> None:
    options = PipelineOptions(
        inbound=Way(
            order=PerKey(by=lambda item: item.data[0]),  # bounded in keys, messages and bytes
            admission=Queue(Amount(8)),  # at most eight at once, in all streams together
        ),
        grace=30,
    )
    hub = Hub()
    async with InprocTransportManager("alice", hub) as alice, InprocTransportManager("bank", hub) as bank:
        accounts = pipeline(book, options)
        bank.listen_streams("accounts", accounts)

        said: list[str] = []
        async with (
            alice.open_stream("bank", "accounts") as stream,
            open_pipeline(stream, handler=lambda item: said.append(item.data)) as flow,
        ):
            for number in range(1, 101):
                await flow.send(("slow" if number % 10 == 0 else "quick", number))
        # Left gracefully: everything was handled, and all replies are here.
        print(f"{len(said)} replies, slow has {balance['slow']}, quick has {balance['quick']}")
        assert flow.report is not None
        print(f"alice: {flow.report.reason.value}, {flow.report.outbound.handled} sent")
        for serving in accounts.flows:  # if it is not over there yet
            await serving.ended()
        (report,) = accounts.reports
        print(f"bank: {report.reason.value}, {report.inbound.handled} handled, {len(report.outstanding)} outstanding")


asyncio.run(main())
