"""SIGHUP: a node reads its keys and certificates again, and drops who would not be let in any more."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from litz.errors import LitzError
from outproc.cli.credentials import Credentials
from outproc.cli.outcome import UsageError
from outproc.manager import OutprocTransportManager


async def reload_on_hangup(
    manager: OutprocTransportManager, credentials: Credentials, say: Callable[[str], None]
) -> None:
    """Do so at each SIGHUP, until cancelled. What cannot be used changes nothing, and is told."""
    came = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, came.set)
    try:
        while True:
            await came.wait()
            came.clear()
            try:
                await credentials.reload()
                dropped = await manager.reauthorize()
            except (LitzError, UsageError) as error:
                say(f"the old keys and certificates stay in force: {error}")
            else:
                say(f"keys and certificates were read again; dropped: {', '.join(dropped) or 'nobody'}")
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
