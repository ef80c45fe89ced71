"""The messages of one account one after the other, accounts beside each other: at the sender and at the handler."""

import asyncio
from random import random

from litz import Message, PerKey
from litz.ordered_sending import OrderedSending
from outproc import OutprocTransportManager

ledger: dict[str, list[int]] = {"anna": [], "bert": []}
bert_is_done = asyncio.Event()


async def book(message: Message) -> None:
    """Of one account one runs at a time. Anna's wait for Bert's: behind one another they would wait for ever."""
    if message.key == "anna":
        await bert_is_done.wait()
    ledger[str(message.key)].append(int(message.data))
    if len(ledger["bert"]) == 3:
        bert_is_done.set()


async def main() -> None:
    async with OutprocTransportManager("bob") as bob:
        listener = await bob.listen("ws://127.0.0.1:0")
        directory = {"bob": [str(endpoint) for endpoint in listener.endpoints]}
        async with OutprocTransportManager("alice", directory=directory) as alice, asyncio.TaskGroup() as group:
            serving = group.create_task(bob.serve(book, order=PerKey(), concurrency=4))

            sending = OrderedSending(PerKey())

            async def order(account: str, number: int) -> None:
                async with sending.turn(account):
                    await asyncio.sleep(random() / 100)  # ask a price, sign it ... any number of awaits
                    # Confirmed when it is processed, with all that came before it.
                    await alice.send("bob", b"%d" % number, key=account)

            await asyncio.gather(*(order(account, number) for number in range(3) for account in ledger))
            await alice.send("bob", b"3", key="anna", confirm="processed")
            for account, numbers in ledger.items():
                print(f"{account}: {numbers}")
            serving.cancel()


if __name__ == "__main__":
    asyncio.run(main())
