"""A peer that is killed: what it left unconfirmed goes to its next process, marked, so that nothing is done twice."""

import asyncio
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

from litz import Message
from litz.events import SessionEnded
from outproc import OutprocTransportManager, TransportOptions


def work(done_file: Path, message: Message) -> None:
    """Does each piece of work once, over all lives of bob: it writes down what it has done."""
    done = done_file.read_text().splitlines() if done_file.exists() else []
    name = f"{message.sender} {message.origin}"  # the same whenever it comes
    if name not in done:
        marked = ", which may have come before" if message.redelivered else ""
        print(f"bob: does {message.data.decode()}{marked}", flush=True)
        done_file.write_text("\n".join([*done, name]))


async def bob(url: str, done_file: Path) -> None:
    async with OutprocTransportManager("bob") as manager:
        await manager.listen(url)
        await manager.serve(partial(work, done_file))


async def start(url: str, done_file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, __file__, url, str(done_file))


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url, done_file = f"unix:{folder}/bob.socket", Path(folder, "done")
        options = TransportOptions(on_restart={"bob": "resend"})
        async with OutprocTransportManager("alice", directory={"bob": [url]}, options=options) as alice:
            events = alice.events()
            process = await start(url, done_file)
            await alice.send("bob", b"work 1", when_down="queue", confirm="processed")
            process.send_signal(signal.SIGSTOP)  # from here on it takes nothing, and nobody can know
            await alice.send("bob", b"work 2")
            work_3 = asyncio.create_task(alice.send("bob", b"work 3", confirm="processed"))
            await asyncio.sleep(0.1)
            process.kill()
            await process.wait()
            process = await start(url, done_file)
            await work_3  # it waits for whoever does it
            async for _, event in events:
                if isinstance(event, SessionEnded):
                    print(f"alice: {event.reason.value}; sent again: {len(event.resent)}, lost: {len(event.lost)}")
                    break
            process.kill()
            await process.wait()


if __name__ == "__main__":
    asyncio.run(bob(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 1 else main())
