"""A bidirectional-streaming method of gRPC with a pipeline at both ends. Needs `pip install 'litz[grpc]'`.

python examples/grpc_pipeline.py
"""

import asyncio
import logging

import grpc

from litz.order import PerKey
from litz.pipeline import Item, PipelineOptions, Way, pipeline
from litz.supervision import Supervise
from outproc.adapters.grpc_pipeline import PipelineInterceptor, open_grpc_pipeline

logging.getLogger("litz.supervision").setLevel(logging.CRITICAL)  # it would tell each failure with its traceback

METHOD = "/demo.Shop/Orders"  # of bytes here; a method of your servicer keeps its protobuf messages


async def order(item: Item) -> bytes:
    """Orders of one customer one after the other; customers do not wait for each other."""
    data: bytes = item.data
    customer, _, goods = data.partition(b" wants ")
    await asyncio.sleep(0)
    if goods == b"nothing":
        raise ValueError("an order of nothing")
    return goods + b" for " + customer


async def main() -> None:
    options = PipelineOptions(
        inbound=Way(order=PerKey(by=lambda item: item.data.partition(b" ")[0])),
        supervise=Supervise(attempts=2),
        grace=30,
    )
    orders = pipeline(order, options)
    server = grpc.aio.server(interceptors=[PipelineInterceptor({METHOD: orders})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    said: list[bytes] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(METHOD)()
        async with open_grpc_pipeline(call, options, handler=lambda item: said.append(item.data)) as flow:
            for wish in (b"ann wants tea", b"bob wants nothing", b"ann wants cake", b"bob wants milk"):
                await flow.send(wish)
        # Left gracefully: all orders were handled, and all replies are here.
        print(*sorted(line.decode() for line in said), sep=", ")
        for letter in orders.dead_letters.take():
            print(f"dead letter: {letter.data.decode()}, after {letter.attempts} attempts: {letter.error}")
        print(f"status: {(await call.code()).name}")
    await server.stop(grace=5)


asyncio.run(main())
