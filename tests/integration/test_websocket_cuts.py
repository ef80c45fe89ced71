"""Cut at every byte of a scripted exchange, opening handshake included, on virtual time over a seeded byte stream.

Everything is real but the socket: `outproc.wires.websocket.driver`, `outproc.wires.websocket.opening`, aiohttp's
request handler and `outproc.wires.websocket.upgrade`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import web
from websockets.client import ClientProtocol
from websockets.protocol import CLIENT, Protocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from litz.errors import LitzError
from litz.testing import SimLoop, run_simulation
from litz.testing.recording import RecordingSink
from litz.testing.sim_stream import SimStream, StreamSide
from litz.wire import Wire, WirePath
from outproc.wires.websocket.driver import WebSocketWire
from outproc.wires.websocket.opening import Opening
from outproc.wires.websocket.refusal import SUBPROTOCOL
from outproc.wires.websocket.upgrade import add_litz_route
from tests.unit.outproc_websocket.kit import frame

UP = [b"a", b"b" * 20, b"", b"c" * 126, b"d" * 300]
DOWN = [b"e" * 130, b"f", b"g" * 90]
LARGE = [b"h" * 70_000, b"i"]


@dataclass
class Outcome:
    """What both ends saw, and how many bytes each had written when all was over."""

    dial_error: Exception | None = None
    client: RecordingSink = field(default_factory=RecordingSink)
    server: RecordingSink = field(default_factory=RecordingSink)
    accepted: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


def _dialler() -> Opening:
    protocol = ClientProtocol(WebSocketURI(False, "sim", 80, "/litz", ""), subprotocols=[Subprotocol(SUBPROTOCOL)])

    def make(transport: asyncio.Transport, protocol: ClientProtocol, tail: bytes) -> WebSocketWire:
        return WebSocketWire(transport, protocol, tail, path=WirePath(), secure=False)

    return Opening("sim", protocol, protocol.connect(), make)


async def _exchange(loop: SimLoop, seed: int, cut: tuple[StreamSide, int] | None, up: list[bytes]) -> Outcome:
    outcome = Outcome()
    app = web.Application()

    def accept(wire: Wire) -> None:
        outcome.accepted += 1
        wire.start(outcome.server)
        for data in DOWN:
            wire.write([data])

    add_litz_route(app, accept)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=5.0)
    await runner.setup()
    assert runner.server is not None
    opening = _dialler()
    stream = SimStream(loop, opening, runner.server(), seed=seed, fragment=200 if up is UP else 16 * 1024)
    if cut is not None:
        stream.cut_after(*cut)
    try:
        wire = await opening.wire
    except (OSError, LitzError) as error:
        outcome.dial_error = error
        opening.give_up()
        await asyncio.sleep(1.0)
    else:
        wire.start(outcome.client)
        for data in up:
            wire.write([data])
        if cut is None:
            await outcome.server.until(lambda: len(outcome.server.frames) == len(up), "all frames up")
            await outcome.client.until(lambda: len(outcome.client.frames) == len(DOWN), "all frames down")
            wire.close()
        await outcome.client.until(lambda: outcome.client.loss is not None, "the dialler's end")
    if outcome.accepted:
        await outcome.server.until(lambda: outcome.server.loss is not None, "the acceptor's end")
    await asyncio.sleep(6.0)  # whatever is still armed fires now
    outcome.bytes_up, outcome.bytes_down = stream.delivered("client"), stream.delivered("server")
    await runner.cleanup()
    return outcome


def _run(seed: int, cut: tuple[StreamSide, int] | None, up: list[bytes]) -> Outcome:
    return run_simulation(lambda loop: _exchange(loop, seed, cut, up), seed=seed).value


def _check(outcome: Outcome, up: list[bytes], where: object) -> None:
    for sink, sent in ((outcome.server, up), (outcome.client, DOWN)):
        assert sink.wrong == [], where
        assert sink.frames == sent[: len(sink.frames)], where
    assert outcome.accepted <= 1, where
    assert (outcome.client.loss is None) == (outcome.dial_error is not None), where


def test_without_a_cut_all_arrives() -> None:
    outcome = _run(1, None, UP)
    assert outcome.dial_error is None
    assert outcome.server.frames == UP
    assert outcome.client.frames == DOWN
    assert (str(outcome.client.loss), str(outcome.server.loss)) == ("closed here", "closed by the peer (1000 (OK))")


def _every_byte(side: StreamSide, positions: range | list[int], up: list[bytes]) -> list[Outcome]:
    outcomes = []
    for position in positions:
        outcome = _run(position, (side, position), up)
        _check(outcome, up, (side, position))
        outcomes.append(outcome)
    return outcomes


def test_cut_at_every_byte_of_the_dialler() -> None:
    total = _run(1, None, UP).bytes_up
    outcomes = _every_byte("client", range(total - 8 + 1), UP)
    counts = [len(outcome.server.frames) for outcome in outcomes]
    assert set(counts) == set(range(len(UP) + 1)), "some prefix was never seen"
    assert any(outcome.dial_error is not None for outcome in outcomes)


def test_cut_at_every_byte_of_the_acceptor() -> None:
    total = _run(1, None, UP).bytes_down
    outcomes = _every_byte("server", range(total - 4 + 1), UP)
    assert {len(outcome.client.frames) for outcome in outcomes} == set(range(len(DOWN) + 1))
    assert any(outcome.accepted and outcome.dial_error is not None for outcome in outcomes), "cut in the answer"


def test_cut_around_the_edges_of_a_large_frame() -> None:
    start = _run(1, None, []).bytes_up - 8
    edges = [*range(start, start + 20), start + 35_000, *range(start + 70_005, start + 70_022)]
    outcomes = _every_byte("client", edges, LARGE)
    assert {len(outcome.server.frames) for outcome in outcomes} == {0, 1, 2}


async def test_a_failed_handshake_that_nobody_waits_for_is_not_reported() -> None:
    opening = _dialler()
    opening.connection_lost(None)
    assert opening.wire.done()
    opening.give_up()
    opening.give_up()  # the fixtures see what is reported to the loop


def test_frames_that_came_before_the_loss_and_before_start_are_delivered() -> None:
    async def main(loop: SimLoop) -> RecordingSink:
        stream = SimStream(loop, asyncio.Protocol(), asyncio.Protocol())
        await asyncio.sleep(0.01)
        early = frame(b"early", mask=False) + frame(b"?", 9, mask=False) + b"\x82\x05par"
        wire = WebSocketWire(stream.client, Protocol(CLIENT), early, path=WirePath(), secure=False)
        sink = RecordingSink()
        stream.client.abort()  # its connection_lost is under way when start is called
        wire.start(sink)
        await sink.until(lambda: sink.loss is not None, "the end")
        await asyncio.sleep(1.0)
        return sink

    for seed in range(20):
        sink = run_simulation(main, seed=seed).value
        assert (sink.frames, sink.wrong) == ([b"early"], [])
