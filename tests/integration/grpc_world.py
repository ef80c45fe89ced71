"""A server of gRPC with an interceptor, a channel to it, and what a test waits for at its end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from litz.pipeline import Item, Pipeline, PipelineOptions
from outproc.adapters.grpc_pipeline import OpenGrpcPipeline, PipelineInterceptor, open_grpc_pipeline
from tests.leaks import Holdings

TALK = "/demo.Chat/Talk"
LONG = 120.0
"""Seconds that nothing in here needs."""


@pytest.fixture(autouse=True)
def gone() -> Iterator[None]:
    """gRPC closes its sockets in threads of its own, some time after it was told to, and ends its thread when nobody
    holds anything of it any more: a record of a log holds an exception, that a frame, and that a call."""
    loggers = [logging.getLogger(name) for name in ("litz.supervision", "grpc")]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    before = Holdings.now()
    yield
    for logger in loggers:
        logger.setLevel(logging.NOTSET)
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        gc.collect()
        now = Holdings.now()
        if not (now.sockets - before.sockets or now.threads - before.threads):
            break
        time.sleep(0.01)


def choices(**options: Any) -> PipelineOptions:
    return PipelineOptions(**{"grace": LONG, **options})


class World:
    """A server and a channel to it."""

    def __init__(self, interceptor: PipelineInterceptor, server: Any, channel: Any) -> None:
        self.interceptor = interceptor
        self.server = server
        self.channel = channel

    def call(self) -> Any:
        return self.channel.stream_stream(TALK)()

    def talk(self, handler: Callable[[Item], Any] | None = None, **options: Any) -> OpenGrpcPipeline:
        return open_grpc_pipeline(self.call(), choices(**options), handler=handler, method=TALK)


@asynccontextmanager
async def world(served: Pipeline | None, *handlers: Any) -> AsyncIterator[World]:
    interceptor = PipelineInterceptor({TALK: served} if served is not None else {})
    server = grpc.aio.server(interceptors=[interceptor])
    server.add_generic_rpc_handlers(handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with asyncio.timeout(LONG), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            yield World(interceptor, server, channel)
        finally:
            await server.stop(None)


async def until(met: Callable[[], bool]) -> None:
    """Wait for `met`; the test has a deadline."""
    while not met():  # noqa: ASYNC110 - what is waited for is seen from outside
        await asyncio.sleep(0.005)


async def hangs(item: Item) -> None:
    """A handler that takes longer than any test."""
    await asyncio.sleep(LONG)
