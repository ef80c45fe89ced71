"""What is special about streams in process: the limit of a dest, who goes for it, and a node that talks to itself."""

from __future__ import annotations

from typing import Any

import pytest

from inproc import Hub, InprocTransportManager
from litz import StreamAbortedError, StreamRefusedError
from litz.stream_port import Abort, Refusal
from litz.testing.stream_case import PATIENT, Caught, echo, until


async def test_streams_with_one_dest_are_limited_and_the_longest_unused_goes() -> None:
    hub = Hub()
    async with (
        InprocTransportManager("a", hub, max_streams=3) as a,
        InprocTransportManager("b", hub) as b,
        InprocTransportManager("c", hub) as c,
    ):
        for peer in (b, c):
            peer.listen_streams("echo", echo, options=PATIENT)
        streams = [await a.open_stream("b", "echo", options=PATIENT) for _ in range(3)]
        with pytest.raises(StreamRefusedError, match="later") as caught:
            await a.open_stream("b", "echo")
        assert caught.value.why == Refusal.BUSY
        await (await a.open_stream("c", "echo", options=PATIENT)).aclose()
        sides: list[Any] = [stream._core.side for stream in streams]
        for index in (2, 0, 1):
            sides[index].attach(False)
        sides[2].attach(True)
        another = await a.open_stream("b", "echo", options=PATIENT)
        with pytest.raises(StreamAbortedError) as gone:
            await streams[0].receive()
        assert gone.value.code == Abort.IDLE
        (seen,) = (each.streams for each in a.snapshot().dests if each.dest == "b")
        assert seen is not None
        assert (seen.count, seen.opened, seen.evicted, seen.aborted) == (3, 4, 1, 1)
        assert [row.attached for row in seen.rows] == [False, True, True]
        for stream in (*streams[1:], another):
            await stream.send(b"still")
            assert await stream.receive() == b"still"
            await stream.aclose()


async def test_nobody_goes_for_a_stream_that_is_refused() -> None:
    hub, caught = Hub(), Caught()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub, max_streams=2) as b:
        b.listen_streams("hold", caught.handler, options=PATIENT)
        b.listen_streams("no", echo, options=PATIENT, accept=lambda offer: "not now")
        streams = [await a.open_stream("b", "hold", options=PATIENT) for _ in range(2)]
        await until(lambda: len(caught.streams) == 2)
        for stream in caught.streams:
            stream._core.side.attach(False)
        for service in ("no", "unheard-of", "no"):
            with pytest.raises(StreamRefusedError):
                await a.open_stream("b", service, options=PATIENT)
        assert [stream.closed for stream in caught.streams] == [False, False]
        third = await a.open_stream("b", "hold", options=PATIENT)
        with pytest.raises(StreamAbortedError) as gone:
            await streams[0].receive()
        assert gone.value.code == Abort.IDLE
        assert not streams[1].closed
        caught.go.set()
        for stream in (streams[1], third):
            await stream.aclose()


async def test_the_limit_holds_for_who_is_asked_too() -> None:
    hub = Hub()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub, max_streams=2) as b:
        b.listen_streams("echo", echo, options=PATIENT)
        streams = [await a.open_stream("b", "echo", options=PATIENT) for _ in range(2)]
        with pytest.raises(StreamRefusedError) as caught:
            await a.open_stream("b", "echo")
        assert caught.value.why == Refusal.BUSY
        seen = b.snapshot().dests[0].streams
        assert seen is not None
        assert (seen.accepted, seen.refused_here, seen.aborted) == (2, 1, 0)
        for stream in streams:
            await stream.aclose()
        await (await a.open_stream("b", "echo", options=PATIENT)).aclose()


async def test_a_node_talks_to_itself() -> None:
    async with InprocTransportManager("a", Hub()) as a:
        listening = a.listen_streams("echo", echo, options=PATIENT, start=False)
        async with listening as listener, a.open_stream("a", "echo", options=PATIENT) as stream:
            thing = object()
            await stream.send(thing)
            assert await stream.receive() is thing
            assert "echo" in repr(listener)
            assert listener.service == "echo"
        assert listener.streams == []


async def test_a_listener_left_by_an_exception_aborts_its_streams() -> None:
    hub, caught = Hub(), Caught()
    async with InprocTransportManager("a", hub) as a, InprocTransportManager("b", hub) as b:
        listener = b.listen_streams("hold", caught.handler, options=PATIENT)
        stream = None
        with pytest.raises(KeyError):
            async with listener:
                stream = await a.open_stream("b", "hold", options=PATIENT)
                await until(lambda: bool(caught.streams))
                raise KeyError
        assert stream is not None
        with pytest.raises(StreamAbortedError):
            await stream.receive()
