"""What happens to work over a limit: refused, queued, or admitted with a signal."""

import asyncio

from litz import Message, PerKey
from litz.admission import Amount, Queue, Reject, SoftAllowSignal
from litz.limiter import Limiter
from outproc import OutprocTransportManager


class Desk:
    """A handler that keeps whom it serves until it closes, and knows how many that were at once."""

    def __init__(self) -> None:
        self.running = self.most = 0
        self.two, self.closes = asyncio.Event(), asyncio.Event()

    async def handle(self, message: Message) -> bytes:
        self.running += 1
        self.most = max(self.most, self.running)
        if self.running == 2:
            self.two.set()
        await self.closes.wait()
        self.running -= 1
        return b"done"


async def eight_requests(alice: OutprocTransportManager, desk: Desk, refused: int) -> str:
    requests = [asyncio.create_task(alice.request("bob", b"")) for _ in range(8)]
    await desk.two.wait()
    if refused:
        await asyncio.wait(requests[-refused:])
    desk.closes.set()
    answers = await asyncio.gather(*requests, return_exceptions=True)  # RemoteError, of kind AdmissionRefusedError
    return f"{desk.most} at once, {answers.count(b'done')} of 8 served"


async def main() -> None:
    # In: all senders of bob share two permits. What is over the limit waits, or a request is answered with a refusal.
    async with OutprocTransportManager("bob") as bob, OutprocTransportManager("alice") as alice:
        alice.add_endpoints("bob", [str(url) for url in (await bob.listen("ws://127.0.0.1:0")).endpoints])
        for policy, refused in ((Queue(Amount(2)), 0), (Reject(Amount(2)), 6)):
            desk, each = Desk(), PerKey(lambda message: message.number)
            serving = asyncio.create_task(bob.serve(desk.handle, order=each, admission=Limiter(policy, name="desk")))
            print(f"{type(policy).__name__}:", await eight_requests(alice, desk, refused))
            serving.cancel()
            await asyncio.wait([serving])

    # Out, or anything else: permits by count and bytes, and a signal that does not flutter.
    limiter = Limiter(SoftAllowSignal(Amount(2, 1000), ceiling=Amount(4, 4000), low=Amount(1, 500)), name="uploads")
    limiter.watch(lambda high: print("high: slow down" if high else "low: go on"))
    permits = [await limiter.acquire(bytes=400) for _ in range(4)]
    (error,) = await asyncio.gather(limiter.acquire(bytes=400), return_exceptions=True)
    print(f"{type(error).__name__}: {error}".partition(": come")[0])
    for permit in permits:
        permit.release()


if __name__ == "__main__":
    asyncio.run(main())
