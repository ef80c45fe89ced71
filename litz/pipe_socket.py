"""A byte pipe as a real socket, for code that wants one: bytes are pumped between the two in the loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from litz.loopback_pair import loopback_pair
from litz.pump import Pump

Connect = Callable[[Callable[[], asyncio.BaseProtocol]], Awaitable[object]]
"""Opens a pipe for the protocol that a factory makes."""


async def pipe_socket(connect: Connect) -> socket.socket:
    """Open a pipe by `connect`, and return a blocking socket that is its other end. What is read and written there is
    bounded in between by the buffers of the system and of the pump, both ways; the end of either half is passed on,
    and an abort or loss of the pipe resets the socket. Closing the socket ends the pipe. Its owner may use it in any
    thread, or give it away; it works as long as the loop runs. Raises what `connect` raises, and OSError."""
    loop = asyncio.get_running_loop()
    pump = Pump(_ended)
    await connect(lambda: pump.here)
    try:
        ours, theirs = await loopback_pair()
    except BaseException as error:
        pump.abort(error)
        raise
    try:
        await loop.create_connection(lambda: pump.there, sock=ours)
        theirs.setblocking(True)
    except BaseException as error:
        pump.abort(error)
        ours.close()
        theirs.close()
        raise
    return theirs


def _ended(error: BaseException | None) -> None:
    """Both ends know it already: the socket by its reset or end, the pipe's peer by its abort or end."""
