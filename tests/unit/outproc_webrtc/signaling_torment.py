"""Peers that offer and never connect, and peers whose descriptions are spoiled. Each function runs one torment against
the node "bob" while "ann" is connected to it, and checks that bob is bounded and ann unharmed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from typing import Any

from litz.errors import BusyError
from litz.testing.recording import RecordingSink
from outproc.signaling.attempts import MAX_REMEMBERED
from outproc.signaling.messages import Offer, body_of, seal_envelope
from outproc.wires.webrtc.description import Candidate, Description
from outproc.wires.webrtc.engines import EngineName
from outproc.wires.webrtc.options import WebRtcOptions
from tests.unit.outproc_webrtc.signaling_town import LOCAL, Town, town_of

LIMIT = 32
ITS_OWN = 6
PRINT = bytes(range(32))


def tormented(engine: EngineName) -> WebRtcOptions:
    return LOCAL.model_copy(update={"engine": engine, "max_attempts": LIMIT, "open_timeout": 2.0})


def description(rng: random.Random) -> Description:
    """One that nobody stands behind."""
    candidates = tuple(Candidate(f"{n}", n, "127.0.0.1", rng.randint(20_000, 60_000), "host") for n in range(1, 4))
    return Description("ufrag", "p" * 24, PRINT, "actpass", candidates, 262_144)


def offer(town: Town, sender: str, sdp: str, **changes: Any) -> bytes:
    """An envelope that `sender` has signed."""
    fields: dict[str, Any] = {
        "version": 1,
        "sender": sender,
        "dest": "bob",
        "session": town.ports[sender].session_name("bob"),
        "attempt": os.urandom(16).hex(),
        "expires": int(time.time()) + 30,
        "fingerprint": Description("", "", PRINT, "actpass", (), 0).fingerprint_text,
        "sdp": sdp,
    }
    body = body_of(Offer(**(fields | changes)))
    return seal_envelope(body, town.ports[sender].sign("webrtc", "bob", body.encode()))


async def half_open(count: int, engine: EngineName) -> None:
    """`count` peers offer at once, and none of them ever connects."""
    rng = random.Random(1)
    names = [f"peer{n}" for n in range(count)]
    async with town_of("ann", "bob", options=tormented(engine)) as town:
        live = await town.dial("ann", "bob")
        ours, theirs = RecordingSink(), RecordingSink()
        live.start(ours)
        (await town.ports["bob"].accepted.get()).start(theirs)
        desk = town.builders["bob"]._desk
        assert desk is not None
        for name in names:
            town.add(name, tormented(engine))
            town.meet(name, "bob")
        before = descriptors()
        most = 0
        for name in names:
            town.ports["bob"].deliver(name, offer(town, name, description(rng).to_sdp()))
        for number in range(60):
            await asyncio.sleep(0.01)
            most = max(most, len(desk.attempts))
            live.write([b"%d" % number])
        assert 0 < most <= LIMIT
        await theirs.until(lambda: len(theirs.frames) == 60, "what ann sends meanwhile")
        await quiet(town)
        await freed(before)
        refused = sum(b"busy" in data for _, data in town.ports["bob"].posted)
        assert refused == count - LIMIT
        again = await dial_until_taken(town)
        again.abort()
        live.abort()


async def spoiled(count: int, engine: EngineName) -> None:
    """`count` offers whose descriptions, or whole envelopes, are spoiled, from several peers."""
    rng = random.Random(2)
    names = [f"peer{n}" for n in range(8)]
    async with town_of("ann", "bob", *names, options=tormented(engine)) as town:
        live = await town.dial("ann", "bob")
        ours, theirs = RecordingSink(), RecordingSink()
        live.start(ours)
        (await town.ports["bob"].accepted.get()).start(theirs)
        desk = town.builders["bob"]._desk
        assert desk is not None
        worst = 0.0
        for number in range(count):
            name = rng.choice(names)
            town.ports["bob"].deliver(name, spoil(rng, town, name))
            if number % 8 == 7:
                began = time.process_time()
                await asyncio.sleep(0)
                worst = max(worst, time.process_time() - began)
                assert len(desk.attempts) <= LIMIT
                assert desk.attempts.remembered <= MAX_REMEMBERED * (len(names) + 1)
            if number % (count // 50) == 0:
                live.write([b"%d" % number])
        await theirs.until(lambda: len(theirs.frames) == 50, "what ann sends meanwhile")
        await quiet(town)
        assert worst < 0.5, f"one turn of the loop took {worst} s of the processor"
        (await dial_until_taken(town)).abort()
        live.abort()


def spoil(rng: random.Random, town: Town, name: str) -> bytes:
    """One hostile message: a description changed in places, a flood of candidates, or an envelope cut and twisted."""
    sdp = description(rng).to_sdp()
    kind = rng.randrange(4)
    if kind == 0:
        letters = list(sdp)
        for _ in range(rng.randint(1, 20)):
            letters[rng.randrange(len(letters))] = chr(rng.choice((0, 10, 13, 32, 58, 0x2028, rng.randrange(32, 127))))
        return offer(town, name, "".join(letters))
    if kind == 1:
        lines = "".join(
            f"a=candidate:{rng.getrandbits(64)} {rng.getrandbits(8)} udp x y z typ host\r\n" for _ in range(150)
        )
        return offer(town, name, (sdp + lines)[: 16 * 1024])
    if kind == 2:
        return offer(town, name, sdp, fingerprint=":".join(["EE"] * 32))
    envelope = bytearray(offer(town, name, sdp))
    for _ in range(rng.randint(1, 9)):
        envelope[rng.randrange(len(envelope))] = rng.randrange(256)
    return bytes(envelope[: rng.randrange(len(envelope))]) if rng.random() < 0.5 else json.dumps([0] * 99).encode()


async def dial_until_taken(town: Town) -> Any:
    """Ann dials again as a manager would: later, when she is told that bob is busy."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await town.dial("ann", "bob")
            except BusyError:
                await asyncio.sleep(0.1)


async def quiet(town: Town) -> None:
    """Until bob answers nobody any more and has freed what it had."""
    bob = town.builders["bob"]
    async with asyncio.timeout(120):
        while bob._desk is not None and (  # noqa: ASYNC110 - a builder has no event for this
            bob._desk._readers or bob._answering or bob._freeing or len(bob._desk.attempts)
        ):
            await asyncio.sleep(0.02)


async def freed(before: int) -> None:
    """Until no descriptor is left of the torment. A few may be those that the library opens once in a process, and it
    opens one for a moment to look at the interfaces; what each of the peers leaves would be many."""
    async with asyncio.timeout(120):
        while descriptors() > before + ITS_OWN:  # noqa: ASYNC110 - closing a descriptor is no event
            await asyncio.sleep(0.02)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counted, not walked
