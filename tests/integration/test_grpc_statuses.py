"""Status codes of gRPC and ends of pipelines, with a real server and a real client: `outproc.adapters.grpc_status`."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from litz.admission import Amount, Reject
from litz.errors import StreamAbortedError, StreamLostError
from litz.order import PerKey
from litz.pipeline import Item, PipelineEnd, Way, pipeline
from litz.stream_port import Abort
from litz.supervision import Failure, Remedy, Supervise
from outproc.adapters.grpc_status import ABORT_OF_STATUS, STATUS_OF_END, STATUS_OF_FAILURE
from tests.integration.grpc_world import choices, gone, hangs, world

__all__ = ["gone"]  # a fixture that every test here has


def _fails(item: Item) -> None:
    raise LookupError("secret")


CLOSING = {
    Failure.RAISED: (_fails, choices(supervise=Supervise(then=Remedy.CLOSE))),
    Failure.TIMED_OUT: (hangs, choices(supervise=Supervise(timeout=0.01, then=Remedy.CLOSE))),
    Failure.REFUSED: (
        hangs,
        choices(
            inbound=Way(order=PerKey(by=lambda item: item.number), admission=Reject(Amount(1))),
            supervise=Supervise(then=Remedy.CLOSE),
        ),
    ),
    Failure.ORDER_BROKEN: (_fails, choices(inbound=Way(order=PerKey(by=lambda item: item.data["no dict"])))),
}


@pytest.mark.parametrize("failure", CLOSING)
async def test_a_failure_closes_the_call_with_its_status(failure: Failure) -> None:
    handler, options = CLOSING[failure]
    async with world(pipeline(handler, options)) as here:
        call = here.call()
        await call.write(b"x")
        await call.write(b"y")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await call.read() is not grpc.aio.EOF:
                pass
        assert caught.value.code() is STATUS_OF_FAILURE[failure]
        assert caught.value.details() == failure.value, "the kind, and not what the handler said"


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.PERMISSION_DENIED,
    ],
)
async def test_the_status_of_a_plain_server_ends_the_clients_pipeline_typed(code: grpc.StatusCode) -> None:
    async def behaviour(_: Any, context: Any) -> None:
        await context.read()
        await context.write(b"one")
        await context.abort(code, "so it is")

    method: Any = grpc.stream_stream_rpc_method_handler(behaviour)
    got: list[bytes] = []
    async with world(None, grpc.method_handlers_generic_handler("demo.Chat", {"Talk": method})) as here:
        with pytest.raises(StreamAbortedError, match="so it is") as caught:
            async with here.talk(lambda item: got.append(item.data)) as flow:
                await flow.send(b"x")
                await flow.ended()
        assert isinstance(caught.value, StreamLostError) == (code is grpc.StatusCode.UNAVAILABLE)
        if code is not grpc.StatusCode.UNAVAILABLE:
            assert caught.value.code == ABORT_OF_STATUS.get(code, Abort.REJECTED)


async def test_an_unimplemented_method_is_a_rejection() -> None:
    async with world(None) as here:
        with pytest.raises(StreamAbortedError, match="UNIMPLEMENTED") as caught:
            async with here.talk() as flow:
                await flow.ended()
        assert caught.value.code == Abort.REJECTED


def test_every_end_and_every_failure_has_a_status() -> None:
    assert set(STATUS_OF_END) == set(PipelineEnd)
    assert set(STATUS_OF_FAILURE) == set(Failure)
