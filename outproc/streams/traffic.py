"""What sessions do to streams: entries, acks, room, and the end of each. The `StreamHooks` of a node with streams."""

from __future__ import annotations

import asyncio
import inspect

from litz.errors import ManagerStateError, SessionEndedError
from litz.snapshot import StreamsSnapshot
from litz.stream_port import Abort
from outproc.dest_table import DestTable
from outproc.dest_transport import DestTransport
from outproc.local_node import LocalNode
from outproc.session.receive_lane import Delivery
from outproc.stream_hooks import StreamHooks
from outproc.streams.offers import NO_SUCH
from outproc.streams.sight import snapshot_of
from outproc.streams.streams import Streams

WITHDRAWN = "this node may not, any more"


class StreamTraffic(StreamHooks):
    """See the module."""

    def __init__(self, node: LocalNode, dests: DestTable, streams: Streams) -> None:
        self._node = node
        self._dests = dests
        self._streams = streams

    # -- traffic ------------------------------------------------------------------------------------

    def received(self, dest: str, delivery: Delivery) -> None:
        streams = self._streams.of(dest)
        if streams is not None:
            streams.received(delivery)

    def ended(self, dest: str, number: int) -> None:
        streams = self._streams.of(dest)
        if streams is not None:
            streams.ended(number)

    def acked(self, dest: str, number: int) -> None:
        streams = self._streams.of(dest)
        if streams is not None:
            streams.acked(number)

    def wrote(self, transport: DestTransport) -> None:
        streams = self._streams.of(transport.dest)
        if streams is not None:
            streams.wrote()

    def snapshot(self, transport: DestTransport) -> StreamsSnapshot | None:
        return snapshot_of(transport, self._streams)

    # -- ends ---------------------------------------------------------------------------------------

    def holds(self, transport: DestTransport) -> bool:
        streams = self._streams.of(transport.dest)
        return streams is not None and streams.table.live > 0

    def unconfirmed(self, transport: DestTransport) -> list[asyncio.Future[None]]:
        streams = self._streams.of(transport.dest)
        future = streams.lanes.arrival(list(streams.sides.values())) if streams is not None else None
        return [future] if future is not None else []

    def session_ended(self, transport: DestTransport, error: SessionEndedError) -> None:
        streams = self._streams.forget(transport.dest)
        if streams is not None:
            # The peer, which was told goodbye, loses them for that.
            streams.end(ManagerStateError("the manager was closed") if self._dests.closed else error)

    # -- rights -------------------------------------------------------------------------------------

    async def judge_again(self, transport: DestTransport) -> bool:
        streams, rights = self._streams.of(transport.dest), self._node.rights
        if streams is None or not rights.asks:
            return False
        verdicts = {side.entry.service: False for side in streams.opened_there()}
        # Side by side: a peer can name many services, and all together have the time of a handshake.
        async with asyncio.TaskGroup() as asking:
            for service in verdicts:
                asking.create_task(self._judge(transport.dest, service, verdicts))
        withdrawn = [side for side in streams.opened_there() if not verdicts.get(side.entry.service, True)]
        for side in withdrawn:
            streams.abort_here(side, Abort.REJECTED, WITHDRAWN, NO_SUCH)
        return bool(withdrawn)

    async def _judge(self, dest: str, service: str, verdicts: dict[str, bool]) -> None:
        """A verdict that fails, or is late, refuses."""
        try:
            async with asyncio.timeout(self._node.options.handshake_timeout):
                verdict = self._node.rights.may_stream(dest, service)
                verdicts[service] = (await verdict if inspect.isawaitable(verdict) else verdict) is True
        except Exception as error:
            message = f"litz: no verdict of authorize on streams of {dest}"
            self._node.loop.call_exception_handler({"message": message, "exception": error})
