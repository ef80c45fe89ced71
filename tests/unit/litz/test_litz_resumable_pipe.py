"""What ends a `litz.resumable_pipe` for good, who may resume it, and what its frames say.

Covers `litz.resume_frames`, `litz.resume_handshake`, `litz.resume_greeting`, `litz.resume_session`, `litz.resume_link`,
`litz.resume_dialler`, `litz.resume_options`, `litz.resumable_side` too; tests/simulation/resumable has the faults.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from litz.errors import HandshakeError, PipeResetError, ProtocolError, ResumeImpossibleError, UnauthenticatedError
from litz.resumable_pipe import ResumablePipe
from litz.resume_frames import Ack, FrameReader, Hello, Kind, Why, coded_frame, frame, hello_frame, read_code
from litz.resume_handshake import Keys, Role, first_keys
from litz.resume_options import ResumeOptions
from litz.resume_session import ResumeSession
from litz.testing import SimLoop, run_simulation
from tests.simulation.resumable.network import Network, Streams, connection


def simulate(main: Callable[[SimLoop], object]) -> None:
    run_simulation(main, seed=1)  # type: ignore[arg-type]  # a coroutine function


@asynccontextmanager
async def both(loop: SimLoop, **options: float) -> AsyncIterator[tuple[ResumablePipe, ResumablePipe, Network]]:
    network = Network(loop, 1)
    chosen = ResumeOptions(**options)  # type: ignore[arg-type]  # times only
    active = ResumablePipe(network.dial, options=chosen)
    passive = network.passive = ResumablePipe(options=chosen)
    async with active, passive:
        yield active, passive, network
    await network.aclose()


def test_without_a_connection_for_too_long_both_ends_are_lost() -> None:
    async def main(loop: SimLoop) -> None:
        async with both(loop, kept=20.0) as (active, passive, network):
            await active.wait_connected()
            active.writer.write(b"x")
            assert await passive.reader.readexactly(1) == b"x"
            network.refusing = True
            began = loop.time()
            network.streams[-1].cut()
            for pipe in (active, passive):
                with pytest.raises(PipeResetError, match="no connection for 20 s"):
                    await pipe.reader.read()
                assert 19 < loop.time() - began < 21
            assert active.error is not None
            assert isinstance(active.error.__cause__, ConnectionRefusedError)

    simulate(main)


def test_a_reconnect_of_the_user_may_give_up() -> None:
    async def main(loop: SimLoop) -> None:
        async def dial() -> Streams:
            raise ResumeImpossibleError("I know that it is gone")

        async with ResumablePipe(dial) as pipe:
            with pytest.raises(ResumeImpossibleError, match="I know"):
                await pipe.wait_connected()
            with pytest.raises(ConnectionResetError):
                await pipe.reader.read()

    simulate(main)


def test_who_waits_for_a_new_connection_is_told_why_there_will_be_none() -> None:
    async def main(loop: SimLoop) -> None:
        async def gives_up() -> Streams:
            await asyncio.sleep(1)
            raise ResumeImpossibleError("I know that it is gone")

        async def hangs() -> Streams:
            return await loop.create_future()  # type: ignore[no-any-return]  # it never comes

        options = ResumeOptions(kept=2.0, dial_timeout=60.0)
        for dial, why in ((gives_up, "I know"), (hangs, "no connection for 2 s")):
            async with ResumablePipe(dial, options=options) as pipe:
                asking = [loop.create_task(pipe.reconnect()) for _ in range(2)]
                await asyncio.wait(asking)
                for ask in asking:
                    with pytest.raises(ResumeImpossibleError, match=why):
                        await ask
                with pytest.raises(ResumeImpossibleError, match=why):
                    await pipe.reconnect()
        async with ResumablePipe(hangs) as pipe:
            ask = loop.create_task(pipe.reconnect())
            await asyncio.sleep(0.1)
            await pipe.aclose()
            with pytest.raises(ResumeImpossibleError, match="the pipe has ended"):
                await ask

    simulate(main)


def test_a_dial_that_hangs_has_its_deadline_and_close_ends_one_at_once() -> None:
    async def main(loop: SimLoop) -> None:
        calls = 0

        async def dial() -> Streams:
            nonlocal calls
            calls += 1
            return await loop.create_future()  # type: ignore[no-any-return]  # it never comes

        pipe = ResumablePipe(dial, options=ResumeOptions(dial_timeout=3.0))
        with pytest.raises(TimeoutError):
            await pipe.reconnect()
        assert calls == 1
        await asyncio.sleep(20)
        assert calls > 3
        began = loop.time()
        pipe.writer.write(b"never arrives")
        await pipe.aclose()
        assert loop.time() - began <= 5.1
        assert pipe.unconfirmed == 13

    simulate(main)


def test_a_dial_that_swallows_its_cancellation_is_left_behind_and_named() -> None:
    async def main(loop: SimLoop) -> None:
        released = loop.create_future()
        told: list[str] = []

        async def dial() -> Streams:
            while not released.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(released)
            raise OSError

        pipe = ResumablePipe(dial, options=ResumeOptions(close_timeout=2.0))
        pipe.start()
        await asyncio.sleep(0.1)
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _loop, context: told.append(context["message"]))
        began = loop.time()
        await pipe.aclose()
        assert loop.time() - began <= 2.1
        loop.set_exception_handler(handler)
        assert "reconnect()" in told[0]
        released.set_result(None)
        await asyncio.sleep(0.1)

    simulate(main)


def test_an_abort_is_told_and_a_close_is_prompt() -> None:
    async def main(loop: SimLoop) -> None:
        async with both(loop) as (active, passive, _):
            await active.wait_connected()
            active.transport.abort()
            with pytest.raises(PipeResetError):
                await passive.reader.read()
        async with both(loop) as (active, passive, _):
            await active.wait_connected()
            began = loop.time()
            await asyncio.gather(active.aclose(), passive.aclose())
            assert loop.time() - began < 1.0
            assert passive.error is active.error is None
            assert await passive.reader.read() == b""

    simulate(main)


def test_who_is_passive_does_not_dial_and_who_is_active_is_given_nothing() -> None:
    async def main(loop: SimLoop) -> None:
        async with both(loop) as (active, passive, _):
            with pytest.raises(RuntimeError, match="passive"):
                await passive.reconnect()
            stream, client, server = connection(loop, seed=1)
            with pytest.raises(RuntimeError, match="active"):
                await active.attach(*server)
            for _, writer in (client, server):
                writer.transport.abort()
            stream.cut()

    simulate(main)


class Forger:
    """Speaks the frames by hand, towards a passive pipe."""

    def __init__(self, loop: SimLoop, passive: ResumablePipe) -> None:
        self.stream, (self.reader, self.writer), server = connection(loop, seed="forger")
        self.attaching = loop.create_task(passive.attach(*server))
        self._frames = FrameReader()
        self._came: list[tuple[Kind, bytes]] = []

    async def next(self) -> tuple[Kind, bytes]:
        while not self._came:
            data = await self.reader.read(10_000)
            if not data:
                raise EOFError
            self._came = self._frames.feed(data)
        return self._came.pop(0)

    async def refused(self) -> int:
        kind, payload = await self.next()
        assert kind is Kind.REFUSE, kind
        return read_code(payload)[0]

    async def end(self) -> BaseException | None:
        self.writer.transport.abort()
        self.stream.cut()
        await asyncio.wait([self.attaching])
        return self.attaching.exception()


def test_strangers_and_older_connections_are_refused_and_disturb_nobody() -> None:
    async def main(loop: SimLoop) -> None:
        async with both(loop) as (active, passive, network):
            await active.wait_connected()
            active.writer.write(b"x")
            assert await passive.reader.readexactly(1) == b"x"
            session = active._identity.session
            secret = active._identity.secret
            assert session is not None
            assert secret is not None
            nonce = bytes(16)
            for hello, why in (
                (Hello(True, b"s" * 16, nonce, 9), Why.OTHER),
                (Hello(False, b"s" * 16, nonce, 9), Why.OTHER),
                (Hello(True, session, nonce, 9), Why.OTHER),
                (Hello(False, session, nonce, 1), Why.STALE),
            ):
                forger = Forger(loop, passive)
                forger.writer.write(hello_frame(hello))
                assert await forger.refused() == why
                assert isinstance(await forger.end(), HandshakeError)
            for key, role in ((bytes(32), Role.ACTIVE), (secret, Role.PASSIVE)):
                forger = Forger(loop, passive)
                hello = Hello(False, session, nonce, 9)
                forger.writer.write(hello_frame(hello))
                kind, _ = await forger.next()
                assert kind is Kind.HELLO
                forger.writer.write(Keys(key, hello, hello).proof_frame(role, Ack(0, 100, False)))
                assert await forger.refused() == Why.OTHER
                assert isinstance(await forger.end(), UnauthenticatedError)
            forger = Forger(loop, passive)
            forger.writer.write(hello_frame(Hello(False, session, nonce, 9)))
            assert (await forger.next())[0] is Kind.HELLO
            forger.writer.write(coded_frame(Kind.REFUSE, Why.GONE, "I am nobody"))
            await asyncio.sleep(0.1)
            assert isinstance(await forger.end(), HandshakeError)
            passive.writer.write(b"still here")
            assert await active.reader.readexactly(10) == b"still here"
            assert (active.connections, passive.connections) == (1, 1)
            assert len(network.streams) == 1

    simulate(main)


def test_who_proves_itself_and_wants_what_is_gone_ends_the_pipe() -> None:
    async def main(loop: SimLoop) -> None:
        async with both(loop) as (active, passive, _):
            await active.wait_connected()
            passive.writer.write(b"x" * 10)
            await active.reader.readexactly(10)
            await asyncio.sleep(1)
            assert not passive.unconfirmed
            session, secret = active._identity.session, active._identity.secret
            assert session is not None
            assert secret is not None
            forger = Forger(loop, passive)
            hello = Hello(False, session, bytes(16), 9)
            forger.writer.write(hello_frame(hello))
            _, payload = await forger.next()
            theirs = Hello(False, session, payload[26:42], 9)
            forger.writer.write(Keys(secret, hello, theirs).proof_frame(Role.ACTIVE, Ack(3, 100, False)))
            assert await forger.refused() == Why.GONE
            assert isinstance(await forger.end(), ResumeImpossibleError)
            with pytest.raises(PipeResetError, match="wants to go on at 3"):
                await passive.reader.read()
            active.transport.abort()

    simulate(main)


def test_what_the_other_end_says_does_nothing_to_a_terminal() -> None:
    code, text = read_code(coded_frame(Kind.RESET, 7, "\x1b[2J\nall is well")[5:])
    assert code == 7
    assert text.isprintable()
    assert text.endswith("all is well")


def test_a_pipe_that_ends_while_a_connection_proves_itself_is_not_carried_by_it() -> None:
    """Nobody owned that connection any more: it lived for as long as its peer said something now and then."""

    async def main(loop: SimLoop) -> None:
        async with both(loop) as (active, passive, _):
            await active.wait_connected()
            active.writer.write(b"x")
            assert await passive.reader.readexactly(1) == b"x"
            session, secret = active._identity.session, active._identity.secret
            assert session is not None
            assert secret is not None
            forger = Forger(loop, passive)
            hello = Hello(False, session, bytes(16), 9)
            forger.writer.write(hello_frame(hello))
            _, payload = await forger.next()
            await passive.aclose()
            theirs = Hello(False, session, payload[26:42], 9)
            forger.writer.write(Keys(secret, hello, theirs).proof_frame(Role.ACTIVE, Ack(0, 1 << 20, False)))
            assert await forger.refused() == Why.UNKNOWN
            assert isinstance(await forger.end(), HandshakeError)
            assert not passive.connected
            active.transport.abort()

    simulate(main)


def test_a_proof_is_good_for_one_connection_and_one_side() -> None:
    active, passive = Hello(True, b"s" * 16, b"a" * 16, 1), Hello(True, b"s" * 16, b"p" * 16, 1)
    keys, ack = first_keys(active, passive), Ack(5, 10, False)
    payload = keys.proof_frame(Role.ACTIVE, ack)[5:]
    mac = payload[-32:]
    assert keys.proves(Role.ACTIVE, ack, mac)
    assert not keys.proves(Role.PASSIVE, ack, mac)
    assert not keys.proves(Role.ACTIVE, Ack(6, 10, False), mac)
    assert not Keys(keys.secret, active, Hello(True, b"s" * 16, b"q" * 16, 1)).proves(Role.ACTIVE, ack, mac)
    assert not Keys(keys.secret, Hello(True, b"s" * 16, b"a" * 16, 2), passive).proves(Role.ACTIVE, ack, mac)


def test_frames_come_whole_from_any_pieces_and_garbage_is_told() -> None:
    data = hello_frame(Hello(True, b"s" * 16, b"n" * 16, 7)) + frame(Kind.PING) + frame(Kind.DATA, b"abc")
    reader = FrameReader()
    kinds = [kind for byte in data for kind, _ in reader.feed(bytes([byte]))]
    assert kinds == [Kind.HELLO, Kind.PING, Kind.DATA]
    for garbage in (b"GET / HTTP/1.1\r\n", bytes(5), b"\x04\xff\xff\xff\xff"):
        with pytest.raises(ProtocolError):
            FrameReader().feed(garbage)


def test_a_peer_that_breaks_the_rules_is_told_apart() -> None:
    def session() -> ResumeSession:
        fresh = ResumeSession(1_000, 100)
        fresh.resumed(fresh.position(), Ack(0, 50, False))
        return fresh

    with pytest.raises(ProtocolError, match="more than it may"):
        session().data(101)
    with pytest.raises(ProtocolError, match="not sent"):
        session().acked(Ack(1, 50, False))
    with pytest.raises(ProtocolError, match="not sent"):
        session().acked(Ack(0, 50, True))
    with pytest.raises(ProtocolError, match="ends at 5"):
        session().fin(5)
    with pytest.raises(ProtocolError, match="without an end"):
        session().bye()
    ended = session()
    ended.fin(0)
    with pytest.raises(ProtocolError, match="behind its end"):
        ended.data(1)
    held = session()
    held.out.append(b"x" * 80)
    assert sum(map(len, held.frames(10_000))) == 50 + 5
    assert not held.frames(10_000), "not more than the peer takes"
    assert not held.fits(Ack(81, 0, False))
    assert not held.fits(Ack(80, 0, True)), "an end that was never said"
    assert held.fits(Ack(80, 0, False))


@pytest.mark.parametrize(
    "wrong", [{"replay_size": 0}, {"receive_size": 1.5}, {"kept": 0}, {"ping_after": float("inf")}]
)
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ResumeOptions(**wrong)  # type: ignore[arg-type]  # the mistakes under test
